"""Drives a venue's protocol in memory as the engine does: time passes, effects are kept, a reconnect closes at once."""

from __future__ import annotations

import json
import random
from typing import Any, TypeAlias

import msgspec

from bus.events import Bbo, Book, Check, Delta, Funding, Instrument, Reason, Stats, Trade, Trust
from bus.settings import DEFAULT_VENUES
from connectors.effects import Count, Effects, Emit, Fetch, Note, Now, Open, Reconnect, Reject, Reply
from connectors.feed import Rebuilds, SeenTrades
from connectors.venue import Context, load

S = 1_000_000_000
START = 1_000 * S
WALL = 1_790_000_000 * S
"""Wall clock at the start, 800 s after a full hour."""
MS = WALL // 1_000_000
"""The same in milliseconds."""
Frame: TypeAlias = dict[str, Any]
ODD: list[Any] = [None, True, -1, 0, 2**63, 2**64, 1e400, "", "NaN", "Infinity", "-1.0", "x", [], {}, [[]], [None] * 3]


class Drive:
    """One protocol with one connection ``main``. Each call returns its effects; everything is also kept in ``all``."""

    def __init__(
        self, venue: str, markets: tuple[str, ...], seen: SeenTrades | None, settings: dict[str, object]
    ) -> None:
        chosen = msgspec.structs.replace(DEFAULT_VENUES[venue], markets=markets, **settings)
        self.protocol = load(venue)[1](Context(chosen, Rebuilds(), seen or SeenTrades()))
        self.s = 0.0
        self.all: Effects = []
        self.is_open = False

    @property
    def now(self) -> Now:
        return Now(START + round(self.s * S), WALL + round(self.s * S))

    def _keep(self, effects: Effects) -> Effects:
        self.all += effects
        kept = list(effects)
        for effect in effects:
            if isinstance(effect, Reconnect) and self.is_open:
                kept += self.close()
        return kept

    def start(self) -> Effects:
        return self._keep(self.protocol.start(self.now))

    def open(self) -> Effects:
        self.is_open = True
        return self._keep(self.protocol.opened("main", self.now))

    def close(self) -> Effects:
        self.is_open = False
        return self._keep(self.protocol.closed("main", self.now))

    def frame(self, frame: object, *, binary: bool = False) -> Effects:
        data = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
        return self._keep(self.protocol.received("main", data, binary, self.now))

    def answer(self, call: Fetch, body: object, status: int | None = 200, **headers: str) -> Effects:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        problem = "timed out" if status is None else None
        reply = Reply(status, data if status else b"", headers, problem)
        return self._keep(self.protocol.fetched(call, reply, self.now))

    def wait(self, seconds: float) -> Effects:
        """Let time pass; whatever becomes due is woken at its time, as often as it asks for."""
        end, found, turns = self.s + seconds, list[Any](), 0
        while (due := self.protocol.deadline) is not None and due <= START + round(end * S):
            self.s = max(self.s, (due - START) / S)
            found += self._keep(self.protocol.woken(self.now))
            turns += 1
            assert turns < 10_000, "woken again and again without progress"
        self.s = end
        return found

    @property
    def time(self) -> int:
        """Milliseconds of the venue's clock, which is ours."""
        return MS + round(self.s * 1_000)

    def calls(self, name: str) -> list[Fetch]:
        return [effect for effect in self.all if isinstance(effect, Fetch) and effect.name == name]

    @property
    def trust(self) -> dict[str, Trust]:
        """Trust of each market's book as a reader of the events knows it."""
        return {e.market: e.event.trust for e in self.all if isinstance(e, Emit) and isinstance(e.event, Book | Delta)}


def events(effects: Effects, kind: type[Any] | None = None) -> list[Any]:
    wanted = kind or (Bbo, Book, Check, Delta, Funding, Instrument, Stats, Trade)
    return [effect.event for effect in effects if isinstance(effect, Emit) and isinstance(effect.event, wanted)]


def books(effects: Effects) -> list[Book | Delta]:
    return [*events(effects, Book), *events(effects, Delta)]


def counted(effects: Effects) -> list[str]:
    return [effect.label for effect in effects if isinstance(effect, Count)]


def reasons(effects: Effects) -> list[Reason]:
    return [effect.reason for effect in effects if isinstance(effect, Reconnect)]


def notes(effects: Effects) -> list[str]:
    return [effect.event for effect in effects if isinstance(effect, Note)]


def rejected(effects: Effects) -> list[str]:
    return [effect.problem for effect in effects if isinstance(effect, Reject)]


def opens(effects: Effects) -> list[str]:
    return [effect.url for effect in effects if isinstance(effect, Open)]


def mutated(frame: object, rng: random.Random) -> bytes:
    """Break a frame: swap or drop values within it, or cut and flip its bytes; or leave it as it is."""
    frame = json.loads(json.dumps(frame))
    holders: list[tuple[Any, Any]] = []
    stack = [frame]
    while stack:
        item = stack.pop()
        pairs = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
        for key, value in list(pairs):
            holders.append((item, key))
            stack.append(value)
    for _ in range(rng.randint(0, 3)):
        holder, key = rng.choice(holders)
        try:
            if rng.random() < 0.3:
                del holder[key]
            else:
                holder[key] = rng.choice(ODD)
        except (IndexError, KeyError):
            continue
    data = bytearray(json.dumps(frame).encode())
    if rng.random() < 0.2:
        data = data[: rng.randrange(len(data))]
    for _ in range(rng.choice((0, 0, 0, 1, 5)) if data else 0):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)
