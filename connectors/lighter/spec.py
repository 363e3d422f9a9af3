"""Lighter's promises, and which of its feeds are used.

Sources are the venue's documents, its SDK, and captures of its wire of July to September 2026.

Feeds, chosen for freshness and depth; there is only one of each kind:

- Book: ``order_book``, the whole book without a cap, as a snapshot and differences on a 50 ms grid, only on change.
- Quote: ``ticker``, on every change of the engine (15 ms in the median on a busy market), so fresher than the book.
- Trades: ``trade``, with liquidations in a list of their own; ``market_stats`` for mark, index, open interest and both
  the running and the settled funding rate, so no REST call is needed for funding.

The book's chain is ``begin_nonce == nonce of the frame before``; ``offset`` belongs to one API server and says nothing.
A quiet market sends nothing at all: whether it is quiet or dead is asked of REST before it is called stale.

The REST book (``orderBookOrders``) lists single orders and has neither sequence nor time. It can tell a quiet book from
a dead one and stand in for a missing one, marked as such; it is never a base for differences.
"""

from __future__ import annotations

from typing import Final

from connectors.venue import Budget, VenueSpec

SECOND: Final = 1_000_000_000
HOUR: Final = 3_600 * SECOND
NS_PER_MS: Final = 1_000_000
NS_PER_US: Final = 1_000

WS_PATH: Final = "/stream?readonly=true"
"""``readonly`` lets restricted regions read market data and is harmless elsewhere."""
MARKETS_PATH: Final = "/api/v1/orderBookDetails"
BOOK_PATH: Final = "/api/v1/orderBookOrders"

CHANNELS: Final = ("order_book", "ticker", "trade", "market_stats")
"""Channels of each market, the book first so that it is live first."""

SPEC: Final = VenueSpec(
    venue="lighter",
    # "Every connection is dropped after 24 hours" (documents of April 2026, neither confirmed nor denied since).
    session_age_ns=23 * HOUR,
    # Per IP. Connections: 80 a minute in July 2026. Messages: 200 a minute in every version of the documents; refusals
    # of bursts have been captured, so a tenth is left. REST: 60 requests a minute for anonymous use, whatever their
    # weight, and who is limited on REST is limited on the stream as well.
    connects=Budget(60, 60 * SECOND),
    messages=Budget(180, 60 * SECOND),
    rest=Budget(54, 60 * SECOND),
    messages_per_connection=False,
)

IN_FLIGHT: Final = 35
"""Unanswered subscribes at a time; the venue allows 50 and answers mass subscribing with seconds of delay."""
FEWEST_IN_FLIGHT: Final = 2

ACK_NS: Final = 10 * SECOND
"""There is no acknowledgement but the first frame, and no attributable refusal: so every subscribe has a deadline."""
ORPHAN_NS: Final = SECOND
"""Differences that begin so long after their subscription without a snapshot: it was lost in the silence before."""
SNAPSHOT_NS: Final = 5 * SECOND
"""A snapshot follows its request within 0.6 s; on the first subscribing of many markets within seconds."""
PONG_NS: Final = 10 * SECOND
"""The connection is given up when two pings in a row have gone unanswered for this long."""
PROBE_MIN_NS: Final = 2 * SECOND
"""A book silent for half its threshold is compared with REST, but not within this time."""
PROBE_ORDERS: Final = 250
"""Orders a side asked of REST, the most there are; a call costs the same whatever it brings."""
LIMITED_NS: Final = 60 * SECOND
"""After a refusal for asking too much, how long nothing that is missing is a reason to reconnect."""
TRIES: Final = 3
"""Attempts to mend a market, while no other is live, before the connection is given up for it."""

MARKETS_NS: Final = 600 * SECOND
"""Between reads of the market list, for which there is no stream ("every few minutes")."""
UNLISTED_NS: Final = 60 * SECOND
"""The same while a wanted market is missing from it or a channel was refused as invalid."""

REST_FALLBACK_AFTER_NS: Final = 2 * SECOND
"""A market without a stream book for so long is read over REST."""
REST_SHARE_NS: Final = 1_700_000_000
"""Between REST books of any two markets: 35 of the 54 calls a minute."""

CHECK_NS: Final = SECOND
"""Shortest time between two published checks of a market."""
CHECK_MISMATCHES: Final = 3
"""Touch and quote of the same nonce are equal by definition: so many differences in 30 comparisons are no accident."""
DOUBT_NS: Final = 60 * SECOND
"""How long a book is withheld because quotes contradict it. A check that is never satisfied is wrong itself: it is
told, and not acted upon until it has agreed once."""
MANY_LEVELS: Final = 10
"""A side of so many that loses more than half of them in one frame of 50 ms is asked about."""
BEHIND_NS: Final = 2 * SECOND
"""A quote newer than the book and different from it for so long, without a book frame: the book is dead; and so is
a quote older than the book and different from it, without a quote."""
STATS_NS: Final = 60 * SECOND
"""Silence of a market's figures after which they are subscribed anew; several a second have been reported."""
QUOTES: Final = 64
"""Quotes remembered a market to find the one of a book's nonce; a book frame covers 50 ms."""
NOTED_KINDS: Final = 20
"""Unknown kinds of frames that are logged, each once."""

# Codes of refusals; those not named here are logged and found by deadlines.
NOT_SUBSCRIBED: Final = 30002
ALREADY_SUBSCRIBED: Final = 30003
"""The subscription is alive, but no snapshot follows."""
INVALID_CHANNEL: Final = 30005
"""Our market list is out of date."""
TOO_MANY_IN_FLIGHT: Final = 30010
TOO_FAST: Final = frozenset({30009, 23000})
"""Too many messages, too many requests: not to be answered by reconnecting, which would send them all again."""
