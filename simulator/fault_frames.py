"""What each fault makes of one frame (pure)."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from simulator.frames import Connection, Cut, Drip, Frame, Later, Op, Raw, Send, Step, wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from simulator.book import Levels
    from simulator.faults import Fault

    Effect = Callable[[Fault, Connection, Frame, float, "Market | None", Random], tuple[Step, ...]]

MEGABYTE = 1 << 20


class Market(Protocol):
    """The present book of a market, best levels first, in ticks and lots."""

    def top_bids(self, depth: int | None = None) -> Levels:
        """Bids."""

    def top_asks(self, depth: int | None = None) -> Levels:
        """Asks."""


def takes_turn(fault: Fault, venue: str, market: str | None) -> bool:
    """Count an eligible frame, and say whether it is one to be altered by ``every`` and ``times``."""
    counts = fault.counts.setdefault((venue, market), [0, 0])
    counts[0] += 1
    every, times = int(fault.number("every")), int(fault.number("times"))
    if (counts[0] % max(1, every)) or (times and counts[1] >= times):
        return False
    counts[1] += 1
    fault.applied += 1
    return True


def _note(fault: Fault, connection: Connection, market: str | None, make: Callable[[], Any]) -> Any:  # noqa: ANN401
    key = f"{fault.id}:{market}"
    if key not in connection.notes:
        connection.notes[key] = make()
    return connection.notes[key]


def _lost(
    fault: Fault, connection: Connection, frame: Frame, at: float, market: Market | None, rng: Random
) -> tuple[Step, ...]:
    del connection, frame, at, market, rng
    fault.applied += 1
    return ()


def _late(
    fault: Fault, connection: Connection, frame: Frame, at: float, market: Market | None, rng: Random
) -> tuple[Step, ...]:
    del market
    if "times" not in fault.request.params:
        fault.applied += 1
    elif not takes_turn(fault, connection.venue, frame.market):
        return (Send(frame),)
    jitter = fault.number("jitter_s") if "jitter_s" in fault.request.params else 0.0
    return (Later(frame, at + fault.number("delay_s") + (rng.uniform(0, jitter) if jitter else 0.0), fault.id),)


def _gap(
    fault: Fault, connection: Connection, frame: Frame, at: float, market: Market | None, rng: Random
) -> tuple[Step, ...]:
    del at, market, rng
    left = _note(fault, connection, frame.market, lambda: [0])
    if not left[0]:
        if not takes_turn(fault, connection.venue, frame.market):
            return (Send(frame),)
        left[0] = int(fault.number("count"))
    left[0] -= 1
    return ()


def _duplicate(
    fault: Fault, connection: Connection, frame: Frame, at: float, market: Market | None, rng: Random
) -> tuple[Step, ...]:
    del at, market, rng
    again = takes_turn(fault, connection.venue, frame.market)
    return (Send(frame), Send(frame)) if again else (Send(frame),)


def _reorder(
    fault: Fault, connection: Connection, frame: Frame, at: float, market: Market | None, rng: Random
) -> tuple[Step, ...]:
    del at, market, rng
    held: list[Frame] = _note(fault, connection, frame.market, list)
    if held:
        return (Send(frame), Send(held.pop()))
    if takes_turn(fault, connection.venue, frame.market):
        held.append(frame)
        return ()
    return (Send(frame),)


def _replay(
    fault: Fault, connection: Connection, frame: Frame, at: float, market: Market | None, rng: Random
) -> tuple[Step, ...]:
    del at, market, rng
    count = int(fault.number("count"))
    recent: deque[Frame] = _note(fault, connection, frame.market, lambda: deque(maxlen=count))
    recent.append(frame)
    if len(recent) == count and takes_turn(fault, connection.venue, frame.market):
        return (Send(frame), *(Send(old) for old in recent))
    return (Send(frame),)


def _crossed(
    fault: Fault, connection: Connection, frame: Frame, at: float, market: Market | None, rng: Random
) -> tuple[Step, ...]:
    del at, rng
    asks = market.top_asks(1) if market is not None else []
    if frame.render is None or not asks or not takes_turn(fault, connection.venue, frame.market):
        return (Send(frame),)
    price = max(asks[0][0], *(ask for ask, _ in frame.asks or asks)) if frame.kind == "delta" else asks[0][0]
    bid = (price + int(fault.number("ticks")), asks[0][1] + 1)
    return (Send(frame.with_data(frame.render([bid, *(frame.bids or [])], frame.asks or []))),)


def _emptied(
    fault: Fault, connection: Connection, frame: Frame, at: float, market: Market | None, rng: Random
) -> tuple[Step, ...]:
    del at, rng
    if frame.render is None or market is None or not takes_turn(fault, connection.venue, frame.market):
        return (Send(frame),)
    side = fault.text("side")
    bids, asks = frame.bids or [], frame.asks or []
    if side != "asks":
        bids = _none_of(bids, market.top_bids(), frame)
    if side != "bids":
        asks = _none_of(asks, market.top_asks(), frame)
    return (Send(frame.with_data(frame.render(bids, asks))),)


def _none_of(changed: Levels, present: Levels, frame: Frame) -> Levels:
    """An empty side as this kind of frame says it: nothing in a full book, zero sizes in a diff."""
    if frame.kind != "delta":
        return []
    return [(price, 0) for price in {price: None for price, _ in [*present, *changed]}]


def _corrupt(
    fault: Fault, connection: Connection, frame: Frame, at: float, market: Market | None, rng: Random
) -> tuple[Step, ...]:
    del at, rng
    if frame.render is None or market is None or not takes_turn(fault, connection.venue, frame.market):
        return (Send(frame),)
    factor = fault.number("factor")
    sides = []
    for own, present in ((frame.bids or [], market.top_bids(1)), (frame.asks or [], market.top_asks(1))):
        touch = present if frame.kind == "delta" else own[:1]
        wrong = {price: max(1, int(size * factor)) for price, size in touch}
        kept = [(price, size) for price, size in own if price not in wrong]
        sides.append([*wrong.items(), *kept])
    return (Send(frame.with_data(frame.render(sides[0], sides[1]))),)


def _altered(alter: Callable[[Fault, Frame, Random], tuple[Step, ...]]) -> Effect:
    """An effect that depends on nothing but the frame."""

    def effect(
        fault: Fault, connection: Connection, frame: Frame, at: float, market: Market | None, rng: Random
    ) -> tuple[Step, ...]:
        del at, market
        if not takes_turn(fault, connection.venue, frame.market):
            return (Send(frame),)
        return alter(fault, frame, rng)

    return effect


def _truncated(fault: Fault, frame: Frame, rng: Random) -> tuple[Step, ...]:
    del rng
    return (Send(frame.with_data(frame.data[: int(len(frame.data) * fault.number("keep"))])),)


def _half_frame(fault: Fault, frame: Frame, rng: Random) -> tuple[Step, ...]:
    del rng
    data = wire(frame)
    return (Raw(data[: len(data) // 2]), Cut("rst" if fault.flag("rst") else "fin"))


def _garbage(fault: Fault, frame: Frame, rng: Random) -> tuple[Step, ...]:
    return (Send(frame.with_data(rng.randbytes(int(fault.number("bytes"))))),)


def _giant(fault: Fault, frame: Frame, rng: Random) -> tuple[Step, ...]:
    del rng
    filler = b" " if frame.op is Op.TEXT else b"\0"
    return (Send(frame.with_data(frame.data.ljust(int(fault.number("megabytes") * MEGABYTE), filler))),)


def _drip(fault: Fault, frame: Frame, rng: Random) -> tuple[Step, ...]:
    del rng
    return (Drip(frame, fault.number("gap_s"), fault.id),)


def _wrong_types(fault: Fault, frame: Frame, rng: Random) -> tuple[Step, ...]:
    del fault
    try:
        value = json.loads(frame.data)
    except ValueError:
        return (Send(frame.with_data(flipped(frame.data, rng))),)
    return (Send(frame.with_data(json.dumps(retyped(value)).encode())),)


def flipped(data: bytes, rng: Random, bits: int = 24) -> bytes:
    """The same bytes with some bits flipped."""
    changed = bytearray(data)
    for _ in range(bits if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def retyped(value: Any, key: str = "") -> Any:  # noqa: ANN401 - any JSON
    """The same structure with leaves of other types; what names the channel stays, so that it is still routed."""
    if isinstance(value, dict):
        return {name: retyped(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [retyped(inner, key) for inner in value]
    if key in _NAMES:
        return value
    return {"value": value} if isinstance(value, bool | int | float | None) else 12345


_NAMES = frozenset({"channel", "type", "stream", "e", "coin", "s", "m", "jsonrpc", "method", "topic"})


def _burst(
    fault: Fault, connection: Connection, frame: Frame, at: float, market: Market | None, rng: Random
) -> tuple[Step, ...]:
    del connection, market, rng
    fault.applied += 1
    hold = max(0.001, fault.number("hold_s"))
    return (Later(frame, fault.began + (int((at - fault.began) / hold) + 1) * hold, fault.id),)


def _backlog(
    fault: Fault, connection: Connection, frame: Frame, at: float, market: Market | None, rng: Random
) -> tuple[Step, ...]:
    del connection, market, rng
    fault.applied += 1
    return (Later(frame, fault.began + (at - fault.began) / max(0.01, fault.number("speed")), fault.id),)


EFFECTS: dict[str, Effect] = {
    "stall": _lost,
    "mute": _lost,
    "no_ack": _lost,
    "no_snapshot": _lost,
    "no_pong": _lost,
    "late_ack": _late,
    "late_snapshot": _late,
    "delay": _late,
    "gap": _gap,
    "duplicate": _duplicate,
    "reorder": _reorder,
    "replay": _replay,
    "crossed": _crossed,
    "emptied": _emptied,
    "corrupt": _corrupt,
    "truncated": _altered(_truncated),
    "half_frame": _altered(_half_frame),
    "garbage": _altered(_garbage),
    "giant": _altered(_giant),
    "drip": _altered(_drip),
    "wrong_types": _altered(_wrong_types),
    "burst": _burst,
    "backlog": _backlog,
}
