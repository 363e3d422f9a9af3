"""The runner's telemetry as values. Field by field in ``docs/telemetry.md``; what nobody here shows is left out.

The ages come with every tick; the details come in parts, each once a second, in different ticks.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

SCHEMA: Final = 1
"""Version of the object that is understood here."""


class Summary(NamedTuple):
    """Percentiles of a set of samples, in the unit of their field."""

    p50: float
    p95: float
    p99: float
    max: float
    n: int


class Measured(msgspec.Struct, frozen=True):
    """Percentiles over the sliding window and since the runner started; ``None`` without a sample."""

    window: Summary | None
    run: Summary | None


class Hops(msgspec.Struct, frozen=True):
    """Latencies by hop, microseconds."""

    window: dict[str, Summary | None]
    run: dict[str, Summary | None]
    bounds: list[int] = []
    """Upper bounds of the histograms."""
    counts: dict[str, list[int]] = {}
    """Events by hop: one count a bound, and one for what is above them all."""
    sums: dict[str, int] = {}
    """Of all values; not of a hop whose values are signed."""


class LastReconnect(msgspec.Struct, frozen=True):
    """The last connection that was given up."""

    at_ms: int
    reason: str
    connection: str
    detail: str


class Plateau(NamedTuple):
    """Runs of ticks at or above a silence."""

    times: int
    ticks: int
    longest_ms: int
    present: bool


class MarketTick(msgspec.Struct, frozen=True):
    """A market in every tick."""

    age_ms: int | None
    age_event_ms: int | None
    silent_ms: int
    fresh: bool
    state: str | None
    trust: str | None
    trusted: bool


class VenueTick(msgspec.Struct, frozen=True):
    """A venue in every tick."""

    age_ms: int | None
    age_event_ms: int | None
    silent_ms: int
    fresh: bool
    trusted: bool
    state: str | None
    since_ms: int | None
    reason: str | None
    skew_ms: int | None
    markets: dict[str, MarketTick]


class VenueDetail(msgspec.Struct, frozen=True):
    """A venue once a second."""

    stale_ms: int
    age: Measured
    age_event: Measured
    plateaus: dict[str, Plateau]
    time_in_state_ms: dict[str, int]
    state_changes: int
    hops_us: Hops
    events: dict[str, int]
    events_per_s: dict[str, float]
    late: int
    reconnects: dict[str, int]
    last_reconnect: LastReconnect | None


class Funding(msgspec.Struct, frozen=True):
    """The newest funding rate, a fraction per hour."""

    rate_hourly: float
    settled: bool
    next_ms: int | None


class Stats(msgspec.Struct, frozen=True):
    """Mark and index price, open interest in base units."""

    mark: float | None
    index: float | None
    open_interest: float | None


class Check(msgspec.Struct, frozen=True):
    """The connector's comparison of its book with what the venue says elsewhere."""

    against: str
    compared: int
    diverged: int
    divergence: float
    for_ms: int | None


Level: TypeAlias = tuple[float | None, float | None]
"""Price and size."""


class MarketDetail(msgspec.Struct, frozen=True):
    """A market once a second."""

    since_ms: int | None
    reason: str | None
    rebuild: int | None
    healing: bool
    bid: Level | None
    ask: Level | None
    funding: Funding | None
    stats: Stats | None
    check: Check | None
    age: Measured
    age_event: Measured
    time_in_state_ms: dict[str, int]


class Process(msgspec.Struct, frozen=True):
    """One process, by its heartbeats and the sentinel's word."""

    pid: int | None
    uptime_ms: int | None
    restarts: int
    rss_bytes: int | None
    cpu_percent: float | None
    loop_lag_ms: float | None
    worst_loop_lag_ms: float | None
    heartbeat_age_ms: int | None
    missing: bool
    last_action: str | None
    last_detail: str | None


class Balance(NamedTuple):
    """Messages of one sender, see "Accounts" in ``docs/telemetry.md``."""

    published: int
    applied: int
    merged: int
    dropped: int
    in_flight: int
    imbalance: int


class Accounts(msgspec.Struct, frozen=True):
    """The balance of published and received messages."""

    imbalance: int
    by_sender: dict[str, Balance]
    unbalanced: int
    unbalanced_chains: list[str]


class Delivery(msgspec.Struct, frozen=True):
    """What was lost, late or made good on the way to the runner."""

    pressure: dict[str, int]
    gaps: int
    gap_events: int
    lost: dict[str, dict[str, int]]
    heals: int
    slowest_heal_ms: int | None
    accounts: Accounts


class RunnerSelf(msgspec.Struct, frozen=True):
    """The runner about itself."""

    late_tick_ms: int
    missed_ticks: int
    telemetry_failures: int


class System(msgspec.Struct, frozen=True):
    """Processes, delivery and the runner once a second."""

    window_ms: int
    processes: dict[str, Process]
    delivery: Delivery
    runner: RunnerSelf


class Guidance(msgspec.Struct, frozen=True):
    """When the tick was."""

    as_of_ms: int


class Tick(msgspec.Struct, frozen=True):
    """One tick, with whatever details came with it."""

    t: int
    schema: int
    treasury_guidance: Guidance
    up_ms: int
    cap_hits: int
    clock_jumps: int
    venues: dict[str, VenueTick]
    venue_detail: dict[str, VenueDetail] | None = None
    market_detail: dict[str, dict[str, MarketDetail]] | None = None
    system: System | None = None

    @property
    def as_of_ms(self) -> int:
        """Wall clock of the tick."""
        return self.treasury_guidance.as_of_ms


def read(body: dict[str, Any]) -> Tick | str:
    """The tick of a telemetry event, or why it cannot be read."""
    schema = body.get("schema")
    if schema != SCHEMA:
        return f"the runner speaks version {schema} of telemetry, this program understands {SCHEMA}"
    try:
        return msgspec.convert(body, Tick)
    except msgspec.ValidationError as error:
        return f"telemetry is not as documented: {error}"
