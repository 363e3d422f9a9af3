"""The facts of one run, as values: what every form of a report is made of, and what ``--format json`` prints."""

from __future__ import annotations

from typing import Any

import msgspec

from cli.evidence.scan import Moment
from cli.evidence.series import Span
from cli.evidence.tally import Percentiles


class Plateaus(msgspec.Struct, frozen=True):
    """Silences beyond one threshold."""

    threshold_ms: int
    count: int
    ticks: int
    longest_ms: float


class MarketFacts(msgspec.Struct, frozen=True):
    """One market. Ages in ms."""

    market: str
    age: Percentiles | None
    event_age: Percentiles | None
    state_ms: dict[str, int]
    trusted_share: float | None
    rebuilds: int
    compared: int
    diverged: int


class VenueFacts(msgspec.Struct, frozen=True):
    """One venue. Ages in ms, hops in µs."""

    venue: str
    age: Percentiles | None
    event_age: Percentiles | None
    stale_ms: float | None
    plateaus: list[Plateaus]
    state_ms: dict[str, int]
    well_share: float | None
    """Share of the time in which it was live, fresh and trusted."""
    troubles: int
    hops_us: dict[str, list[float]]
    """Percentiles ``[p50, p95, p99, max, n]`` by hop."""
    skew_ms: dict[str, float] | None
    """Estimate of the clock's difference: ``lowest``, ``highest``, ``last``."""
    reconnects: dict[str, int]
    events: dict[str, int]
    events_per_s: float | None
    late: int
    markets: list[MarketFacts]


class ProcessFacts(msgspec.Struct, frozen=True):
    """One process."""

    process: str
    restarts: int
    rss_first_mb: float | None
    rss_last_mb: float | None
    rss_max_mb: float | None
    cpu_mean: float | None
    cpu_max: float | None
    worst_loop_lag_ms: float | None
    missing_ms: float
    """Time without its heartbeats."""


class DeliveryFacts(msgspec.Struct, frozen=True):
    """The bus."""

    pressure: dict[str, int]
    gaps: int
    gap_events: int
    heals: int
    slowest_heal_ms: float | None
    accounts: dict[str, int]
    worst_imbalance: int | None
    cap_hits: int | None


class RunnerFacts(msgspec.Struct, frozen=True):
    """The measurement itself."""

    ticks: int
    lives: int
    seen_ms: int
    holes: list[Span]
    missed_ticks: int
    telemetry_failures: int
    late_tick_ms: float | None
    clock_jumps: int
    torn_lines: list[int]
    torn_end: bool


class FaultFacts(msgspec.Struct, frozen=True):
    """One fault of the simulator and what came of it, on one venue. Times in wall clock ms."""

    fault: str
    venue: str
    market: str | None
    params: str
    began_ms: float
    ended_ms: float | None
    applied: int
    detected_ms: float | None
    """When something first told of it; ``None``: nothing did, the consumers never saw it."""
    detected_by: str
    recovered_ms: float | None
    """When the venue was live, fresh and trusted again; ``None``: not before the run ended, or nothing was detected."""
    why: str = ""
    """Of one that was not detected: why it had no effect that could be seen."""


class Facts(msgspec.Struct, frozen=True):
    """One run."""

    begin_ms: float | None
    end_ms: float | None
    venues: list[VenueFacts]
    processes: list[ProcessFacts]
    delivery: DeliveryFacts
    runner: RunnerFacts
    faults: list[FaultFacts]
    moments: list[Moment]
    notes: list[str]
    """What a reader must know about the inputs, one sentence each."""
    manifest: dict[str, Any]
