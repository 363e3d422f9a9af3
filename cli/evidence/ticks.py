"""Lines of ``telemetry.jsonl`` as typed values: the fields that reports are made of, see docs/telemetry.md.

Only the ages and the order of venues are demanded, so that files of other writers of this format can be read too.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

Number = int | float

SCHEMA: Final = 1
"""Newest version of the object that is understood."""


class Market(msgspec.Struct, gc=False):
    """One market in one tick; ages in ms."""

    age_ms: Number | None = None
    age_event_ms: Number | None = None
    silent_ms: Number | None = None
    fresh: bool = False
    state: str | None = None
    trusted: bool = False


class Venue(msgspec.Struct, gc=False):
    """One venue in one tick; ages in ms."""

    age_ms: Number | None = None
    silent_ms: Number | None = None
    fresh: bool = False
    state: str | None = None
    reason: str | None = None
    trusted: bool = False
    skew_ms: Number | None = None
    markets: dict[str, Market] = {}


class Named(msgspec.Struct, gc=False):
    """One entry of the order of venues."""

    venue_id: str
    venue_index: int | None = None


class Guidance(msgspec.Struct, gc=False):
    """When the tick was (wall clock ms), and in which order the arrays are."""

    as_of_ms: Number
    venues: list[Named]


class Hops(msgspec.Struct, gc=False):
    """Latencies in µs by hop: percentiles ``[p50, p95, p99, max, n]`` over the sliding window and the run."""

    window: dict[str, list[Number] | None] = {}
    run: dict[str, list[Number] | None] = {}


class VenueDetail(msgspec.Struct, gc=False):
    """Once a second, of one venue."""

    stale_ms: Number | None = None
    hops_us: Hops = msgspec.field(default_factory=Hops)
    events: dict[str, int] = {}
    late: int = 0
    reconnects: dict[str, int] = {}


class Check(msgspec.Struct, gc=False):
    """A connector's comparison of its book with another statement of the venue."""

    compared: int = 0
    diverged: int = 0
    divergence: float | None = None
    for_ms: Number | None = None


class MarketDetail(msgspec.Struct, gc=False):
    """Once a second, of one market."""

    rebuild: int | None = None
    healing: bool = False
    check: Check | None = None


class Process(msgspec.Struct, gc=False):
    """Once a second, of one process."""

    pid: int | None = None
    restarts: int = 0
    rss_bytes: int | None = None
    cpu_percent: float | None = None
    worst_loop_lag_ms: float | None = None
    missing: bool = False


class Accounts(msgspec.Struct, gc=False):
    """Balance of all chains, in messages."""

    published: int = 0
    applied: int = 0
    merged: int = 0
    dropped: int = 0
    in_flight: int = 0
    imbalance: int = 0
    unbalanced_chains: list[Any] = []


class Delivery(msgspec.Struct, gc=False):
    """Once a second, of the bus."""

    pressure: dict[str, int] = {}
    gaps: int = 0
    gap_events: int = 0
    heals: int = 0
    slowest_heal_ms: Number | None = None
    accounts: Accounts = msgspec.field(default_factory=Accounts)


class Runner(msgspec.Struct, gc=False):
    """Once a second, of the runner itself."""

    late_tick_ms: Number | None = None
    missed_ticks: int = 0
    telemetry_failures: int = 0


class System(msgspec.Struct, gc=False):
    """Once a second, of everything but venues."""

    window_ms: int | None = None
    processes: dict[str, Process] = {}
    delivery: Delivery = msgspec.field(default_factory=Delivery)
    runner: Runner = msgspec.field(default_factory=Runner)


class Tick(msgspec.Struct, gc=False):
    """One line."""

    t: int
    venue_age_ms: list[Number | None]
    treasury_guidance: Guidance
    venue_age_event_ms: list[Number | None] = []
    schema: int = SCHEMA
    up_ms: Number | None = None
    cap_hits: int | None = None
    clock_jumps: int | None = None
    venues: dict[str, Venue] = {}
    venue_detail: dict[str, VenueDetail] | None = None
    market_detail: dict[str, dict[str, MarketDetail]] | None = None
    system: System | None = None

    @property
    def order(self) -> tuple[str, ...]:
        """Venue ids in the order of the arrays."""
        return tuple([named.venue_id for named in self.treasury_guidance.venues])


decode: Final = msgspec.json.Decoder(Tick).decode
"""A line to a tick. Raises msgspec.DecodeError for what is no JSON, its subclass ValidationError for another format."""
