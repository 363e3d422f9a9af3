"""What a consumer is given: messages in order, and every loss with its end."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

from bus.events import BusEvent, Trust
from bus.wire import Header


class Message(msgspec.Struct, frozen=True, gc=False):
    """One event, in order and exactly once."""

    kind: str
    venue: str
    """Venue part of the topic: a venue id, or the name of the process that speaks of itself."""
    market: str
    """Our id of the market, or ``-``."""
    header: Header
    event: BusEvent
    applied_ns: int
    """Monotonic ns when this consumer took it. On the same host, minus ``header.mono_ns``: time since the socket."""


class Why(StrEnum):
    """Why something was lost."""

    HOLE = "hole"
    """Sequences are missing: this consumer was too slow, or the connection broke."""
    TAIL = "tail"
    """The sender's heartbeat names newer messages than ever arrived."""
    ANNOUNCED = "announced"
    """The sender itself dropped log events under pressure and said so."""
    MERGED = "merged"
    """Held back while the book was being healed, and then contained in the whole book that healed it."""
    BAD = "bad"
    """A message arrived that cannot be decoded or applied."""
    REFUTED = "refuted"
    """The sender's heartbeat says that it never came as far as messages here have claimed: all of it is doubted."""
    RESTART = "restart"
    """The sender was started again; how many of its last messages are missing cannot be known."""
    RECONNECT = "reconnect"
    """The connection to the publisher, or the publisher itself, was away."""
    SILENT = "silent"
    """Nothing is heard of the publisher, or of the sender: what is known may be old."""


class Lost(msgspec.Struct, frozen=True, gc=False):
    """Messages of one chain will not be delivered, or may be missing.

    For a book (and a quote, when it may be missing) ``Healed`` follows when it is right again; other state is right
    again with its next message; log events (trades …) do not come back.
    """

    kind: str
    """``book`` stands for the chain of books and deltas."""
    venue: str
    market: str
    why: Why
    first_seq: int | None
    """First and last missing sequence, both ``None`` when their extent is unknown."""
    last_seq: int | None
    count: int
    """Messages known to be missing."""
    at_ns: int
    """Monotonic ns."""


class Healed(msgspec.Struct, frozen=True, gc=False):
    """The chain is complete again, ``after_ns`` after the first ``Lost`` about it."""

    kind: str
    venue: str
    market: str
    at_ns: int
    after_ns: int


class TrustChanged(msgspec.Struct, frozen=True, gc=False):
    """A book (``kind`` book) or quote (bbo) may, or may no longer, be used."""

    kind: str
    venue: str
    market: str
    trusted: bool
    trust: Trust | None
    """What its last event said; ``None`` before there was one. Live and not trusted: something is missing here."""
    rebuild: int | None
    at_ns: int


Item: TypeAlias = Message | Lost | Healed | TrustChanged
