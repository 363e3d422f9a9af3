"""Prometheus metrics, one family a fact. Base units (seconds, bytes, ratios); labels come from closed sets only.

What is measured is left out while there is no current telemetry: an old age must not look like a new one. What is
counted stays; Prometheus handles counters that begin anew with their process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from bus.counters import Counter, Owner
from bus.events import Reason
from bus.items import Why
from dashboard.health import Health, health
from dashboard.history import STATES
from dashboard.state import Now, State
from dashboard.telemetry import Measured, Summary

Values: TypeAlias = Iterable[tuple[tuple[str, ...], float | None]]
"""Label values and the sample; ``None`` is no sample."""

V: Final = ("venue",)
VM: Final = ("venue", "market")
P: Final = ("process",)
PERCENTILES: Final = ("50", "95", "99", "max")
DASHBOARD: Final = "dashboard"
OWNERS: Final = {
    "connector": frozenset({Owner.CONNECTOR, Owner.OUTBOX}),
    "publisher": frozenset({Owner.PUBLISHER, Owner.OUTBOX}),
    "runner": frozenset({Owner.RUNNER, Owner.CLIENT, Owner.OUTBOX}),
    "sentinel": frozenset({Owner.SENTINEL, Owner.OUTBOX}),
    DASHBOARD: frozenset({Owner.DASHBOARD, Owner.CLIENT, Owner.OUTBOX}),
}
"""What each process counts from its start."""
HOPS: Final = ("venue_to_socket", "socket_to_publish", "publish_to_apply", "socket_to_apply")
REASONS: Final = frozenset(reason.value for reason in Reason)
CAUSES: Final = frozenset(why.value for why in Why)


def gauge(name: str, about: str, labels: tuple[str, ...], values: Values) -> Metric:
    """A family of measured values."""
    family = GaugeMetricFamily(f"paraphina_{name}", about, labels=labels)
    for labelled, value in values:
        if value is not None:
            family.add_metric(labelled, float(value))
    return family


def counter(name: str, about: str, labels: tuple[str, ...], values: Values) -> Metric:
    """A family of counted values; ``_total`` is added to the name."""
    family = CounterMetricFamily(f"paraphina_{name}", about, labels=labels)
    for labelled, value in values:
        if value is not None:
            family.add_metric(labelled, float(value))
    return family


def families(state: State, now: Now) -> Iterator[Metric]:
    """Everything, as of now."""
    report = health(state, now)
    yield from _source(state, report)
    yield from _venues(report)
    yield from _markets(report)
    if report.source.ok:
        yield from _details(state)
        yield from _checks(state)
    yield from _counts(state)
    yield from _delivery(state)
    yield gauge(
        "venue_limit_headroom_ratio",
        "Least share of the venue's limit that was left in the last second; 0: used up, or the venue refuses us.",
        ("venue", "limit"),
        [((n, limit), share) for n, shares in state.headroom(now).items() for limit, share in shares.items()],
    )
    yield from _processes(state, now)
    yield from _counters(state)


def _source(state: State, report: Health) -> Iterator[Metric]:
    tick = state.tick
    source = report.source
    yield gauge("telemetry_up", "1 while the runner's telemetry is current.", (), [((), source.ok)])
    yield gauge("telemetry_age_seconds", "Age of the newest telemetry.", (), [((), _seconds(source.age_ms))])
    yield gauge("healthy", "1 while every venue is live, fresh and trusted.", (), [((), report.healthy)])
    yield gauge("ready", "1 while every required market is fresh and trusted.", (), [((), report.ready)])
    yield counter(
        "cap_hit_ticks", "Ticks whose drain stopped at its cap.", (), [((), None if tick is None else tick.cap_hits)]
    )
    yield counter(
        "clock_steps",
        "Steps of the wall clock of more than 500 ms.",
        (),
        [((), None if tick is None else tick.clock_jumps)],
    )


def _venues(report: Health) -> Iterator[Metric]:
    venues = report.venues.items()
    known = [((name,), venue) for name, venue in venues if venue.fresh is not None]
    yield gauge(
        "venue_healthy", "1 while the venue is live, fresh and trusted.", V, [((n,), v.healthy) for n, v in venues]
    )
    yield gauge(
        "venue_age_seconds", "Time since a usable market event.", V, [(n, _seconds(v.age_ms)) for n, v in known]
    )
    yield gauge(
        "venue_event_age_seconds",
        "Our clock less the venue's time of its newest event; negative: its clock is ahead.",
        V,
        [(n, _seconds(v.age_event_ms)) for n, v in known],
    )
    yield gauge(
        "venue_silent_seconds",
        "As the age, or since the runner started when there has been no event.",
        V,
        [(n, _seconds(v.silent_ms)) for n, v in known],
    )
    yield gauge(
        "venue_stale_limit_seconds", "Age beyond which it is stale.", V, [((n,), v.stale_ms / 1e3) for n, v in venues]
    )
    yield gauge("venue_fresh", "1 while its age is within the limit.", V, [(n, v.fresh) for n, v in known])
    yield gauge("venue_trusted", "1 while all its books may be used.", V, [(n, v.trusted) for n, v in known])
    yield gauge(
        "venue_clock_skew_seconds",
        "Least (our clock less the venue's) of a minute; negative: the venue is ahead by at least that.",
        V,
        [(n, _seconds(v.skew_ms)) for n, v in known],
    )
    yield gauge(
        "venue_state",
        "1 for the state that its connector told last.",
        ("venue", "state"),
        [((*n, state), v.state == state) for n, v in known for state in STATES],
    )
    yield gauge(
        "venue_state_since_timestamp_seconds", "When it was entered.", V, [(n, _seconds(v.since_ms)) for n, v in known]
    )


def _markets(report: Health) -> Iterator[Metric]:
    markets = [((name, market), of) for name, venue in report.venues.items() for market, of in venue.markets.items()]
    known = [(labels, of) for labels, of in markets if of.fresh is not None]
    yield gauge("market_healthy", "1 while live, fresh and trusted.", VM, [(n, of.healthy) for n, of in markets])
    yield gauge("market_required", "1 when readiness needs it.", VM, [(n, of.required) for n, of in markets])
    yield gauge("market_age_seconds", "Time since a usable event.", VM, [(n, _seconds(of.age_ms)) for n, of in known])
    yield gauge(
        "market_event_age_seconds",
        "Our clock less the venue's time of its newest event.",
        VM,
        [(n, _seconds(of.age_event_ms)) for n, of in known],
    )
    yield gauge("market_live", "1 while its connector calls it live.", VM, [(n, of.state == "live") for n, of in known])
    yield gauge("market_fresh", "1 while its age is within the limit.", VM, [(n, of.fresh) for n, of in known])
    yield gauge("market_trusted", "1 while its book may be used.", VM, [(n, of.trusted) for n, of in known])


def _details(state: State) -> Iterator[Metric]:
    details = state.venue_detail.items()
    yield _percentiles(
        "venue_age_window_seconds",
        "Percentiles of the age over the runner's window.",
        V,
        [((name,), _summary(venue.age), 1e3) for name, venue in details],
    )
    yield _percentiles(
        "hop_latency_window_seconds",
        "Percentiles of the latency of each hop over the runner's window.",
        ("venue", "hop"),
        [((name, hop), summary, 1e6) for name, venue in details for hop, summary in venue.hops_us.window.items()],
    )
    yield gauge(
        "venue_events_per_second",
        "Events of all kinds over ten seconds.",
        V,
        [((name,), sum(venue.events_per_s.values())) for name, venue in details],
    )


def _checks(state: State) -> Iterator[Metric]:
    checks = [
        ((name, market), of.check)
        for name, markets in state.market_detail.items()
        for market, of in markets.items()
        if of.check is not None
    ]
    yield gauge(
        "market_divergence_ratio",
        "Last difference of the book from what the venue says elsewhere, as a fraction of the price.",
        VM,
        [(labels, check.divergence) for labels, check in checks],
    )
    yield gauge(
        "market_diverged_seconds",
        "How long it has differed without a break; 0 while equal.",
        VM,
        [(labels, (check.for_ms or 0) / 1e3) for labels, check in checks],
    )


def _counts(state: State) -> Iterator[Metric]:
    details = state.venue_detail.items()
    yield counter(
        "reconnects",
        "Connections given up, by reason.",
        ("venue", "reason"),
        [((n, reason), v.reconnects.get(reason, 0)) for n, v in details for reason in sorted(REASONS)],
    )
    yield counter(
        "venue_state_seconds",
        "Time spent in each state since the runner started.",
        ("venue", "state"),
        [((n, s), v.time_in_state_ms.get(s, 0) / 1e3) for n, v in details for s in (*STATES, "unknown")],
    )
    yield counter(
        "stale_plateaus",
        "Silences that reached the threshold.",
        ("venue", "threshold_seconds"),
        [
            ((n, f"{int(threshold) // 1_000}"), plateau.times)
            for n, v in details
            for threshold, plateau in v.plateaus.items()
        ],
    )
    yield counter("late_events", "Events applied over 1 s after their socket.", V, [((n,), v.late) for n, v in details])
    yield _hops(state)


def _hops(state: State) -> Metric:
    """Nothing is told of a hop without the counts of every bound: an older runner knows none."""
    family = HistogramMetricFamily(
        "paraphina_hop_latency_seconds",
        "Latency of each hop since the runner started; without a sum where it is signed.",
        labels=("venue", "hop"),
    )
    for venue, detail in state.venue_detail.items():
        hops = detail.hops_us
        edges = [*(str(bound / 1e6) for bound in hops.bounds), "+Inf"]
        for hop, counts in hops.counts.items():
            if hop in HOPS and len(counts) == len(edges):
                total = hops.sums.get(hop)
                buckets = list(zip(edges, accumulate(counts), strict=True))
                family.add_metric((venue, hop), buckets, None if total is None else total / 1e6)
    return family


def _delivery(state: State) -> Iterator[Metric]:
    if state.system is None:
        return
    delivery = state.system.delivery
    accounts = delivery.accounts.by_sender.items()
    yield gauge(
        "accounts_imbalance_messages",
        "Messages not accounted for.",
        ("sender",),
        [((n,), b.imbalance) for n, b in accounts],
    )
    for name, about, place in (
        ("published", "Messages sent.", 0),
        ("applied", "Messages delivered to the runner.", 1),
        ("merged", "State that newer state contains.", 2),
        ("dropped", "Log events gone for good, announced.", 3),
    ):
        yield counter(f"accounts_{name}_messages", about, ("sender",), [((n,), b[place]) for n, b in accounts])
    yield counter("heals", "Chains made whole again.", (), [((), delivery.heals)])
    yield counter("dropped_events", "Log events announced as dropped.", (), [((), delivery.gap_events)])
    lost = [
        ((sender, cause), count)
        for sender, causes in delivery.lost.items()
        for cause, count in causes.items()
        if cause in CAUSES
    ]
    yield counter("lost_messages", "Messages missing at the runner, by cause.", ("sender", "cause"), lost)


def _processes(state: State, now: Now) -> Iterator[Metric]:
    beats = state.beats.items()
    heard = [((name,), beat.heartbeat) for name, beat in beats if state.heard(name, now)]
    yield gauge("process_up", "1 while its heartbeats are heard.", P, [((n,), state.heard(n, now)) for n, _ in beats])
    yield gauge("process_resident_memory_bytes", "Resident memory.", P, [(n, beat.rss_bytes) for n, beat in heard])
    yield counter("process_cpu_seconds", "CPU time used.", P, [((n,), beat.heartbeat.cpu_s) for n, beat in beats])
    yield gauge("process_start_time_seconds", "When it started.", P, [(n, beat.started_ns / 1e9) for n, beat in heard])
    yield gauge(
        "process_loop_lag_seconds",
        "Worst lateness of its main loop in the last second.",
        P,
        [(n, beat.loop_lag_ms / 1e3) for n, beat in heard],
    )
    told = {} if state.system is None else state.system.processes
    yield counter(
        "process_restarts",
        "New runs seen since the runner started.",
        P,
        [((n,), of.restarts) for n, of in told.items()],
    )


def _counters(state: State) -> Iterator[Metric]:
    """Everything that a process counts, under the names of ``bus/counters.py``; 0 before it counted first.

    Without the zeros Prometheus would miss the first count: it sees no increase where there was no sample.
    """
    told = {name: beat.heartbeat.counters for name, beat in state.beats.items()}
    # What it counts itself is known also while nothing is heard on the bus.
    told[DASHBOARD] = state.counters.snapshot()
    counts = {name: _counts_of(name, counters, state) for name, counters in told.items()}
    for one in Counter:
        values = [((name,), of[one.label]) for name, of in counts.items() if one.label in of]
        if values:
            yield counter(one.label.removesuffix("_count"), one.sentence, P, values)


def _counts_of(process: str, told: dict[str, int], state: State) -> dict[str, int]:
    name = process.partition("/")[0]
    owners = OWNERS.get("connector" if name in state.plan.markets else name, frozenset())
    zeros = {one.label: 0 for one in Counter if one.owner in owners}
    return {**zeros, **told}


def _percentiles(
    name: str, about: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], Summary | None, float]]
) -> Metric:
    return gauge(
        name,
        about,
        (*labels, "percentile"),
        [
            ((*labelled, percentile), value / unit)
            for labelled, summary, unit in values
            if summary is not None
            for percentile, value in zip(PERCENTILES, summary, strict=False)
        ],
    )


def _summary(measured: Measured) -> Summary | None:
    return measured.window


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1e3


def serving(clients: int, version: str) -> Iterator[Metric]:
    """The dashboard about itself."""
    yield gauge("build_info", "Version of the dashboard.", ("version",), [((version,), 1)])
    yield gauge("dashboard_pages", "Pages that are open.", (), [((), clients)])
