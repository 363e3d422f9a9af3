"""From what was scanned to the facts of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from cli.evidence import recovery
from cli.evidence.facts import (
    DeliveryFacts,
    Facts,
    MarketFacts,
    Plateaus,
    ProcessFacts,
    RunnerFacts,
    VenueFacts,
)
from cli.evidence.logs import LogScan, RxScan
from cli.evidence.scan import MarketScan, Moment, ProcessScan, Scan, VenueScan

MB: Final = 1_000_000
FEW: Final = 5


class Inputs(msgspec.Struct):
    """Everything that was read of one run's directory."""

    scan: Scan
    log: LogScan | None = None
    rx: RxScan | None = None
    faults: recovery.Log | None = None
    manifest: dict[str, Any] = {}
    missing: list[str] = []
    """Files that are not there."""


def facts(inputs: Inputs) -> Facts:
    """The facts of a run."""
    scan = inputs.scan
    words = [] if inputs.log is None else inputs.log.words
    faults = [] if inputs.faults is None else recovery.follow(inputs.faults, scan, words)
    return Facts(
        begin_ms=scan.begin_ms,
        end_ms=scan.end_ms,
        venues=[_venue(name, venue, inputs) for name, venue in scan.venues.items()],
        processes=[_process(name, process, scan) for name, process in scan.processes.items()],
        delivery=_delivery(inputs),
        runner=_runner(scan),
        faults=faults,
        moments=_moments(inputs),
        notes=list(_notes(inputs)),
        manifest=inputs.manifest,
    )


def _venue(name: str, venue: VenueScan, inputs: Inputs) -> VenueFacts:
    seen_ms = inputs.scan.seen_ms
    events = venue.events.grown
    skew = venue.skew
    reconnects = dict(venue.reconnects.grown)
    if inputs.log is not None:
        # Whichever knows of more: a count that only one of them has is a count.
        for reason, count in inputs.log.audit.reconnects().get(name, {}).items():
            reconnects[reason] = max(count, reconnects.get(reason, 0))
    return VenueFacts(
        venue=name,
        age=venue.age.percentiles(),
        event_age=venue.event_age.percentiles(),
        stale_ms=venue.stale_ms,
        plateaus=[Plateaus(p.threshold_ms, p.count, p.ticks, p.longest_ms) for p in venue.plateaus.values()],
        state_ms=_whole(venue.state_ms),
        well_share=venue.well_ms / seen_ms if seen_ms and venue.markets else None,
        troubles=venue.trouble.count,
        hops_us={hop: list(values) for hop, values in venue.hops.run.items() if values is not None},
        skew_ms=None
        if skew.last is None
        else {"lowest": skew.lowest or 0, "highest": skew.highest or 0, "last": skew.last},
        reconnects={reason: count for reason, count in sorted(reconnects.items()) if count},
        events=dict(events),
        events_per_s=round(sum(events.values()) / seen_ms * 1_000, 2) if seen_ms and events else None,
        late=venue.late.grown.get("late", 0),
        markets=[_market(market, about, seen_ms) for market, about in venue.markets.items()],
    )


def _market(name: str, market: MarketScan, seen_ms: float) -> MarketFacts:
    check = market.check
    return MarketFacts(
        market=name,
        age=market.age.percentiles(),
        event_age=market.event_age.percentiles(),
        state_ms=_whole(market.state_ms),
        trusted_share=market.trusted_ms / seen_ms if seen_ms else None,
        rebuilds=market.rebuilds.grown.get("rebuilds", 0),
        compared=0 if check is None else check.compared,
        diverged=0 if check is None else check.diverged,
    )


def _process(name: str, process: ProcessScan, scan: Scan) -> ProcessFacts:
    missing = process.missing
    present = missing.present
    missing_ms = missing.total_ms + (0 if present is None or scan.end_ms is None else scan.end_ms - present.begin_ms)
    return ProcessFacts(
        process=name,
        restarts=process.restarts.grown.get("restarts", 0),
        rss_first_mb=_mb(process.rss.first),
        rss_last_mb=_mb(process.rss.last),
        rss_max_mb=_mb(process.rss.highest),
        cpu_mean=None if process.cpu.mean is None else round(process.cpu.mean, 1),
        cpu_max=process.cpu.highest,
        worst_loop_lag_ms=process.worst_loop_lag_ms,
        # One that never spoke does not send heartbeats, as the simulator.
        missing_ms=0 if process.pid is None else missing_ms,
    )


def _delivery(inputs: Inputs) -> DeliveryFacts:
    scan = inputs.scan
    pressure: dict[str, int] = {}
    if scan.system is not None:
        pressure = {name: scan.pressure.grown.get(name, 0) for name in scan.system.delivery.pressure}
    if inputs.log is not None:
        for name, count in inputs.log.audit.pressure().items():
            pressure[name] = max(count, pressure.get(name, 0))
    told = [hits for hits in (_cap_hits(scan), None if inputs.rx is None else inputs.rx.cap_hits) if hits is not None]
    accounts = {} if scan.system is None else msgspec.to_builtins(scan.system.delivery.accounts)
    accounts.pop("unbalanced_chains", None)
    return DeliveryFacts(
        pressure=pressure,
        gaps=scan.delivery.grown.get("gaps", 0),
        gap_events=scan.delivery.grown.get("gap_events", 0),
        heals=scan.delivery.grown.get("heals", 0),
        slowest_heal_ms=scan.slowest_heal_ms,
        accounts=accounts,
        worst_imbalance=scan.worst_imbalance,
        cap_hits=max(told, default=None),
    )


def _cap_hits(scan: Scan) -> int | None:
    return scan.cap_hits.grown.get("cap_hits", 0) if scan.cap_hits.told else None


def _runner(scan: Scan) -> RunnerFacts:
    return RunnerFacts(
        ticks=scan.ticks,
        lives=scan.runners,
        seen_ms=round(scan.seen_ms),
        holes=scan.holes,
        missed_ticks=scan.runner.grown.get("missed_ticks", 0),
        telemetry_failures=scan.runner.grown.get("telemetry_failures", 0),
        late_tick_ms=scan.late_tick_ms,
        clock_jumps=scan.clock_jumps.grown.get("clock_jumps", 0),
        torn_lines=scan.torn,
        torn_end=scan.torn_end,
    )


def _moments(inputs: Inputs) -> list[Moment]:
    moments = list(inputs.scan.moments)
    if inputs.log is not None:
        moments += inputs.log.tracebacks
    return sorted(moments, key=lambda moment: moment.at_ms)


def _notes(inputs: Inputs) -> list[str]:
    scan, log = inputs.scan, inputs.log
    notes = [f"{name} is missing: what it tells is not in this report." for name in inputs.missing]
    if scan.torn_end:
        notes.append(f"telemetry.jsonl: the last line ({scan.torn[-1]}) is cut off and was left out.")
    inner = [number for number in scan.torn if number != scan.lines]
    if inner:
        notes.append(f"telemetry.jsonl: {len(inner)} torn lines were left out, the first is line {inner[0]}.")
    if scan.runners > 1:
        notes.append(f"The runner was restarted {scan.runners - 1} times: hop latencies are of its last life.")
    if scan.holes:
        longest = max((hole.end_ms or 0) - hole.begin_ms for hole in scan.holes)
        notes.append(f"{len(scan.holes)} holes in telemetry, the longest {longest / 1e3:.1f} s: nobody watched then.")
    if not any(venue.markets for venue in scan.venues.values()):
        notes.append("Telemetry has ages only: no states, hops, processes or accounts.")
    left_out = scan.left_out + (0 if log is None else log.left_out)
    if left_out:
        notes.append(f"{left_out} happenings beyond the first {len(scan.moments)} are not listed.")
    if log is not None and log.tracebacks:
        notes.append(f"run.log has {len(log.tracebacks)} tracebacks.")
    if inputs.rx is not None and inputs.rx.other > 1:
        notes.append(f"market_rx_stats.log has {inputs.rx.other} lines of another format.")
    return notes + _ended(inputs.manifest)


def _ended(manifest: Mapping[str, Any]) -> list[str]:
    status = manifest.get("status")
    if status in {None, "complete"}:
        return []
    if status == "running":
        return ["The manifest says that the run has not ended: it is still running, or everything was killed at once."]
    return [f"The run did not end as planned: {manifest.get('why') or status}."]


def _whole(values: Mapping[str, float]) -> dict[str, int]:
    return {name: round(value) for name, value in values.items()}


def _mb(value: float | None) -> float | None:
    return None if value is None else round(value / MB, 1)
