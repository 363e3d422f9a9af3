"""Requests for state to the publisher's ROUTER and its answers, as frames; byte for byte in ``docs/wire.md``."""

from __future__ import annotations

from enum import Enum
from typing import Final, assert_never

import msgspec

from bus.errors import WireError

ITEM: Final = b"ITEM"
END: Final = b"END"
REFUSED: Final = b"REFUSED"

WELCOME: Final = b"~"
"""First byte of the topic by which the publisher tells a consumer that its subscriptions are in force. It is the last
printable one, so that resent subscriptions, which come in byte order, end with it."""

MAX_PREFIXES: Final = 1_000
MAX_ID: Final = 64


class Wish(bytes, Enum):
    """Why state is asked for."""

    STATE = b"STATE"
    """Joining, or back after having been away."""
    HEAL = b"HEAL"
    """Messages were lost."""
    FRESH = b"FRESH"
    """The answer to HEAL did not help: producers are to be asked, too, to say their state again."""


class Request(msgspec.Struct, frozen=True):
    """A wish for the state of all chains whose name begins with one of the prefixes (empty: all)."""

    id: bytes
    """Chosen by the consumer, 1 to 64 bytes; comes back in the answers."""
    prefixes: tuple[bytes, ...]
    wish: Wish = Wish.STATE


class Item(msgspec.Struct, frozen=True):
    """One message of the state, as it was published."""

    id: bytes
    frames: list[bytes]


class End(msgspec.Struct, frozen=True):
    """All items of this request have been sent."""

    id: bytes


class Refused(msgspec.Struct, frozen=True):
    """The request is not answered: too many of them. Ask again after ``retry_ms``."""

    id: bytes
    retry_ms: int


def encode_request(request: Request) -> list[bytes]:
    """Frames of a request, without the identity that ROUTER adds."""
    return [request.wish.value, request.id, *request.prefixes]


def decode_request(frames: list[bytes]) -> Request:
    """Request from its frames, without the identity. Raises WireError."""
    match frames:
        case [b"STATE" | b"HEAL" | b"FRESH" as name, ident, _, *_]:
            if not 0 < len(ident) <= MAX_ID or len(frames) - 2 > MAX_PREFIXES:
                raise WireError(name, "request id or number of prefixes out of bounds")
            return Request(ident, tuple(frames[2:]), Wish(name))
        case _:
            raise WireError(frames[0] if frames else b"", "not a state request")


def encode_answer(answer: Item | End | Refused) -> list[bytes]:
    """Frames of an answer, without the identity."""
    match answer:
        case Item(ident, frames):
            return [ITEM, ident, *frames]
        case End(ident):
            return [END, ident]
        case Refused(ident, retry_ms):
            return [REFUSED, ident, b"%d" % retry_ms]
        case _:
            assert_never(answer)


def decode_answer(frames: list[bytes]) -> Item | End | Refused:
    """Answer from its frames. Raises WireError."""
    match frames:
        case [b"ITEM", ident, topic, header, payload]:
            return Item(ident, [topic, header, payload])
        case [b"END", ident]:
            return End(ident)
        case [b"REFUSED", ident, retry] if retry.isdigit() and len(retry) < 10:  # noqa: PLR2004  (fits 32 bits)
            return Refused(ident, int(retry))
        case _:
            raise WireError(frames[0] if frames else b"", "not an answer")
