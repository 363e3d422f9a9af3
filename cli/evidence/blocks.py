"""A run cut into stretches of time: samples that two runs can be compared by.

Ticks that follow each other are not independent samples: an outage of a minute is one event, not 240. Means over blocks
are much less dependent, and what dependence is left is measured (``cli.evidence.significance``).
"""

from __future__ import annotations

from typing import Final

import msgspec

from cli.evidence.scan import Scan
from cli.evidence.ticks import Tick

BASE_MS: Final = 5_000
WARM_UP_MS: Final = 15_000
"""Processes start and connect: no part of a comparison."""
WANTED: Final = 60
"""Blocks of a long run: larger blocks depend less on each other."""
HOP: Final = "socket_to_apply"


class Block(msgspec.Struct, gc=False):
    """Sums of one venue over one stretch."""

    ticks: int = 0
    ages: int = 0
    age_sum: float = 0.0
    age_max: float = 0.0
    event_ages: int = 0
    event_age_sum: float = 0.0
    unwell: int = 0
    events: int = 0
    details: int = 0
    reconnects: int = 0
    hop_us: float | None = None
    """Median latency of the last window that was told."""

    def join(self, other: Block) -> None:
        """All of the stretch that follows."""
        self.ticks += other.ticks
        self.ages += other.ages
        self.age_sum += other.age_sum
        self.age_max = max(self.age_max, other.age_max)
        self.event_ages += other.event_ages
        self.event_age_sum += other.event_age_sum
        self.unwell += other.unwell
        self.events += other.events
        self.details += other.details
        self.reconnects += other.reconnects
        self.hop_us = self.hop_us if other.hop_us is None else other.hop_us


class BlockScan(Scan):
    """A scan that keeps blocks too."""

    def __init__(self, *, whole_run: bool, tick_ms: int = 250) -> None:
        super().__init__(whole_run=whole_run, tick_ms=tick_ms)
        self.base: dict[str, dict[int, Block]] = {}
        self.window_ms = 60_000

    def take(self, tick: Tick) -> None:
        """One tick."""
        reconnects = {name: sum(venue.reconnects.grown.values()) for name, venue in self.venues.items()}
        events = {name: sum(venue.events.grown.values()) for name, venue in self.venues.items()}
        super().take(tick)
        if tick.system is not None:
            self.window_ms = tick.system.window_ms or self.window_ms
        key = int(self.seen_ms // BASE_MS)
        for index, name in enumerate(tick.order):
            block = self.base.setdefault(name, {}).setdefault(key, Block())
            _ages(block, tick, index, name)
            if tick.venue_detail is not None and name in tick.venue_detail:
                venue = self.venues[name]
                block.details += 1
                block.events += sum(venue.events.grown.values()) - events.get(name, 0)
                block.reconnects += sum(venue.reconnects.grown.values()) - reconnects.get(name, 0)
                hop = tick.venue_detail[name].hops_us.window.get(HOP)
                block.hop_us = hop[0] if hop else block.hop_us

    def blocks(self, venue: str) -> list[Block]:
        """Whole blocks of a venue after the warm-up, in time order, about ``WANTED`` of them when the run is long."""
        base = self.base.get(venue, {})
        last = int(self.seen_ms // BASE_MS)
        keys = range(WARM_UP_MS // BASE_MS, last)
        size = max(1, len(keys) // WANTED)
        return [_joined([base[key] for key in keys[at : at + size] if key in base]) for at in range(0, len(keys), size)]

    def windows(self, venue: str) -> list[Block]:
        """One block for each sliding window of the hop latencies: those overlap in any smaller ones."""
        base = self.base.get(venue, {})
        size = max(1, self.window_ms // BASE_MS)
        keys = [key for key in sorted(base) if key >= WARM_UP_MS // BASE_MS]
        return [base[key] for key in keys[size - 1 :: size]]


def _joined(blocks: list[Block]) -> Block:
    whole = Block()
    for block in blocks:
        whole.join(block)
    return whole


def _ages(block: Block, tick: Tick, index: int, name: str) -> None:
    block.ticks += 1
    age = tick.venue_age_ms[index]
    if age is not None:
        block.ages += 1
        block.age_sum += age
        block.age_max = max(block.age_max, age)
    event_ages = tick.venue_age_event_ms
    event_age = event_ages[index] if index < len(event_ages) else None
    if event_age is not None:
        block.event_ages += 1
        block.event_age_sum += event_age
    venue = tick.venues.get(name)
    if venue is not None and not (venue.state == "live" and venue.fresh and venue.trusted):
        block.unwell += 1
