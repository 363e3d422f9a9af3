"""Paradex's promises, and which of its feeds are used.

Sources are the venue's documents of 2026, its SBE schema 1:2 and captures of its wire of October 2026; "[C]" marks what
only one peer reports or what is inferred.

Feeds, chosen for freshness first and then depth, all on one connection:

- Book: ``order_book.{m}.deltas``: the whole book without RPI orders in real time, about 10 frames/s for BTC, each one
  step of the market's sequence. ``snapshot@15`` has 15 levels and comes every 50 ms at best; the ``interactive``
  variants add orders that only retail takers can hit, and may appear crossed.
- Quote: ``bbo.{m}``, on change, about 25 frames/s for BTC. It shares the sequence of the book, so the two are compared
  exactly wherever both are at the same step.
- Trades: ``trades.{m}``. Nothing is replayed on subscribing.
- Mark, index, open interest and the funding rate to 12 digits: ``markets_summary.{m}``. The funding rate by itself and
  its period: ``funding_data.{m}``, which stands in for a summary that is late or of schema version 0.

The bare ``markets_summary`` and ``funding_data`` carry every market and option: thousands of frames a second, avoided.
"""

from __future__ import annotations

from typing import Final

from connectors.streams import Patience
from connectors.venue import Budget, VenueSpec

MS: Final = 1_000_000
SECOND: Final = 1_000 * MS

CONN: Final = "main"
"""The only connection."""
WS_PATH: Final = "/v1"
HTTP_BAD_REQUEST: Final = 400
"""Answer to an upgrade that asks for a schema version that is not served."""
SCHEMA_ID: Final = 1
VERSIONS: Final = (2, 1)
"""Schema versions whose layout is known, best first. 2 adds the trade's real id; a venue that does not serve it answers
the upgrade with HTTP 400, never with a lower version. Older versions keep being served."""

BBO: Final = 2
"""Template of the quote: a whole picture each time."""
BOOK: Final = 3
"""Template of snapshots and deltas."""
NOT_USED: Final = frozenset({6, 40, 41})
"""Templates that are documented and not needed: rate comparison, heartbeat (link liveness only), subscribed."""
CATEGORIES: Final = {
    1: "trade",
    2: "liquidation",
    3: "unwind_transfer",
    4: "settlement",
    5: "rpi",
    6: "block",
}
"""Trade types of the schema; RPI is an ordinary trade against a retail price improvement order."""
RATE_DIGITS: Final = 12
"""Decimals of ``fundingRatePrecise``; the plain rate has 8."""

MARKETS_PATH: Final = "/v1/markets"
BOOK_PATH: Final = "/v1/orderbook"
SUMMARY_PATH: Final = "/v1/markets/summary"

CHANNELS: Final = {
    "book": "order_book.{}.deltas",
    "bbo": "bbo.{}",
    "trade": "trades.{}",
    "stats": "markets_summary.{}",
    "funding": "funding_data.{}",
}
"""Channel by what it carries, in the order of subscribing: the books first, so that they are live first."""

SPEC: Final = VenueSpec(
    venue="paradex",
    # No lifetime is documented and none has been seen.
    session_age_ns=None,
    # Rate-limit page: 20 connects a second or 600 a minute per IP; this holds both.
    connects=Budget(10, SECOND),
    # No limit is documented, "be gentle (<= 10/s)" [C]: so on average, with room for the subscriptions of a start.
    messages=Budget(20, 2 * SECOND),
    # Public REST: 1,500 requests a minute per IP. Half of it, for whoever else trades from this address.
    rest=Budget(750, 60 * SECOND),
)

TRANSIENT_CODES: Final = frozenset({-32603, 100, 42901})
"""Error codes that say nothing against the request itself: internal error, method error, rate limit. Every other
refusal of a channel is permanent for that string."""

UNANSWERED: Final = 20
"""Subscriptions asked for at a time, so that none waits for the message budget longer than its deadline."""
ACK_NS: Final = 4 * SECOND
"""Acknowledgements came within milliseconds in every capture."""
SNAPSHOT_NS: Final = 5 * SECOND
"""The book follows its acknowledgement at once."""
RESYNC_NS: Final = 3 * SECOND
"""The same for a book subscribed anew on its connection, which nobody has tried on record [C]: then reconnect."""
FIRST_NS: Final = 30 * SECOND
"""First quote, summary or funding. Whether an image is sent on subscribing is not established; an acknowledgement
proves nothing (misspelt channels are acknowledged and stay silent)."""
SILENCE_NS: Final = 60 * SECOND
"""Between summaries (1 s [C]) or funding rates (1 s by the documents, 5 s in older data; paused by oracle trouble):
subscribed anew after that."""

PONG_NS: Final = 20 * SECOND
"""From our ping to the connection's end. The venue asks for a pong within 5 s itself; client pings are answered [C]."""

ORPHAN_NS: Final = SECOND
"""Changes that begin so long after their subscription without a picture: it was lost in the silence before them."""
RESYNCS: Final = 3
RESYNC_WINDOW_NS: Final = 30 * SECOND
"""So many rebuilds of one market in the window; the next trouble gives the connection up instead."""
SPARE_NS: Final = 300 * SECOND
"""One sick market costs the healthy ones their connection at most once in this time."""
COOL_NS: Final = 10 * SECOND
"""Until a market that may do neither is subscribed anew."""


def patience(stale_ns: int) -> dict[str, Patience]:
    """What is due from each kind of stream. A quiet market has neither quotes nor trades."""
    slow = Patience(ACK_NS, FIRST_NS, SILENCE_NS)
    return {
        "book": Patience(ACK_NS, SNAPSHOT_NS, stale_ns),
        "bbo": Patience(ACK_NS, FIRST_NS, stale_ns),
        "trade": Patience(ACK_NS),
        "stats": slow,
        "funding": slow,
    }


MARKETS_NS: Final = 600 * SECOND
"""Between reads of the market list: listings change by the day, and releases come once a day at 04:30 UTC."""
UNLISTED_NS: Final = 30 * SECOND
"""The same while a wanted market is missing or cannot be traded."""
SUMMARY_NS: Final = 60 * SECOND
"""Between REST summaries, which are used only where the streams have been silent for ``FRESH_NS``."""
FRESH_NS: Final = 30 * SECOND

REST_FALLBACK_AFTER_NS: Final = 2 * SECOND
"""A market without a stream book for so long is read over REST."""
REST_BOOK_NS: Final = SECOND
"""Between such reads of one market."""
AUDIT_NS: Final = 5 * SECOND
"""Between comparisons of a live book with REST. BTC and ETH have been seen without any delta for 5 to 6 s, so this
also tells a quiet market (same sequence: confirmed) from a dead stream (REST is ahead) well before it is stale."""
REST_SPACING_NS: Final = 100 * MS
"""Times the number of markets, the least of both periods: at most 600 of the 750 calls a minute."""
BEHIND_NS: Final = SECOND
"""A stream without a delta for so long after REST was seen ahead of it is dead (the documents ask for a second look a
second later; one look and no delta in that second say the same). But not before half
of ``stale_ms``: what comes in bursts would be called dead between them."""
DEPTHS: Final = (100, 20)
"""Levels a side asked of REST. The maximum is not documented: the documented default after an HTTP 400."""

NOTES: Final = 200
"""Different warnings written in a life; the counters go on."""

CHECK_NS: Final = SECOND
"""Shortest time between two published checks, unless the outcome changed."""
BBO_DIVERGED_NS: Final = SECOND
"""A book whose touch has contradicted the quote of the same sequence for so long, without one agreement, is rebuilt."""
REST_DIVERGED_NS: Final = 500 * MS
"""The same for REST. A first difference has the next comparison made after this time."""
