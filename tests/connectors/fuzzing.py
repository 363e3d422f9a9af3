"""What every fuzz test holds: all that is published fits the wire, no frame passes in silence, memory is flat."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bus.book import Book as Levels
from bus.events import USABLE, Book, Delta, Trust
from bus.wire import decode_payload, encode_payload
from connectors.effects import Count, Effects, Emit, Reject

MOST_GROWTH: Final = 24 << 20
"""Bytes that a run may grow by after its first fifth; a leak of 30 bytes a frame shows in a million."""
Quiet = Callable[[bytes], bool]


def resident() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Consumer:
    """Reads what is published by way of the wire, and keeps the books."""

    def __init__(self) -> None:
        self.books: dict[str, Levels] = {}
        self.trust: dict[str, Trust] = {}
        self.seq: dict[str, int | None] = {}
        self._rebuilds: dict[str, int] = {}

    def take(self, effects: Effects) -> None:
        """Every event survives the wire as it is; a delta continues the book it belongs to."""
        for effect in effects:
            if not isinstance(effect, Emit):
                continue
            event = effect.event
            assert decode_payload(event.kind, b"", encode_payload(event)) == event
            if not isinstance(event, Book | Delta):
                continue
            book = self.books.setdefault(effect.market, Levels())
            if isinstance(event, Book):
                book.replace(event.bid_px, event.bid_sz, event.ask_px, event.ask_sz)
                self._rebuilds[effect.market] = event.rebuild
            else:
                assert event.rebuild == self._rebuilds[effect.market]
                book.apply(event.bid_px, event.bid_sz, event.ask_px, event.ask_sz)
            self.trust[effect.market] = event.trust
            self.seq[effect.market] = event.venue_seq

    def usable(self, market: str) -> bool:
        """Whether the market's book may be used."""
        return self.trust.get(market) in USABLE


class Run:
    """One fuzz run: ``fed`` after every frame."""

    def __init__(self, frames: int, quiet: Quiet) -> None:
        self.consumer = Consumer()
        self.published = self.rejected = self.counted = self.acted = self.quiet = self.live = 0
        self._frames = frames
        self._may_be_quiet = quiet
        self._fed = 0
        self._resident = 0

    def fed(self, frame: bytes, effects: Effects) -> None:
        """The frame became an event, a counted refusal or an act, or is one that rightly says nothing."""
        kinds = {type(effect) for effect in effects}
        if Emit in kinds:
            self.published += 1
        elif Reject in kinds:
            self.rejected += 1
        elif Count in kinds:
            self.counted += 1
        elif kinds:
            self.acted += 1
        else:
            self.quiet += 1
            assert self._may_be_quiet(frame), frame
        self._fed += 1
        if self._fed == self._frames // 5:
            self._resident = resident()

    def ended(self) -> None:
        """Memory has not grown, and the run saw frames of every fate."""
        assert self._fed == self._frames
        assert resident() - self._resident < MOST_GROWTH
        assert self.published > self._frames // 50
        assert self.rejected > self._frames // 50
        print(  # noqa: T201  (shown by pytest -s and -rP: what a long run is run for)
            f"{self._fed} frames: {self.published} published, {self.rejected} rejected, {self.counted} counted, "
            f"{self.acted} acted upon, {self.quiet} quiet; {(resident() - self._resident) / 1e6:+.1f} MB"
        )
