"""Every event that travels on the bus, as frozen values.

Units, everywhere: prices in the quote currency, sizes in the base asset, times in integer nanoseconds. A field that the
venue did not give is ``None``; nothing is ever filled with 0, -1 or "now". Fields are encoded as MessagePack arrays in
the order written here (see ``docs/wire.md``); a new field is appended with a default, never inserted.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final, TypeAlias

import msgspec

Seq: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**48)]
"""A place in a chain. Beyond the bound, nine years of a million messages a second, it is a lie."""

NO_MARKET: Final = "-"
"""Market part of a topic whose event concerns a whole venue or process."""


class Trust(StrEnum):
    """Whether the book or quote that carries it may be used."""

    LIVE = "live"
    """Complete and continuous: equals the venue's as of the event."""
    STALE = "stale"
    """Was live, but its stream has been silent past its threshold or its connection is gone: do not use."""
    RESYNC = "resync"
    """Known or suspected wrong (gap, crossed, divergence) or still being built: do not use."""
    REST = "rest"
    """A REST picture standing in while the stream is down: usable, but without continuity."""


USABLE: Final = frozenset({Trust.LIVE, Trust.REST})
"""Trust states of a book or quote that may be used."""


class Source(StrEnum):
    """Where a book or quote was learnt."""

    STREAM = "stream"
    REST = "rest"


class Side(StrEnum):
    """Aggressor of a trade: ``buy`` lifted the ask, ``sell`` hit the bid."""

    BUY = "buy"
    SELL = "sell"


class State(StrEnum):
    """State of a venue or of one market of it (see ``connectors/health.py`` for the transitions)."""

    INIT = "init"
    CONNECTING = "connecting"
    SYNCING = "syncing"
    LIVE = "live"
    STALE = "stale"
    RECOVERING = "recovering"
    DOWN = "down"


class Reason(StrEnum):
    """Why a connection was given up: one closed set, counted per venue."""

    STALE_WATCHDOG = "stale_watchdog"
    MARKET_STALE = "market_stale"
    DRIFT = "drift"
    READ_TIMEOUT = "read_timeout"
    PONG_TIMEOUT = "pong_timeout"
    PING_SEND_FAIL = "ping_send_fail"
    SESSION_TIMEOUT = "session_timeout"
    SUBSCRIBE_ERROR = "subscribe_error"
    ACK_TIMEOUT = "ack_timeout"
    SNAPSHOT_TIMEOUT = "snapshot_timeout"
    PARSE_ERROR = "parse_error"
    DECODE_FAIL_LOOP = "decode_fail_loop"
    SEQ_GAP = "seq_gap"
    SEQ_MISMATCH = "seq_mismatch"
    CROSSED_BOOK = "crossed_book"
    WS_CLOSED = "ws_closed"
    STREAM_ENDED = "stream_ended"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT_ERROR = "connect_error"
    HTTP_STATUS = "http_status"
    RATE_LIMITED = "rate_limited"
    COMMANDED = "commanded"


class Event(msgspec.Struct, frozen=True, array_like=True):
    """Base of all events. ``kind`` is the first part of the topic."""

    kind: ClassVar[str] = ""


class Instrument(Event, frozen=True, array_like=True):
    """What a market is at its venue. State class."""

    kind: ClassVar[str] = "instrument"
    venue_symbol: str
    """The venue's own name for the market, as used on its wire (``BTCUSDT``)."""
    tick: str | None
    """Price increment as a decimal string; for a venue with a significant-figure rule the finest one it allows."""
    lot: str | None
    """Size increment as a decimal string, base units."""
    quote: str
    """Currency that prices are in (``USDT``, ``USD``, ``USDC``)."""
    venue_id: int | None = None
    """The venue's numeric id, where it has one (Lighter; 0 is a valid id)."""
    significant_figures: int | None = None
    """Most significant figures a price may have, where the venue has such a rule (Hyperliquid: 5)."""
    min_size: str | None = None
    """Smallest order size, base units."""


class Book(Event, frozen=True, array_like=True):
    """A whole order book: replaces whatever the reader holds for the market. State class, chain ``book``."""

    kind: ClassVar[str] = "book"
    venue_ns: int | None
    """The venue's time of the last change in this picture, wall clock ns."""
    venue_seq: int | None
    """The venue's own sequence of this picture, where it has one."""
    trust: Trust
    rebuild: int
    """Which rebuild of this market's book this belongs to: grows at every snapshot that follows an invalidation."""
    source: Source
    bid_px: list[float]
    """Bid prices, best (highest) first; ``bid_sz`` in the same order."""
    bid_sz: list[float]
    ask_px: list[float]
    """Ask prices, best (lowest) first; ``ask_sz`` in the same order."""
    ask_sz: list[float]
    depth: int | None = None
    """Levels a side beyond which the venue shows nothing; ``None`` when the whole book is shown."""


class Delta(Event, frozen=True, array_like=True):
    """Changed levels of the book before it on the same chain. State class, chain ``book``.

    Sizes are absolute; 0.0 removes the level. With no levels at all it changes only what is known of the book: its
    trust (an invalidation) or its time (a confirmation).
    """

    kind: ClassVar[str] = "delta"
    venue_ns: int | None
    venue_seq: int | None
    trust: Trust
    rebuild: int
    bid_px: list[float]
    bid_sz: list[float]
    ask_px: list[float]
    ask_sz: list[float]


class Bbo(Event, frozen=True, array_like=True):
    """Best bid and offer as the venue's own quote stream gives it. State class. An empty side is ``None``."""

    kind: ClassVar[str] = "bbo"
    venue_ns: int | None
    venue_seq: int | None
    trust: Trust
    rebuild: int
    source: Source
    bid_px: float | None
    bid_sz: float | None
    ask_px: float | None
    ask_sz: float | None


class Trade(Event, frozen=True, array_like=True):
    """One public trade. Log class."""

    kind: ClassVar[str] = "trade"
    venue_ns: int | None
    """The venue's time of the match."""
    trade_id: str | None
    """The venue's id as text, unique within venue and market; ``None`` when the venue gives none."""
    side: Side | None
    px: float
    sz: float
    history: bool
    """True when the venue replayed it on (re)subscribing: it happened, but not now."""
    category: str = "trade"
    """``trade``, ``liquidation``, ``deleverage``, ``settlement``, ``block`` or the venue's own word."""


class Funding(Event, frozen=True, array_like=True):
    """A funding rate: the running estimate, or a charged one (``settled``). State class."""

    kind: ClassVar[str] = "funding"
    venue_ns: int | None
    rate_hourly: float
    """Fraction of notional per hour; positive: longs pay shorts."""
    raw_rate: str
    """The venue's figure, verbatim."""
    raw_interval_hours: float
    """Hours that the venue's figure is for."""
    settled: bool
    """True: charged; false: the running estimate for the next settlement."""
    next_ns: int | None = None
    """When the next settlement is due, wall clock ns; ``None`` when unknown or accruing continuously."""
    raw_unit: str = "fraction"
    """``fraction`` or ``percent``."""


class Stats(Event, frozen=True, array_like=True):
    """Mark price, index price and open interest; each ``None`` until the venue has given it. State class."""

    kind: ClassVar[str] = "stats"
    venue_ns: int | None
    mark_px: float | None
    index_px: float | None
    open_interest: float | None
    """Base units, one-sided."""


class Status(Event, frozen=True, array_like=True):
    """State of a venue (market ``-``) or of one market, with the reason of the last change. State class."""

    kind: ClassVar[str] = "status"
    state: State
    previous: State
    reason: str
    """A ``Reason``, or a word for an ordinary step (``start``, ``subscribed``, ``snapshot``)."""
    detail: str
    since_ns: int
    """Wall clock ns of the change."""


class Reconnect(Event, frozen=True, array_like=True):
    """A connection was given up. Log class."""

    kind: ClassVar[str] = "reconnect"
    connection: str
    reason: Reason
    count: int
    """How often this reason has been counted for this venue in this process, this one included."""
    detail: str
    retry_in_ms: int
    """Planned wait before the next attempt."""


class Gap(Event, frozen=True, array_like=True):
    """Log-class events that will never arrive. Log class; itself never dropped."""

    kind: ClassVar[str] = "gap"
    chain: str
    """Chain that lost events (``trade.aster.BTC-PERP``)."""
    first_seq: Seq
    last_seq: Seq
    count: Seq
    reason: str


class Heartbeat(Event, frozen=True, array_like=True):
    """Once a second from every process. State class, market ``-``."""

    kind: ClassVar[str] = "heartbeat"
    pid: int
    started_ns: int
    """Wall clock ns of process start."""
    counters: dict[str, int]
    """Every counter that is not zero, by its name in ``bus/counters.py``; reconnects as ``reconnect.<reason>``."""
    chains: dict[str, Seq]
    """Last sequence sent on every chain of this process: lets a reader see a lost tail."""
    loop_lag_ms: float
    """Longest time since the last heartbeat that the main loop was late for something due."""
    rss_bytes: int
    cpu_s: float
    """CPU seconds used since start, user and system."""
    headroom: dict[str, float] = {}
    """Of a connector: least share of each venue limit (``connects``, ``messages``, ``rest``) left since the last
    heartbeat, 1 untouched, 0 used up or refused by the venue. A venue that sets no such limit has none."""


class Process(Event, frozen=True, array_like=True):
    """A supervised process changed state, from the sentinel. Log class, venue part is the program's name."""

    kind: ClassVar[str] = "process"
    program: str
    """supervisord's ``group:name``."""
    action: str
    """``exited``, ``started``, ``revived``, ``killed``, ``stopped``, ``fatal``, ``hung``."""
    pid: int | None
    detail: str
    """Why: exit code, signal name, missed heartbeat …"""
    uptime_ms: int | None
    away_ms: int | None
    """For ``started``: how long the program was away."""


class Check(Event, frozen=True, array_like=True):
    """Outcome of the connector's own comparison of its book with what the venue says elsewhere. State class."""

    kind: ClassVar[str] = "check"
    against: str
    """What it was compared with: ``bbo``, ``rest``, ``snapshot``, ``trade``."""
    compared: int
    """Comparisons made in this rebuild."""
    diverged: int
    """How many of them differed."""
    divergence: float
    """Size of the last difference, as a fraction of the price; 0.0 when equal."""
    since_ns: int | None
    """Wall clock ns since when it has differed without a break; ``None`` when equal."""


class Telemetry(Event, frozen=True, array_like=True):
    """The runner's view, once a tick; ``body`` is the object written to ``telemetry.jsonl``. State class."""

    kind: ClassVar[str] = "telemetry"
    body: dict[str, object]


BusEvent = (
    Instrument
    | Book
    | Delta
    | Bbo
    | Trade
    | Funding
    | Stats
    | Status
    | Reconnect
    | Gap
    | Heartbeat
    | Process
    | Check
    | Telemetry
)

EVENT_TYPES: Final[dict[str, type[BusEvent]]] = {
    event.kind: event
    for event in (
        Instrument,
        Book,
        Delta,
        Bbo,
        Trade,
        Funding,
        Stats,
        Status,
        Reconnect,
        Gap,
        Heartbeat,
        Process,
        Check,
        Telemetry,
    )
}
"""Event class by kind, the closed set of this schema version."""

LOG_KINDS: Final = frozenset({"trade", "reconnect", "gap", "process"})
"""Kinds of the log class: every one matters; a loss is announced as a ``gap``. All other kinds are state."""

MARKET_KINDS: Final = frozenset({"instrument", "book", "delta", "bbo", "trade", "funding", "stats", "check"})
"""Kinds that say something of a market at its venue."""
