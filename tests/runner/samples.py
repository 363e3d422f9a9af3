"""Events and headers that the runner's tests speak of."""

from __future__ import annotations

from bus.events import Bbo, Book, BusEvent, Delta, Heartbeat, Source, State, Status, Trust
from bus.items import Message
from bus.wire import SCHEMA, Header
from runner.engine import Engine, Plan, Watched

MS = 1_000_000
S = 1_000 * MS
MONO = 5_000 * S
"""Monotonic ns when the tests' runner begins."""
WALL = 1_795_000_000 * S
"""Wall clock ns at the same instant."""
MARKET = "BTC-PERP"


def header(at: int = MONO, *, epoch: int = 1, seq: int = 1, line: str = "a", wall_offset: int = WALL - MONO) -> Header:
    """Header of a message whose cause was read at monotonic ``at`` and published 50 µs later."""
    return Header(SCHEMA, line, epoch, seq, at + wall_offset, at, at + 50_000)


def message(
    event: BusEvent, at: int = MONO, *, venue: str = "aster", market: str = MARKET, took_ns: int = 200_000
) -> Message:
    """An event whose cause was read at monotonic ``at`` and which was applied ``took_ns`` later."""
    return Message(event.kind, venue, market, header(at), event, at + took_ns)


def book(trust: Trust = Trust.LIVE, venue_ns: int | None = WALL, rebuild: int = 1) -> Book:
    """A book of two levels a side."""
    return Book(
        venue_ns, 1, trust, rebuild, Source.STREAM, [100.0, 99.0], [1.0, 2.0], [101.0, 102.0], [3.0, 4.0]
    )  # fmt: skip


def delta(trust: Trust = Trust.LIVE, venue_ns: int | None = WALL, rebuild: int = 1) -> Delta:
    """A delta of one level."""
    return Delta(venue_ns, 2, trust, rebuild, [100.0], [5.0], [], [])


def bbo(trust: Trust = Trust.LIVE, venue_ns: int | None = WALL) -> Bbo:
    """A quote with its ask missing."""
    return Bbo(venue_ns, 3, trust, 1, Source.STREAM, 100.5, 1.5, None, None)


def status(state: State, since_ns: int = WALL, previous: State = State.INIT, reason: str = "snapshot") -> Status:
    """A status."""
    return Status(state, previous, reason, "", since_ns)


def heartbeat(counters: dict[str, int] | None = None, *, pid: int = 42, cpu_s: float = 1.0) -> Heartbeat:
    """A heartbeat of a process that started with the runner."""
    return Heartbeat(pid, WALL, counters or {}, {}, 0.5, 30_000_000, cpu_s)


def plan(*, same_host: bool = True, tick_ms: int = 250, window_s: int = 60) -> Plan:
    """Two venues of one and two markets."""
    return Plan(
        (Watched("hyperliquid", (MARKET,), 10_000), Watched("aster", (MARKET, "ETH-PERP"), 10_000)),
        ("hyperliquid", "aster", "publisher"),
        tick_ms,
        window_s,
        same_host,
    )


def engine(*, same_host: bool = True) -> Engine:
    """An engine that begins at ``MONO`` and ``WALL``."""
    return Engine(plan(same_host=same_host), MONO, WALL)
