"""A report as headings and tables, the same for Markdown and HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from cli.evidence.facts import Facts, FaultFacts, VenueFacts
from cli.evidence.gate import Criterion, Gate
from cli.evidence.tally import Percentiles

MAX_ROWS: Final = 500
"""Rows of one table: a page for people. JSON has them all."""
HOPS: Final = ("venue_to_socket", "socket_to_publish", "publish_to_apply", "socket_to_apply")
UNSEEN: Final = (
    "Without effect: neither the connector's log nor telemetry told of anything. Each says why, and what the venue was "
    "like meanwhile."
)
AGE_HEADS: Final = ("p50", "p95", "p99", "max", "mean", "n")


class Table(msgspec.Struct, frozen=True):
    """Rows under a heading. ``marks`` has ``good``, ``bad`` or nothing for each row."""

    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    marks: Sequence[str] = ()


class Section(msgspec.Struct, frozen=True):
    """A heading with words, a table, or both. ``id`` names it for pictures."""

    id: str
    title: str
    words: Sequence[str] = ()
    table: Table | None = None


class Document(msgspec.Struct, frozen=True):
    """The whole report."""

    title: str
    verdict: str
    good: bool | None
    sections: list[Section]


def document(facts: Facts, gate: Gate | None) -> Document:
    """The report of a run, with the gate's verdict when there is one."""
    good = None if gate is None else gate.passed
    sections = [_about(facts)]
    if facts.notes:
        sections.append(Section("notes", "Notes", [f"- {note}" for note in facts.notes]))
    if gate is not None:
        sections.append(_gate(gate))
    sections += [_ages(facts), _markets(facts), _plateaus(facts), _states(facts), _reconnects(facts), _hops(facts)]
    if facts.faults:
        sections.append(_faults(facts))
    sections += [_delivery(facts), _processes(facts), _skew(facts), _moments(facts)]
    return Document(_title(facts), verdict(gate), good, sections)


def verdict(gate: Gate | None) -> str:
    """One line."""
    if gate is None:
        return "No gate was asked for."
    if gate.passed:
        return f"PASS: all {len(gate.criteria)} criteria hold."
    return f"FAIL: {len(gate.failures)} of {len(gate.criteria)} criteria do not hold."


def _title(facts: Facts) -> str:
    label = facts.manifest.get("label")
    return f"Soak report: {label}" if label else "Soak report"


def _about(facts: Facts) -> Section:
    runner = facts.runner
    rows = [
        ("from", clock(facts.begin_ms)),
        ("to", clock(facts.end_ms)),
        ("watched", f"{duration(runner.seen_ms)} in {runner.ticks:,} ticks"),
        *_manifest(facts.manifest),
    ]
    return Section("about", "Run", table=Table(("", ""), rows))


def _manifest(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("label", "mode", "connectors", "scenario", "status"):
        value = manifest.get(key)
        if value:
            yield key, ", ".join(value) if isinstance(value, list) else str(value)
    versions, host, git = (manifest.get(key) or {} for key in ("versions", "host", "git"))
    if versions:
        yield "version", f"{versions.get('paraphina-connectivity', '?')} on Python {versions.get('python', '?')}"
    if git:
        yield "revision", f"{git.get('revision', '?')}{' with changes' if git.get('changed') else ''}"
    if host:
        yield "host", f"{host.get('name', '?')}, {host.get('cpus', '?')} CPUs, {host.get('system', '')}"


def _gate(gate: Gate) -> Section:
    rows = [_criterion(criterion) for criterion in gate.criteria]
    marks = ["good" if criterion.passed else "bad" for criterion in gate.criteria]
    return Section("gate", "Gate", table=Table(("criterion", "of", "value", "limit", "result", "note"), rows, marks))


def _criterion(criterion: Criterion) -> tuple[str, ...]:
    bound = ">=" if criterion.name in {"samples", "age_event_samples", "coverage"} else "<="
    result = "pass" if criterion.passed else "FAIL"
    limit = f"{bound} {number(criterion.limit)}"
    return criterion.name, criterion.of, number(criterion.value), limit, result, criterion.note


def _ages(facts: Facts) -> Section:
    rows = []
    for venue in facts.venues:
        rows.append((venue.venue, "apply", *_percentiles(venue.age)))
        rows.append((venue.venue, "event", *_percentiles(venue.event_age)))
    words = ["Apply age: since the newest usable market event was applied. Event age: by the venue's own time, signed."]
    return Section("ages", "Ages of venues (ms)", words, Table(("venue", "age", *AGE_HEADS), rows))


def _markets(facts: Facts) -> Section:
    heads = ("venue", "market", "p50", "p95", "p99", "max", "event p50", "event p99", "trusted", "rebuilds", "diverged")
    rows = []
    for venue in facts.venues:
        for market in venue.markets:
            age, event = market.age, market.event_age
            rows.append(
                (
                    venue.venue,
                    market.market,
                    *(number(None if age is None else value) for value in _four(age)),
                    number(None if event is None else event.p50),
                    number(None if event is None else event.p99),
                    share(market.trusted_share),
                    number(market.rebuilds),
                    f"{market.diverged:,} of {market.compared:,}",
                )
            )
    return Section("markets", "Ages of markets (ms)", table=Table(heads, rows))


def _plateaus(facts: Facts) -> Section:
    rows = [
        (venue.venue, duration(p.threshold_ms), number(p.count), number(p.ticks), duration(p.longest_ms))
        for venue in facts.venues
        for p in venue.plateaus
    ]
    marks = ["" if row[2] == "0" else "bad" for row in rows]
    words = ["At least 3 consecutive ticks of silence at or above the threshold."]
    return Section(
        "plateaus", "Stale plateaus", words, Table(("venue", "from", "count", "ticks", "longest"), rows, marks)
    )


def _states(facts: Facts) -> Section:
    states = sorted({state for venue in facts.venues for state in venue.state_ms})
    rows = [
        (
            venue.venue,
            share(venue.well_share),
            number(venue.troubles),
            *(duration(venue.state_ms.get(state, 0)) for state in states),
        )
        for venue in facts.venues
    ]
    words = ["Well: live, fresh, and every market trusted. Times as seen once a tick."]
    return Section("states", "Time in state", words, Table(("venue", "well", "troubles", *states), rows))


def _reconnects(facts: Facts) -> Section:
    rows = [(venue.venue, reason, number(n)) for venue in facts.venues for reason, n in venue.reconnects.items()]
    words = [] if rows else ["None."]
    return Section("reconnects", "Reconnects", words, Table(("venue", "reason", "count"), rows))


def _hops(facts: Facts) -> Section:
    rows = [
        (venue.venue, hop, *(number(value) for value in venue.hops_us[hop]))
        for venue in facts.venues
        for hop in HOPS
        if hop in venue.hops_us
    ]
    words = ["Of usable market events. From the venue's clock to our socket the clocks' difference is included."]
    return Section("hops", "Latency by hop (µs)", words, Table(("venue", "hop", "p50", "p95", "p99", "max", "n"), rows))


def _faults(facts: Facts) -> Section:
    heads = ("began", "fault", "venue", "market", "lasted", "acted", "detected after", "by", "well again after")
    begin = facts.begin_ms or 0
    rows = [_fault(fault, begin) for fault in facts.faults[:MAX_ROWS]]
    marks = [_fault_mark(fault) for fault in facts.faults[:MAX_ROWS]]
    detected = sum(fault.detected_ms is not None for fault in facts.faults)
    recovered = sum(fault.recovered_ms is not None for fault in facts.faults)
    unseen = len(facts.faults) - detected
    words = [
        f"{len(facts.faults)} faults: {detected} detected, {recovered} of those recovered; {unseen} without effect.",
        UNSEEN,
    ]
    return Section("faults", "Faults, their detection, and recovery", words, Table(heads, rows, marks))


def _fault(fault: FaultFacts, begin_ms: float) -> tuple[str, ...]:
    lasted = "to the end" if fault.ended_ms is None else duration(fault.ended_ms - fault.began_ms)
    detected = "-" if fault.detected_ms is None else duration(fault.detected_ms - fault.began_ms)
    if fault.recovered_ms is not None:
        recovered = duration(fault.recovered_ms - fault.began_ms)
    else:
        recovered = "-" if fault.detected_ms is None else "NOT RECOVERED"
    by = f"without effect: {fault.why}" if fault.detected_ms is None else fault.detected_by
    return (
        duration(fault.began_ms - begin_ms),
        f"{fault.fault} {fault.params}".strip(),
        fault.venue,
        fault.market or "all",
        lasted,
        number(fault.applied),
        detected,
        by,
        recovered,
    )


def _fault_mark(fault: FaultFacts) -> str:
    if fault.detected_ms is None:
        return ""
    return "bad" if fault.recovered_ms is None else "good"


def _delivery(facts: Facts) -> Section:
    delivery = facts.delivery
    rows = [(name, number(count)) for name, count in delivery.pressure.items()]
    rows.append(("cap_hits", number(delivery.cap_hits)))
    rows += [("announced gaps", number(delivery.gaps)), ("events in them", number(delivery.gap_events))]
    rows += [("heals", number(delivery.heals)), ("slowest heal, ms", number(delivery.slowest_heal_ms))]
    rows += [(f"accounts: {name}", number(count)) for name, count in delivery.accounts.items()]
    rows.append(("worst imbalance", number(delivery.worst_imbalance)))
    runner = facts.runner
    rows += [("ticks missed", number(runner.missed_ticks)), ("latest tick, ms", number(runner.late_tick_ms))]
    rows += [("telemetry failures", number(runner.telemetry_failures)), ("clock steps", number(runner.clock_jumps))]
    return Section("delivery", "Publisher pressure, caps and accounts", table=Table(("", "count"), rows))


def _processes(facts: Facts) -> Section:
    heads = (
        "process",
        "restarts",
        "MB first",
        "MB last",
        "MB max",
        "CPU % mean",
        "CPU % max",
        "worst lag ms",
        "missing",
    )
    rows = [
        (
            process.process,
            number(process.restarts),
            number(process.rss_first_mb),
            number(process.rss_last_mb),
            number(process.rss_max_mb),
            number(process.cpu_mean),
            number(process.cpu_max),
            number(process.worst_loop_lag_ms),
            duration(process.missing_ms),
        )
        for process in facts.processes
    ]
    return Section("processes", "Processes", table=Table(heads, rows))


def _skew(facts: Facts) -> Section:
    rows = [
        (venue.venue, *(number(venue.skew_ms[name]) for name in ("lowest", "highest", "last")))
        for venue in facts.venues
        if venue.skew_ms is not None
    ]
    words = [
        "Our clock minus the venue's, as far as the fastest messages show it. Negative: the venue's is ahead of ours."
    ]
    return Section("skew", "Clock skew (ms)", words, Table(("venue", "lowest", "highest", "last"), rows))


def _moments(facts: Facts) -> Section:
    begin = facts.begin_ms or 0
    shown = facts.moments[:MAX_ROWS]
    rows = [(duration(m.at_ms - begin), m.who, m.what, m.words) for m in shown]
    more = len(facts.moments) - len(shown)
    words = [f"The first {MAX_ROWS}; {more} more are in the JSON form."] if more else []
    return Section("moments", "What happened", words, Table(("at", "who", "what", ""), rows))


def _percentiles(found: Percentiles | None) -> tuple[str, ...]:
    if found is None:
        return ("-",) * len(AGE_HEADS)
    return tuple(number(value) for value in (found.p50, found.p95, found.p99, found.max, found.mean, found.n))


def _four(found: Percentiles | None) -> Sequence[float | None]:
    return (None,) * 4 if found is None else (found.p50, found.p95, found.p99, found.max)


def venue_line(venue: VenueFacts) -> str:
    """One venue in one line, for the terminal."""
    age = venue.age
    if age is None:
        return f"{venue.venue}: no age was ever known"
    reconnects = ", ".join(f"{reason} {count}" for reason, count in venue.reconnects.items()) or "none"
    ages = f"p50 {number(age.p50)} p99 {number(age.p99)} max {number(age.max)} ms"
    return f"{venue.venue}: age {ages}, reconnects: {reconnects}"


def number(value: float | None) -> str:
    """For people: thousands separated, no more digits than matter; ``-`` for unknown."""
    if value is None:
        return "-"
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"  # noqa: PLR2004 - where decimals stop to matter


def share(value: float | None) -> str:
    """A share in per cent, never rounded up to all."""
    if value is None:
        return "-"
    return "100 %" if value >= 1 else f"{int(value * 10_000) / 100:.2f} %"


def duration(ms: float) -> str:
    """A length of time for people."""
    if abs(ms) < 1_000:  # noqa: PLR2004 - ms in a second
        return f"{ms:.0f} ms"
    seconds = ms / 1_000
    if abs(seconds) < 120:  # noqa: PLR2004 - two minutes are still told in seconds
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"


def clock(ms: float | None) -> str:
    """A time of day, UTC."""
    if ms is None:
        return "-"
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(sep=" ", timespec="milliseconds").replace("+00:00", " UTC")
