"""What is known of each venue and market: the state that telemetry is told from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from bus.events import Bbo, Book, Check, Delta, Funding, Instrument, Reconnect, Stats, Trust
from runner.freshness import Freshness, Skew
from runner.hops import Hops
from runner.percentiles import Ages, Plateau
from runner.rates import Rates
from runner.states import StateTime

PLATEAUS_MS: Final = (10_000, 30_000)
"""Thresholds of stale plateaus."""


class Spans(msgspec.Struct, frozen=True):
    """Times that all measurements share, ns."""

    born_mono: int
    """When the runner began to watch."""
    window_ns: int
    tick_ns: int


class Aging:
    """Both ages of one venue or market, their percentiles and plateaus."""

    __slots__ = ("age_ms", "ages", "event_age_ms", "event_ages", "fresh", "plateaus", "silent_ms")

    def __init__(self, spans: Spans) -> None:
        self.fresh = Freshness(spans.born_mono)
        self.ages = Ages(spans.window_ns, spans.tick_ns)
        self.event_ages = Ages(spans.window_ns, spans.tick_ns)
        self.plateaus = {threshold: Plateau(threshold) for threshold in PLATEAUS_MS}
        self.age_ms: int | None = None
        """As of the last tick, like the next two."""
        self.event_age_ms: int | None = None
        self.silent_ms = 0

    def tick(self, now_mono: int, now_wall: int) -> None:
        """Measure."""
        self.age_ms = self.fresh.age_ms(now_mono)
        self.event_age_ms = self.fresh.event_age_ms(now_wall)
        self.silent_ms = self.fresh.silent_ms(now_mono)
        self.ages.tick(now_mono, self.age_ms)
        self.event_ages.tick(now_mono, self.event_age_ms)
        for plateau in self.plateaus.values():
            plateau.tick(self.silent_ms)


class MarketView:
    """One market of one venue."""

    __slots__ = (
        "aging",
        "ask",
        "bid",
        "book_trust",
        "check",
        "funding",
        "healing",
        "instrument",
        "quote_trust",
        "quote_trusted",
        "rebuild",
        "state",
        "stats",
        "trusted",
    )

    def __init__(self, spans: Spans) -> None:
        self.aging = Aging(spans)
        self.state = StateTime(spans.born_mono)
        self.book_trust: Trust | None = None
        """As the book's newest event says; ``None`` before the first."""
        self.quote_trust: Trust | None = None
        self.trusted = False
        """Whether the book may be used now: its own word, and nothing missing on the way to us."""
        self.quote_trusted = False
        self.healing = False
        """Whether messages of the book are missing here and have not been made up for yet."""
        self.rebuild: int | None = None
        self.bid: tuple[float, float] | None = None
        """Best bid as price and size, of the quote stream, or of whole books where there is none."""
        self.ask: tuple[float, float] | None = None
        self.funding: Funding | None = None
        self.stats: Stats | None = None
        self.check: Check | None = None
        self.instrument: Instrument | None = None

    def booked(self, event: Book | Delta) -> None:
        """The book changed, or what is known of it."""
        self.book_trust, self.rebuild = event.trust, event.rebuild
        if isinstance(event, Book) and self.quote_trust is None:
            self.bid = (event.bid_px[0], event.bid_sz[0]) if event.bid_px else None
            self.ask = (event.ask_px[0], event.ask_sz[0]) if event.ask_px else None

    def quoted(self, event: Bbo) -> None:
        """The quote changed, or what is known of it."""
        self.quote_trust = event.trust
        self.bid = _level(event.bid_px, event.bid_sz)
        self.ask = _level(event.ask_px, event.ask_sz)


def _level(price: float | None, size: float | None) -> tuple[float, float] | None:
    return None if price is None or size is None else (price, size)


class VenueView:
    """One venue."""

    __slots__ = ("aging", "hops", "last_reconnect", "late", "markets", "rates", "skew", "stale_ms", "state")

    def __init__(self, markets: Iterable[str], stale_ms: int, spans: Spans) -> None:
        self.aging = Aging(spans)
        self.state = StateTime(spans.born_mono)
        self.markets = {market: MarketView(spans) for market in markets}
        self.stale_ms = stale_ms
        """Its configured threshold: silence beyond it is not fresh."""
        self.skew = Skew()
        self.hops = Hops(spans.window_ns, spans.tick_ns)
        self.rates = Rates(spans.born_mono)
        self.late = 0
        """Usable market events that were old news when they were applied."""
        self.last_reconnect: tuple[Reconnect, int] | None = None
        """Last one announced, and the wall clock ns at its socket."""

    def judged(self, gone: tuple[str, str] | None, now_mono: int, now_wall: int) -> None:
        """Its connector is gone, for this reason and detail, or it is there."""
        self.state.judged(gone, now_mono, now_wall)
        for market in self.markets.values():
            market.state.judged(gone, now_mono, now_wall)

    def tick(self, now_mono: int, now_wall: int) -> None:
        """Measure."""
        self.aging.tick(now_mono, now_wall)
        self.skew.turn(now_mono)
        self.hops.tick(now_mono)
        for market in self.markets.values():
            market.aging.tick(now_mono, now_wall)
