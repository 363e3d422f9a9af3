"""Last values by topic, as raw frames: what a consumer is told who joins late or has lost something.

A book is kept as its last whole message and the deltas after it. Senders send a whole book again before the deltas
outgrow it; should one not, its book is dropped here and asked for anew. Log events leave no state.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bus.counters import Counter, Counters
from bus.errors import WireError
from bus.events import EVENT_TYPES, LOG_KINDS
from bus.runs import Run, Runs, takes_over
from bus.state import ORDER
from bus.wire import chain, decode_header, header_frame, run_prefix, split_topic

TOPICS: Final = 50_000
"""Topics kept at most; messages of others are passed on all the same."""
_NEVER: Final = b"\xff\xff"
"""Begins no header."""


class _Slot:
    """State of one chain."""

    __slots__ = ("deltas", "name", "prefix", "rank", "run", "sender", "size", "whole")

    def __init__(self, name: str) -> None:
        self.name = name.encode()
        kind, self.sender, _ = name.split(".", 2)
        self.rank = ORDER.index(kind) if kind in ORDER else None
        """Place of its kind in an answer; ``None``: it leaves no state."""
        self.run: Run | None = None
        self.prefix = _NEVER
        """How headers of its run begin."""
        self.clear()

    def clear(self) -> None:
        """Keep nothing."""
        self.whole: list[bytes] | None = None
        self.deltas: list[list[bytes]] = []
        self.size = 0


class Cache:
    """``beat`` counts seconds: the shell adds one with each heartbeat, and calls ``beaten``."""

    def __init__(self, counters: Counters, most_deltas: int, most_bytes: int) -> None:
        self.wanted: list[bytes] = []
        """Chains that producers are to be asked for."""
        self._counters = counters
        self._most_deltas = most_deltas
        self._most_bytes = most_bytes
        self._slots: dict[str, _Slot] = {}
        self._routes: dict[bytes, tuple[_Slot, bool]] = {}
        self._runs = Runs()
        self._beat = 0

    def store(self, frames: list[bytes]) -> bool:
        """Keep what a message says. Whether it is to be passed on: not when malformed, or of a process that is over.

        The header is decoded only when another run has begun; the payload never.
        """
        route = self._routes.get(frames[0])
        if route is None:
            route = self._discover(frames[0])
            if route is None:
                return False
        slot, is_delta = route
        same = len(frames) == 3 and frames[1].startswith(slot.prefix)  # noqa: PLR2004  (topic, header, payload)
        run = slot.run if same else self._switch(slot, frames)
        if run is None:
            return False
        run.seen = self._beat
        run.silent = False
        if is_delta:
            if slot.whole is not None:
                self._append(slot, frames)
        elif slot.rank is not None:
            slot.whole = frames
            if slot.deltas:
                slot.deltas = []
                slot.size = 0
        return True

    def beaten(self) -> None:
        """Another second is over: senders that said nothing for some of them count as silent."""
        self._beat += 1
        self._runs.silent(self._beat)

    def snapshot(self, prefixes: Iterable[bytes]) -> list[list[bytes]]:
        """State of all chains whose name begins with one of the prefixes, in an order in which it can be taken.

        A silent sender's state is not told: nobody knows whether it still holds.
        """
        wanted = tuple(prefixes)
        found = [
            slot
            for slot in self._slots.values()
            if slot.whole is not None and slot.name.startswith(wanted) and slot.run is not None and not slot.run.silent
        ]
        found.sort(key=lambda slot: slot.rank or 0)
        return [frames for slot in found if slot.whole for frames in (slot.whole, *slot.deltas)]

    def _append(self, slot: _Slot, frames: list[bytes]) -> None:
        slot.deltas.append(frames)
        slot.size += len(frames[2])
        if len(slot.deltas) > self._most_deltas or slot.size > self._most_bytes:
            self._counters.add(Counter.CACHE_OVERFLOWS)
            slot.clear()
            self.wanted.append(slot.name)

    def _discover(self, name: bytes) -> tuple[_Slot, bool] | None:
        try:
            kind, venue, market = split_topic(name)
        except WireError:
            self._counters.add(Counter.BAD_MESSAGES)
            return None
        key = chain(kind, venue, market)
        slot = self._slots.get(key) or _Slot(key)
        if kind not in EVENT_TYPES or kind in LOG_KINDS:
            slot.rank = None
        route = (slot, kind == "delta")
        if len(self._routes) < TOPICS:
            self._slots[key] = slot
            self._routes[name] = route
        return route

    def _switch(self, slot: _Slot, frames: list[bytes]) -> Run | None:
        """Another run than before sends on this chain; ``None`` when its message must be dropped."""
        try:
            header = decode_header(frames[0], header_frame(frames))
            prefix = run_prefix(frames[1], header)
        except WireError:
            self._counters.add(Counter.BAD_MESSAGES)
            return None
        run = self._runs.get(slot.sender, header.epoch, self._beat)
        old = slot.run
        if not takes_over(run, old, self._beat):
            self._counters.add(Counter.LATE_MESSAGES)
            return None
        if old is not None and old is not run:
            for other in self._slots.values():
                if other.run is old:
                    other.run, other.prefix = None, _NEVER
                    other.clear()
        slot.run, slot.prefix = run, prefix
        return run
