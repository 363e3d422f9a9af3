"""What leaves a connection, and the one hook that everything leaving passes through (pure).

A fault never reaches into a venue: it is a ``Hook`` that turns one outgoing ``Frame`` into steps (send, wait, drip,
cut), refuses a handshake, or replaces a REST answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.book import Levels

Kind = Literal["ack", "error", "snapshot", "delta", "bbo", "trades", "stats", "ping", "pong", "control", "close"]


class Op(IntEnum):
    """WebSocket opcodes (RFC 6455, 5.2)."""

    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


@dataclass(frozen=True, slots=True)
class Frame:
    """One WebSocket message on its way out.

    ``market`` is our id (``BTC-PERP``) or None when the frame is of no single market. ``render`` builds the same book
    frame from other levels ``(bids, asks)`` in ticks and lots (``bids`` and ``asks`` are what it was built from); None
    when the frame shows no levels. For ``Op.CLOSE`` ``code`` and ``data`` (the reason) hold the closing handshake.
    """

    data: bytes
    kind: Kind
    market: str | None = None
    op: Op = Op.TEXT
    render: Callable[[Levels, Levels], bytes] | None = None
    bids: Levels | None = None
    asks: Levels | None = None
    code: int = 1000
    acknowledges: bool = False
    """Whether it acknowledges a subscription although its kind is not ``ack`` (a first data frame that is the ack)."""

    def with_data(self, data: bytes) -> Frame:
        """The same frame with other bytes."""
        return replace(self, data=data)

    @property
    def is_market_data(self) -> bool:
        """Whether it carries market data rather than control."""
        return self.kind in MARKET_DATA


MARKET_DATA = frozenset({"snapshot", "delta", "bbo", "trades", "stats"})


SHORT = 126
"""From this size on a frame's length takes two or eight further bytes."""


@dataclass(frozen=True, slots=True)
class Send:
    """Write the frame."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Later:
    """Write the frame at an instant of the monotonic clock, without holding what is behind it.

    Frames due at the same instant keep their order. When ``fault`` ends first, the frame leaves then.
    """

    frame: Frame
    at: float
    fault: str


@dataclass(frozen=True, slots=True)
class Drip:
    """Write the frame's bytes one at a time, ``gap_s`` apart, while ``fault`` lasts."""

    frame: Frame
    gap_s: float
    fault: str


@dataclass(frozen=True, slots=True)
class Raw:
    """Write bytes to the transport as they are (a broken WebSocket frame)."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """End the connection: ``fin`` closes TCP without a close frame, ``rst`` resets it."""

    how: Literal["fin", "rst"] = "fin"


Mode = Literal["serve", "refuse", "blackhole", "accept_close", "accept_reset"]
"""What a port does with a connect."""

Step = Send | Later | Drip | Raw | Cut


@dataclass(slots=True)
class Connection:
    """What a hook may know about a connection, and its own notes on it."""

    number: int
    venue: str
    path: str
    remote: str
    opened_at: float
    notes: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer put in place of the venue's own; ``status`` 0 closes the connection without one.

    ``delay_s`` is waited first; with ``then_serve`` the venue's own answer follows the wait.
    """

    status: int = 0
    body: bytes = b""
    content_type: str = "text/plain"
    headers: tuple[tuple[str, str], ...] = ()
    delay_s: float = 0.0
    then_serve: bool = False


class Hook:
    """Passes everything. Faults override it; ``idle`` lets the hot path skip it."""

    idle = True

    def active(self, fault: str) -> bool:
        """Whether a fault, by its id, is in force."""
        del fault
        return False

    def opened(self, connection: Connection, now: float) -> tuple[Step, ...]:
        """Steps to take as soon as an upgrade is answered."""
        del connection, now
        return ()

    def incoming(self, connection: Connection, message: str | bytes, now: float) -> tuple[Step, ...] | None:
        """Decide about a client's message: None lets the venue have it, steps are taken in its place."""
        del connection, message, now
        return None

    def outgoing(self, connection: Connection, frame: Frame, queued_at: float) -> tuple[Step, ...]:
        """Turn one frame about to be written into steps."""
        del connection, queued_at
        return (Send(frame),)

    def withholds(self, connection: Connection, kind: Kind, market: str | None, now: float) -> bool:
        """Whether a frame of one silent market is not even made, and takes no number from others on its socket."""
        del connection, kind, market, now
        return False

    def handshake(self, venue: str, path: str, now: float) -> Answer | None:
        """Decide about a WebSocket upgrade; None lets it through."""
        del venue, path, now
        return None

    def rest(self, venue: str, path: str, now: float) -> Answer | None:
        """Decide about a REST request; None lets it through."""
        del venue, path, now
        return None


def wire(frame: Frame) -> bytes:
    """The bytes of an unmasked, unfragmented WebSocket frame (RFC 6455, 5.2), for frames written by hand."""
    size = len(frame.data)
    head = bytes([0x80 | frame.op])
    if size < SHORT:
        return head + bytes([size]) + frame.data
    if size < 1 << 16:
        return head + b"\x7e" + size.to_bytes(2) + frame.data
    return head + b"\x7f" + size.to_bytes(8) + frame.data
