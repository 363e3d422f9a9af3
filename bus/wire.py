"""Events to ZeroMQ frames and back; byte for byte in ``docs/wire.md``.

A message is three frames: topic ``kind.venue.market``, header, payload. Header and payload are MessagePack arrays.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgpack
import msgspec

from bus.errors import WireError
from bus.events import EVENT_TYPES, BusEvent, Seq

SCHEMA: Final = 1
"""Version of header and payload layouts. Appending a field with a default does not change it; all else does."""

BOOK_CHAIN_KINDS: Final = frozenset({"book", "delta"})
"""Kinds that share one sequence, so that a lost delta or book is seen by whoever follows the book."""


Ns: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Header(msgspec.Struct, frozen=True, array_like=True):
    """What a message says of itself."""

    schema: int
    line: str
    """Which of several redundant connectors of one venue it came by; ``a`` unless configured."""
    epoch: Ns
    """Which run of the sending process: its start in wall clock ns. A greater one is newer, see ``bus.runs``."""
    seq: Seq
    """Position in the topic's chain within this epoch, from 1 in steps of 1."""
    recv_ns: Ns
    """Wall clock when the cause was read from the socket."""
    mono_ns: Ns
    """Monotonic clock at the same instant; comparable only on the same host."""
    pub_ns: Ns
    """Monotonic clock when the message was handed to ZeroMQ."""


# Text that is not UTF-8 has an error of its own; the first two are what msgspec's documents name.
_UNDECODABLE: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
_pack_header = msgpack.Packer(autoreset=True).pack
_encode_payload = msgspec.msgpack.Encoder().encode
_decode_header = msgspec.msgpack.Decoder(Header).decode
_decoders: dict[str, msgspec.msgpack.Decoder[BusEvent]] = {
    kind: msgspec.msgpack.Decoder(event) for kind, event in EVENT_TYPES.items()
}


def topic(kind: str, venue: str, market: str) -> bytes:
    """The first frame, ``kind.venue.market``."""
    return f"{kind}.{venue}.{market}".encode()


def chain(kind: str, venue: str, market: str) -> str:
    """Name of the sequence that a topic belongs to: its own, except that ``delta`` counts along with ``book``."""
    return f"{'book' if kind in BOOK_CHAIN_KINDS else kind}.{venue}.{market}"


def split_topic(frame: bytes) -> tuple[str, str, str]:
    """Parts of a topic frame: kind, venue, market. Raises WireError."""
    try:
        kind, venue, market = frame.decode().split(".", 2)
    except (UnicodeDecodeError, ValueError):
        raise WireError(frame, "topic is not kind.venue.market") from None
    return kind, venue, market


def encode_header(line: str, epoch: int, seq: int, recv_ns: int, mono_ns: int, pub_ns: int) -> bytes:
    """The second frame."""
    packed: bytes = _pack_header((SCHEMA, line, epoch, seq, recv_ns, mono_ns, pub_ns))
    return packed


def encode_payload(event: BusEvent) -> bytes:
    """The third frame."""
    return _encode_payload(event)


def header_frame(frames: list[bytes]) -> bytes:
    """The second of the three frames of a message. Raises WireError when there are more or fewer."""
    if len(frames) != 3:  # noqa: PLR2004  (topic, header, payload)
        raise WireError(frames[0] if frames else b"", f"{len(frames)} frames")
    return frames[1]


def decode_header(topic_frame: bytes, frame: bytes) -> Header:
    """Header of a message. Raises WireError when malformed or of a schema this reader does not know."""
    try:
        header = _decode_header(frame)
    except _UNDECODABLE as error:
        raise WireError(topic_frame, f"header: {error}") from None
    if header.schema != SCHEMA:
        raise WireError(topic_frame, f"schema {header.schema}, this reader knows {SCHEMA}")
    return header


def decode_payload(kind: str, topic_frame: bytes, frame: bytes) -> BusEvent:
    """Typed event of a message. Raises WireError on an unknown kind or a payload that does not fit it."""
    decoder = _decoders.get(kind)
    if decoder is None:
        raise WireError(topic_frame, f"unknown kind {kind!r}")
    try:
        return decoder.decode(frame)
    except _UNDECODABLE as error:
        raise WireError(topic_frame, f"payload: {error}") from None


def run_prefix(frame: bytes, header: Header) -> bytes:
    """The bytes that begin every header of the run which sent this one: whoever forwards need not decode the others.

    Raises WireError when the sender does not write numbers in their shortest form, as MessagePack asks.
    """
    prefix: bytes = frame[:1] + _pack_header(header.schema) + _pack_header(header.line) + _pack_header(header.epoch)
    if not frame.startswith(prefix):
        raise WireError(frame, "header is not in MessagePack's shortest form")
    return prefix
