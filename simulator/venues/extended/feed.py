"""One market's book stream: the last full snapshot and every delta since, for whoever comes late (pure)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from simulator.book import merge, split
from simulator.venues.extended import facts
from simulator.venues.extended.messages import Payload, Printer

if TYPE_CHECKING:
    from simulator.book import Change, Levels
    from simulator.truth import Truth


class Feed:
    """Cuts the truth's steps into frames. A frame's time says exactly which steps are in it."""

    def __init__(self, truth: Truth, ts_ms: int) -> None:
        self.truth = truth
        self.printer = Printer(truth.spec)
        self._number = truth.number
        self._touch = truth.book.touch()
        self._touch_us = 0
        self._snapshot = self._full(ts_ms)
        self._since: list[Payload] = []

    def delta(self, ts_ms: int) -> Payload | None:
        """What changed since the last frame; None when nothing did."""
        changes = self._pending()
        return self._changed(ts_ms, changes) if changes else None

    def snapshot(self, ts_ms: int) -> tuple[Payload, Payload]:
        """The pending (or an empty) delta and the full book, both of the same time; forgets older deltas."""
        pending = self._changed(ts_ms, self._pending())
        self._snapshot = self._full(ts_ms)
        self._since = []
        return pending, self._snapshot

    def _pending(self) -> list[Change]:
        changes = merge([version.changes for version in self.truth.versions_after(self._number)])
        self._number = self.truth.number
        return changes

    def _changed(self, ts_ms: int, changes: list[Change]) -> Payload:
        bids, asks = split(sorted(changes, key=lambda change: change.price))
        bids.reverse()
        befores = {(change.side, change.price): change.before for change in changes}
        render = partial(self.printer.delta, befores=befores)
        payload = Payload(
            "delta", self.truth.spec.market, "ORDERBOOKS.DELTA", render(bids, asks), ts_ms, bids, asks, render
        )
        self._since.append(payload)
        return payload

    @property
    def deltas(self) -> int:
        """How many deltas a new subscriber would be sent."""
        return len(self._since)

    def catch_up(self) -> list[Payload]:
        """What a new subscriber gets at once: an old book and all that happened since."""
        return [self._snapshot, *self._since]

    def touch(self, ts_ms: int) -> Payload:
        """The best prices now."""
        bids, asks = self.truth.book.top_bids(1), self.truth.book.top_asks(1)
        render = self._render_touch
        return Payload(
            "bbo", self.truth.spec.market, "ORDERBOOKS.SNAPSHOT", render(bids, asks), ts_ms, bids, asks, render
        )

    def moved(self, now_us: int) -> bool:
        """Whether the best prices differ from what was told last, and may be told again."""
        touch = self.truth.book.touch()
        if touch == self._touch or now_us < self._touch_us + facts.BBO_MIN_S * 1e6:
            return False
        self._touch, self._touch_us = touch, now_us
        return True

    def empty(self, ts_ms: int) -> Payload:
        """What a market without executable quotes shows: nothing on both sides."""
        data = self.printer.snapshot([], [])
        return Payload("snapshot", self.truth.spec.market, "ORDERBOOKS.SNAPSHOT", data, ts_ms)

    def _render_touch(self, bids: Levels, asks: Levels) -> bytes:
        return self.printer.snapshot(bids, asks, "1")

    def _full(self, ts_ms: int) -> Payload:
        bids, asks = self.truth.book.top_bids(), self.truth.book.top_asks()
        render = self.printer.snapshot
        return Payload(
            "snapshot", self.truth.spec.market, "ORDERBOOKS.SNAPSHOT", render(bids, asks), ts_ms, bids, asks, render
        )
