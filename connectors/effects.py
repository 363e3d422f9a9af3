"""What a venue protocol asks for, and what it is told: frozen values, performed in order by the shell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol, TypeAlias

import msgspec

from bus.events import BusEvent, Reason

HTTP_OK: Final = 200


class Now(msgspec.Struct, frozen=True, gc=False):
    """One reading of both clocks; the shell takes it once a step."""

    mono: int
    """Monotonic ns: deadlines, ages, order."""
    wall: int
    """Wall clock ns: only for comparison with the venue's claims."""


class Emit(msgspec.Struct, frozen=True, gc=False):
    """Publish an event of a market (or ``-`` for the venue)."""

    market: str
    event: BusEvent


class Open(msgspec.Struct, frozen=True):
    """Keep this connection open from now on, reconnecting with backoff until ``Close``.

    Repeating it with another URL replaces the wish (version negotiation); with the same URL it does nothing.
    """

    conn: str
    url: str
    headers: Mapping[str, str] = {}


class Close(msgspec.Struct, frozen=True):
    """Drop a connection on purpose and no longer keep it open."""

    conn: str


class Send(msgspec.Struct, frozen=True):
    """Send one text frame: one client message of the venue's message budget (the engine paces it)."""

    conn: str
    text: str


class Ping(msgspec.Struct, frozen=True):
    """Send a WebSocket ping control frame; the answer arrives as ``ponged``."""

    conn: str


class Fetch(msgspec.Struct, frozen=True):
    """Make one REST call on the worker; the answer or its failure arrives as ``fetched`` with this very object."""

    name: str
    """What it is for (``markets``, ``book``, ``funding`` …)."""
    url: str
    """Whole URL without the query."""
    market: str | None = None
    method: str = "GET"
    params: tuple[tuple[str, str], ...] = ()
    json: object = None
    headers: Mapping[str, str] = {}
    timeout_s: float = 10.0
    weight: int = 1
    """Cost in the unit of the venue's REST limit."""
    cause: int = 0
    """Free for the protocol: a generation that tells a late answer from the one waited for."""


class Reply(msgspec.Struct, frozen=True):
    """Outcome of a Fetch: a status and body, or a problem."""

    status: int | None
    """HTTP status; ``None`` when no answer came."""
    body: bytes = b""
    headers: Mapping[str, str] = {}
    """Header names in lower case."""
    problem: str | None = None
    """Why there is no usable answer (timeout, refused, TLS …); ``None`` when ``status`` is set."""

    @property
    def ok(self) -> bool:
        """Whether there is a 200 body to read."""
        return self.status == HTTP_OK

    @property
    def outcome(self) -> str:
        """Status or problem, for a log line."""
        return self.problem if self.status is None and self.problem else f"HTTP {self.status}"


class Reconnect(msgspec.Struct, frozen=True):
    """Give up a connection for a counted reason and open it again (backoff is the engine's).

    The engine calls ``closed`` for it at once, before any further frame of it.
    """

    conn: str
    reason: Reason
    detail: str


class Rotate(msgspec.Struct, frozen=True):
    """The venue has announced that it will end this connection: replace it before that, without a gap.

    Nothing is promised: when the connection ends before another stands in its place, ``closed`` follows as ever.
    """

    conn: str
    detail: str


class Reject(msgspec.Struct, frozen=True):
    """A frame (or REST body) could not be digested: count it, log a bounded sample. Says nothing of the remedy.

    The remedy, if any, is another effect after it. The engine turns a row of rejects without a good frame between them
    into ``decode_fail_loop``.
    """

    conn: str
    problem: str
    sample: bytes


class Count(msgspec.Struct, frozen=True):
    """Add to a counter by its label (``Counter.X.label``)."""

    label: str
    amount: int = 1


class Note(msgspec.Struct, frozen=True):
    """Write one log line; a handful a minute, never one a frame."""

    level: str
    """``info``, ``warning`` or ``error``."""
    event: str
    fields: Mapping[str, object] = {}


Effect: TypeAlias = Emit | Open | Close | Send | Ping | Fetch | Reconnect | Rotate | Reject | Count | Note
Effects: TypeAlias = list[Effect]


class Refusal(msgspec.Struct, frozen=True):
    """Why a connection attempt failed."""

    reason: Reason
    """``connect_timeout``, ``connect_error``, ``http_status`` or ``rate_limited``."""
    detail: str
    status: int | None = None
    """HTTP status of a refused upgrade."""
    body: bytes = b""
    headers: Mapping[str, str] = {}
    """Header names in lower case."""


class VenueProtocol(Protocol):
    """The one interface of a venue: no I/O, no clock, no randomness; the same object runs live, in replay and in tests.

    It may hold several named connections. After any call the caller reads ``deadline``.
    """

    @property
    def deadline(self) -> int | None:
        """Monotonic ns when ``woken`` is next due, ``None`` for never."""
        ...

    def start(self, now: Now) -> Effects:
        """Process start: fetch the market list, open connections (or do so when the list has come)."""
        ...

    def opened(self, conn: str, now: Now) -> Effects:
        """A connection is up: forget its past, subscribe."""
        ...

    def refused(self, conn: str, refusal: Refusal, now: Now) -> Effects:
        """An attempt failed; the engine retries with backoff whatever is returned. For version negotiation."""
        ...

    def closed(self, conn: str, now: Now) -> Effects:
        """A connection is gone, for whatever reason: invalidate what came by it. The engine opens it again."""
        ...

    def received(self, conn: str, frame: bytes, binary: bool, now: Now) -> Effects:  # noqa: FBT001
        """Digest one frame. A text frame comes as bytes not yet validated as UTF-8 (the JSON decoder does that)."""
        ...

    def ponged(self, conn: str, now: Now) -> Effects:
        """A pong control frame arrived, or a ping of the venue's (which has been answered)."""
        ...

    def fetched(self, request: Fetch, reply: Reply, now: Now) -> Effects:
        """Digest a REST answer or its failure."""
        ...

    def woken(self, now: Now) -> Effects:
        """``deadline`` has come: keepalive, ack/snapshot/silence deadlines, polls."""
        ...
