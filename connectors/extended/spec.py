"""Extended's promises, and which of its feeds are used.

Sources: the official API documentation and SDK 2.6.0, and captures of mainnet of August and September 2026; where they
differ the captures are believed.

Feeds, chosen for freshness first and then depth:

- Book: the full book, a snapshot and then deltas at most every 100 ms, with a new snapshot about every 60 s. It is the
  only one with any depth (6,000 levels), so no ``depth`` is set. The REST book has neither sequence nor time and is
  cached for 2 s: good for a look whether a silent stream is quiet or dead and for standing in, never as a base.
- Quote: ``?depth=1``, a frame per change of the touch and at most every 10 ms: ten times fresher than the book.
- Trades, mark and index price, running funding: one stream each. Settled funding over REST, because the stream does not
  say which of its rates was charged. Open interest is on REST alone.

Transport: ``v1`` path streams by default: documented, one connection a stream, so that a gap costs one stream, and its
replay keeps its original time stamps. ``v2`` (one RPC connection) is not in the public documents, a gap resets every
book, and its replay hides its own age; it has acknowledgements and can start one book over on its own.

Every level of a delta carries both the change and the new size, and each periodic snapshot is preceded by a delta with
the same time: two exact checks of a book against itself. The quote is a third, from another stream.
"""

from __future__ import annotations

from typing import Final

from connectors.replay import Patience as ReplayPatience
from connectors.venue import Budget, VenueSpec

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
HOUR_MS: Final = 3_600_000

V1_PATH: Final = "/stream.extended.exchange/v1"
V2_PATH: Final = "/stream.extended.exchange/v2/rpc"
REST_PATH: Final = "/api/v1/info"

HEADERS: Final = {"User-Agent": "paraphina-connectivity/1.0"}
"""Any value will do, none is refused (documentation; two independent collectors)."""

SPEC: Final = VenueSpec(
    venue="extended",
    # No end of a connection by age is documented or reported.
    session_age_ns=None,
    # No limit is documented. Ours, as a courtesy: ten starts of eighteen streams within a minute.
    connects=Budget(180, 60 * SECOND),
    messages=None,
    # 1,000 requests a minute per IP, then HTTP 429; a tenth is left to others behind the same address.
    rest=Budget(900, 60 * SECOND),
)

BOOK: Final = "book"
BBO: Final = "bbo"
TRADE: Final = "trade"
MARK: Final = "mark"
INDEX: Final = "index"
FUNDING: Final = "funding"
KINDS: Final = (BOOK, BBO, TRADE, MARK, INDEX, FUNDING)
"""Streams of a market in the order they are opened; the names of v1 connections are these, a dot, and our market id."""

RPC: Final = "rpc"
"""Name of the one v2 connection."""

V1_PATHS: Final = {
    BOOK: "/orderbooks/{}",
    BBO: "/orderbooks/{}?depth=1",
    TRADE: "/publicTrades/{}",
    MARK: "/prices/mark/{}",
    INDEX: "/prices/index/{}",
    FUNDING: "/funding/{}",
}
"""The path is the subscription."""
V2_KEYS: Final = {
    BOOK: "orderbooks.{}",
    BBO: "orderbooks.1.{}",
    TRADE: "trades.{}",
    MARK: "prices.mark.{}",
    INDEX: "prices.index.{}",
    FUNDING: "funding-rates.{}",
}
"""The subscription id that every frame of a stream echoes."""
V2_PARAMS: Final[dict[str, tuple[str, dict[str, object]]]] = {
    BOOK: ("orderbooks", {"depth": "full", "rfqOnly": False}),
    BBO: ("orderbooks", {"depth": "1", "rfqOnly": False}),
    TRADE: ("trades", {}),
    MARK: ("prices", {"type": "mark"}),
    INDEX: ("prices", {"type": "index"}),
    FUNDING: ("funding-rates", {}),
}
"""Scope, and selector without the market."""
REST_PATHS: Final = {
    "markets": "/markets",
    "stats": "/markets/{}/stats",
    "settled": "/{}/funding",
    "book": "/markets/{}/orderbook",
    "probe": "/markets/{}/orderbook",
}
"""Calls by their name here."""
V2_PERMANENT: Final = frozenset({-32600, -32601, -32602, -32001})
"""v2 errors that asking again will not mend: bad request, method, parameters, not allowed."""
REST_ABSENT: Final = frozenset({"1000", "1001", "1002", "NOT_FOUND"})
"""Error codes of REST for no such asset, no such market, a disabled one: numbers live, words in the documentation."""

FIRST_SEQ: Final = {"v1": 1, "v2": 0}
"""Sequence number of a connection's first data frame; each later one is one more, in v2 over all topics together."""

ACK_NS: Final = 5 * SECOND
"""v2: an invalid selector was answered by silence, so every request is timed. Replies come at once; the SDK waits 10 s,
but then a missing reply could not be told from a missing snapshot."""
FIRST_NS: Final = 10 * SECOND
"""A snapshot comes at once; a socket that opens and never sends has been seen."""
FIRST_OTHER_NS: Final = 60 * SECOND
"""Whether quote, mark and index send a frame at once is not known; each changes within seconds."""
PRICE_SILENCE_NS: Final = 60 * SECOND
"""Mark frames come 0.7 times a second."""
PONG_NS: Final = 10 * SECOND
"""The venue gives a client as long (and pings it every 15 s)."""
PROBE_MIN_NS: Final = 3 * SECOND
"""The REST book is up to 2 s old: compared with a book silent for less, it could be the older one."""
PROBE_WAIT_NS: Final = 500 * MS
"""A REST book that differs proves nothing while its delta (every 100 ms) may still be on its way."""
PROBE_LEVELS: Final = 20
RENEW_NS: Final = 15 * SECOND
"""v2: a book started over again so soon did not mend; the connection is given up."""
RENEWALS: Final = 6
"""v2: so often another stream is asked for in vain before it may cost live books their connection."""
REFUSED_NS: Final = 3 * SECOND
"""v2: after a lasting refusal of a market that is listed, the list is read again and the stream asked for once more."""

REPLAY: Final = ReplayPatience(fresh_ns=SECOND, pace_ns=50 * MS, quiet_ns=250 * MS, cap_ns=65 * SECOND)
"""A snapshot is up to 60 s old, the replay up to 600 frames; live frames are 100 ms apart."""
CLOCK_WINDOW_NS: Final = 10 * SECOND
"""The mark stream alone tells the venue's clock seven times within it."""

CHECK_EVERY_NS: Final = SECOND
TOUCH_WINDOW_NS: Final = 2 * SECOND
"""Book and quote come by different streams: each is looked for in the other's recent past (quotes lag 1.2 s at p99)."""
TOUCH_LASTING_NS: Final = 5 * SECOND
"""A difference without one agreement in so long is real (quotes have been 5 s late, but not for 5 s on end)."""
CHECK_REMEDY_NS: Final = 600 * SECOND
"""Least time between two rebuilds for a failed check: a check that is itself mistaken must not cost the feed."""

REST_FALLBACK_AFTER_NS: Final = 2 * SECOND
REST_BOOK_EVERY_NS: Final = 2 * SECOND
"""The venue's own cache of the REST book is as old."""

MARKETS_EVERY_NS: Final = 600 * SECOND
"""Ticks have changed (BTC's from 0.1 to 1), rarely; the venue caches the list for 60 s."""
STATS_EVERY_NS: Final = 5 * SECOND
STATS_SPACING_NS: Final = 200 * MS
"""With many markets the period grows to so much a market: 300 calls a minute."""
SETTLED_EVERY_NS: Final = 300 * SECOND
SETTLED_SPAN_MS: Final = 2 * HOUR_MS
"""Funding is charged on the hour."""
FUNDING_QUIET_NS: Final = 180 * SECOND
"""The stream gives a running rate every minute, or only the charged one (the sources disagree): then REST speaks."""
NOTED_KINDS: Final = 20
"""Unknown kinds of frames that are logged, each once."""
