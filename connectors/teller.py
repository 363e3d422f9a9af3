"""What a connector tells of itself: states and reconnects, on the bus and in a log that stays short whatever befalls.

Eighteen connections that a venue drops at once are one story: of lines of one kind and reason the first few are
written, and the others as one line with their number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from bus.counters import Counter
from bus.events import NO_MARKET, Book, Delta, Reason, Reconnect, State, Status, Trust
from connectors import effects as fx
from connectors.budget import Window
from connectors.effects import Effects, Now
from connectors.health import Health
from connectors.ports import Ports
from connectors.venue import Budget

Why: TypeAlias = tuple[str, str]
"""Reason and detail."""
TROUBLE: Final = frozenset({State.STALE, State.RECOVERING, State.DOWN})
LINES: Final = 3
"""Lines of one kind and reason written in full within ``FOLD_NS``."""
FOLD_NS: Final = 1_000_000_000
SAMPLES: Final = Budget(5, 60_000_000_000)
"""Bad frames shown."""
SAMPLE_BYTES: Final = 300
KINDS: Final = 100
"""Kinds followed; there are some twenty reasons."""
_COUNTED: Final = {
    Counter.SEQ_GAPS.label: Reason.SEQ_GAP.value,
    Counter.CROSSED_BOOKS.label: Reason.CROSSED_BOOK.value,
    Counter.CHECK_MISMATCHES.label: "check_mismatch",
}
_BY_ITSELF: Final = {Trust.STALE: Reason.MARKET_STALE.value, Trust.RESYNC: "resync", Trust.LIVE: "snapshot"}


class _Story(msgspec.Struct):
    level: str
    event: str
    reason: object
    until: int
    written: int = 0
    held: int = 0


class Teller:
    """Of one connector, for its life."""

    def __init__(self, ports: Ports, markets: tuple[str, ...], now: Now) -> None:
        self.health = Health(markets, now)
        self._ports = ports
        self._stories: dict[tuple[str, object], _Story] = {}
        self._samples = Window(SAMPLES)
        for market, status in self.health.all():
            ports.publish(market, status, now)

    @property
    def deadline(self) -> int | None:
        """Monotonic ns when lines held back are due, ``None`` when there are none."""
        return min((story.until for story in self._stories.values() if story.held), default=None)

    def book(self, market: str, trust: Trust, why: Why, now: Now) -> None:
        """The market's book is published with another trust than before."""
        self._statuses(self.health.book(market, trust, *why, now), now)

    def move(self, markets: tuple[str, ...], state: State, reason: str, detail: str, now: Now) -> None:
        """These markets enter a state, where that is an allowed transition."""
        self._statuses(self.health.move(markets, state, reason, detail, now), now)

    def left(self, event: Reconnect, now: Now) -> None:
        """A connection was given up, or an attempt failed."""
        self._ports.publish(NO_MARKET, event, now)
        fields = {"conn": event.connection, "reason": event.reason.value, "count": event.count}
        self.line("warning", "reconnect", now, **fields, detail=event.detail, wait_ms=event.retry_in_ms)

    def rejected(self, effect: fx.Reject, now: Now) -> None:
        """A frame could not be digested: a bounded sample of a few."""
        if self._samples.wait_ns(now.mono) == 0:
            self._samples.take(now.mono)
            sample = effect.sample[:SAMPLE_BYTES].decode(errors="backslashreplace")
            fields = {"conn": effect.conn, "problem": effect.problem, "sample": sample}
            self._ports.log("warning", "bad_frame", fields)

    def line(self, level: str, event: str, now: Now, /, **fields: object) -> None:
        """Write a log line, or count it among those of its kind and reason that are told together."""
        self.flush(now)
        key = event, fields.get("reason")
        story = self._stories.get(key)
        if story is None:
            if len(self._stories) >= KINDS:
                self._stories.clear()
            story = self._stories[key] = _Story(level, event, key[1], now.mono + FOLD_NS)
        if story.written < LINES:
            story.written += 1
            self._ports.log(level, event, fields)
        else:
            story.held += 1

    def flush(self, now: Now) -> None:
        """Tell of the lines held back whose time is over."""
        if not self._stories:
            return
        for key, story in list(self._stories.items()):
            if story.until <= now.mono:
                del self._stories[key]
                if story.held:
                    reason = {} if story.reason is None else {"reason": story.reason}
                    self._ports.log(story.level, f"{story.event}_more", {**reason, "lines": story.held})

    def _statuses(self, found: list[tuple[str, Status]], now: Now) -> None:
        for market, status in found:
            self._ports.publish(market, status, now)
            fields: Mapping[str, object] | None = self.health.line(market, status)
            if fields is not None:
                self._ports.log("warning" if status.state in TROUBLE else "info", status.state.value, fields)


def cause(effects: Effects, turned: fx.Emit) -> Why:
    """Why a book changed its trust, as reason and detail: what is done about it, or counted, beside it says so."""
    counted = ""
    for effect in effects:
        if isinstance(effect, fx.Reconnect):
            return effect.reason.value, effect.detail
        if isinstance(effect, fx.Note) and "reason" in effect.fields:
            return str(effect.fields["reason"]), str(effect.fields.get("why", ""))
        if isinstance(effect, fx.Count):
            counted = counted or _COUNTED.get(effect.label, "")
    event = turned.event
    return counted or (_BY_ITSELF.get(event.trust, event.trust.value) if isinstance(event, Book | Delta) else ""), ""
