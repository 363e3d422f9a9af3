"""The capture format: everything that one run of a connector was told, so that it can be told again.

A run is a row of segment files. A segment is ``MAGIC``, then blocks; a block is its length and its CRC-32 (each 32 bits
little-endian) and a zstandard frame. The first block of every segment is the ``Header``, each further one a MessagePack
array of records in the order of the engine's calls. Blocks stand for themselves: what a kill or a full disk tears off
costs that block alone. Byte for byte in ``docs/capture.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias
from zlib import crc32

import msgspec
import zstandard

from bus.errors import ParaphinaError
from bus.events import BusEvent, Reason
from bus.settings import Venue as VenueSettings
from bus.wire import encode_payload
from connectors.effects import Fetch, Now, Refusal, Reply
from connectors.past import Past
from connectors.venue import VenueSpec

MAGIC: Final = b"PRPHCAP2"
"""First bytes of every segment; the digit is the version of the layout."""
READABLE: Final = (MAGIC, b"PRPHCAP1")
"""The first layout had neither ``Ended`` nor ``Checkpoint``."""
LEVEL: Final = 1
"""Of zstandard. Measured on order book frames: 2.7 µs/kB and 4.6 times smaller; level 3 costs 60 % more for nothing."""
PREFIX: Final = 8
MAX_BLOCK_BYTES: Final = 1 << 30
"""No writer makes a larger block; a length beyond it is damage."""


class CaptureError(ParaphinaError):
    """A file is no capture, or one that this reader does not know."""


class Header(msgspec.Struct, frozen=True):
    """What a run is, repeated at the start of each of its segments."""

    venue: str
    settings: VenueSettings
    spec: VenueSpec
    """The limits that the engine acted on."""
    seed: int
    """Of the ``random.Random`` that jitter is drawn from."""
    epoch: int
    """Which run: the process's start, wall clock ns."""
    segment: int
    """Position of this file in its run, from 0."""
    version: str
    """Of the program that recorded."""
    python: str


class _Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of what a block holds: an array whose first element is the kind."""


class _Input(_Record, frozen=True, array_like=True, gc=False):
    """Base of the calls of the engine, in their order, with the clocks they were made with."""

    mono: int
    wall: int

    @property
    def now(self) -> Now:
        """Both clocks."""
        return Now(self.mono, self.wall)


class Started(_Input, frozen=True, tag=0, gc=False):
    """``Engine.start``."""

    past: Past = Past()


class Received(_Input, frozen=True, tag=1, gc=False):
    """``Engine.received``."""

    key: str
    frame: bytes
    binary: bool


class Ponged(_Input, frozen=True, tag=2, gc=False):
    """``Engine.ponged``."""

    key: str


class Woken(_Input, frozen=True, tag=3, gc=False):
    """``Engine.woken``."""


class Opened(_Input, frozen=True, tag=4, gc=False):
    """``Engine.opened``."""

    key: str


class Refused(_Input, frozen=True, tag=5, gc=False):
    """``Engine.refused``."""

    key: str
    refusal: Refusal


class Lost(_Input, frozen=True, tag=6, gc=False):
    """``Engine.lost``."""

    key: str
    reason: Reason
    detail: str


class Fetched(_Input, frozen=True, tag=7, gc=False):
    """``Engine.fetched``."""

    key: str
    request: Fetch
    reply: Reply


class Commanded(_Input, frozen=True, tag=8, gc=False):
    """``Engine.command_reconnect``."""


class Ended(_Input, frozen=True, tag=15, gc=False):
    """``Engine.stop``."""


class Tried(_Record, frozen=True, tag=9, gc=False):
    """The engine asked for a connection, within the call before."""

    key: str
    url: str


class Sent(_Record, frozen=True, tag=10, gc=False):
    """The engine sent a text frame, within the call before; ``problem`` is what it was told of the outcome."""

    key: str
    text: str
    problem: str | None


class Pinged(_Record, frozen=True, tag=11, gc=False):
    """The engine sent a ping, within the call before."""

    key: str
    problem: str | None


class Checked(_Record, frozen=True, tag=12, gc=False):
    """What the engine had published up to here, by ``Tally``."""

    events: int
    crc: int


class Torn(_Record, frozen=True, tag=13, gc=False):
    """Here records are missing."""

    records: int | None
    """How many; ``None`` when the reader found the damage."""
    why: str


class Stopped(_Record, frozen=True, tag=14, gc=False):
    """The process ended in an orderly way. Without it, it was killed or still runs."""


class Checkpoint(_Record, frozen=True, tag=16, gc=False):
    """The engine's state between the calls before and after: a replay can begin here."""

    events: int
    crc: int
    """Both as in ``Checked``, of what was published before."""
    state: bytes
    """See ``connectors.checkpoint``."""


Input: TypeAlias = Started | Received | Ponged | Woken | Opened | Refused | Lost | Fetched | Commanded | Ended
Output: TypeAlias = Tried | Sent | Pinged
Note: TypeAlias = Checked | Torn | Stopped | Checkpoint
Record: TypeAlias = Input | Output | Note
INPUTS: Final = (Started, Received, Ponged, Woken, Opened, Refused, Lost, Fetched, Commanded, Ended)
OUTPUTS: Final = (Tried, Sent, Pinged)
NOTES: Final = (Checked, Torn, Stopped, Checkpoint)

_encode = msgspec.msgpack.Encoder().encode
_decode_header = msgspec.msgpack.Decoder(Header).decode
_decode_records = msgspec.msgpack.Decoder(list[Record]).decode
_compress = zstandard.ZstdCompressor(level=LEVEL).compress


def encode_header(header: Header) -> bytes:
    """The first bytes of a segment."""
    return MAGIC + _block(header)


def encode_block(records: list[Record]) -> bytes:
    """One block. Called by one thread only: the compressor has state."""
    return _block(records)


def _block(content: object) -> bytes:
    packed = _compress(_encode(content))
    return len(packed).to_bytes(4, "little") + crc32(packed).to_bytes(4, "little") + packed


def read_header(read: Callable[[int], bytes]) -> Header:
    """The header of a segment; ``read`` gives the next bytes of it, fewer only at its end. Raises CaptureError."""
    magic = read(len(MAGIC))
    if magic not in READABLE:
        raise CaptureError("not a capture" if magic[:-1] != MAGIC[:-1] else f"layout {magic[-1:]!r} is not known here")
    content = _content(read)
    if not isinstance(content, bytes):
        raise CaptureError("the header is cut off")
    try:
        return _decode_header(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CaptureError(f"header: {error}") from None


def read_records(read: Callable[[int], bytes]) -> Iterator[Record]:
    """The records after the header. Damage is a ``Torn`` where it is; what is whole behind it follows."""
    while (content := _content(read)) is not None:
        if isinstance(content, Torn):
            yield content
            continue
        try:
            yield from _decode_records(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield Torn(None, f"block: {error}")


def _content(read: Callable[[int], bytes]) -> bytes | Torn | None:
    """What the next block holds; ``None`` at the end."""
    prefix = read(PREFIX)
    if not prefix:
        return None
    length = int.from_bytes(prefix[:4], "little")
    packed = read(length) if len(prefix) == PREFIX and length <= MAX_BLOCK_BYTES else b""
    if len(packed) < length or len(prefix) < PREFIX:
        # A length that was damaged leaves nothing to find the next block by.
        while read(1 << 20):
            pass
        return Torn(None, "cut off within a block")
    if crc32(packed) != int.from_bytes(prefix[4:], "little"):
        return Torn(None, "checksum of a block")
    try:
        return zstandard.ZstdDecompressor().decompress(packed, max_output_size=MAX_BLOCK_BYTES)
    except zstandard.ZstdError as error:
        return Torn(None, f"block: {error}")


class Tally:
    """What was published, in two numbers that a replay must arrive at.

    Books, deltas, quotes and trades are many: all are counted, and each ``SAMPLED``-th event enters the checksum with
    its bytes. A book carries on what came before it, so one that differs is found within a few frames.
    """

    SAMPLED: Final = 16
    MANY: Final = frozenset({"book", "delta", "bbo", "trade"})

    def __init__(self) -> None:
        self.events = 0
        self.crc = 0

    def add(self, market: str, event: BusEvent) -> None:
        """One more event."""
        self.events += 1
        if self.events % self.SAMPLED == 0 or event.kind not in self.MANY:
            self.crc = crc32(encode_payload(event), crc32(f"{self.events} {event.kind} {market}".encode(), self.crc))

    @property
    def checked(self) -> Checked:
        """Both numbers."""
        return Checked(self.events, self.crc)


def segment_name(venue: str, stamp: str, segment: int) -> str:
    """File name of a segment; names of a venue sort by age."""
    return f"{venue}-{stamp}-{segment:05d}.cap"


def doomed(sizes: Mapping[str, int], room: int, keep: str) -> list[str]:
    """Which segments must go, oldest first, so that the others (and ``keep`` in any case) fit into ``room`` bytes."""
    total = sum(sizes.values())
    found = []
    for name in sorted(sizes):
        if total <= room:
            break
        if name != keep:
            found.append(name)
            total -= sizes[name]
    return found
