"""Hyperliquid's promises, and which of its feeds are used.

Sources are the venue's documents and captures of its wire of August and September 2026; where they differ the captures
are believed (the documentation still says 0.5 s for every book).

Feeds, chosen for freshness first and then depth:

- Book: ``l2Book`` with ``fast: true``: 5 levels a side, the whole picture about every 0.54 s, re-sent unchanged. The
  default book has 20 levels but comes every 5.0 to 5.6 s since July 2026: ten times older. The two are not merged: a
  merged book would mix two instants and equal the venue's at neither. So the published book has ``depth`` 5, and says
  so. (20 levels twice a second exist only on an undocumented delta channel without any sequence.)
- Quote: ``bbo``, each block in which the touch changed: the fastest word on the touch.
- Trades: ``trades``; mark, index, open interest and running funding: ``activeAssetCtx``, once a second.

There is no sequence number anywhere: a frame is complete in itself, ``time`` must not go back within a connection, and
silence is the only sign of loss.
"""

from __future__ import annotations

from typing import Final

from connectors.venue import Budget, VenueSpec

SECOND: Final = 1_000_000_000
HOUR: Final = 3_600 * SECOND

WS_PATH: Final = "/ws"
INFO_PATH: Final = "/info"

DEPTH: Final = 5
"""Levels a side of the fast book."""

STREAMS: Final = ("l2Book", "bbo", "trades", "activeAssetCtx")
"""Subscription types, the book first so that it is live first."""

SPEC: Final = VenueSpec(
    venue="hyperliquid",
    # Ended by the venue after 10,002 to 10,592 s with close code 1000 "Expired" (all observed planned closes).
    session_age_ns=9_000 * SECOND,
    # Rate-limit page: 30 new connections a minute (and 10 at once), 2,000 client messages a minute over all
    # connections, REST weight 1,200 a minute; all per IP.
    connects=Budget(30, 60 * SECOND),
    messages=Budget(2_000, 60 * SECOND),
    rest=Budget(1_200, 60 * SECOND),
    messages_per_connection=False,
)

WEIGHT_BOOK: Final = 2
WEIGHT_OTHER: Final = 20
"""Every other public call; ``fundingHistory`` adds 1 per 20 rows."""
WEIGHT_FUNDING: Final = 21

ACK_NS: Final = 5 * SECOND
"""Acknowledgements take 0.1 to 0.3 s."""
FIRST_NS: Final = 3 * SECOND
"""The first book follows its request within 0.3 s, and the push clock turns every 0.66 s at the latest."""
CTX_NS: Final = 10 * SECOND
"""Silence of a market's figures, sent once a second, after which they are subscribed anew."""
PROBE_MIN_NS: Final = 2 * SECOND
"""A book silent for half its threshold is subscribed anew before it is called stale, but not within this time."""
PONG_NS: Final = 10 * SECOND
"""A pong takes 0.09 s; the connection is given up when two pings in a row have gone unanswered for this long."""
KILL_NS: Final = 2 * SECOND
"""An unknown coin ends the whole connection without a word 0.1 to 0.8 s after its request."""
STRIKES: Final = 2
"""Silent deaths with one and the same request pending after which its coin is held to be the culprit."""
TRIES: Final = 3
"""Attempts to mend a market, while no other is live, before the connection is given up for it."""
EMPTY_NS: Final = 3 * SECOND
"""A book without one side is believed when it has lasted so long and no quote says otherwise."""
DOUBT_NS: Final = 60 * SECOND
"""How long books are withheld because the quotes contradict them."""
NOTED_CHANNELS: Final = 20
"""Unknown kinds of frames that are logged, each once."""
QUOTES: Final = 64
"""Quotes remembered a market: more than the 8 a second seen times the 2.4 s a book has been late."""

MARKETS_NS: Final = 900 * SECOND
"""Between reads of the market list: listings change by the day, and a read costs 20 of 1,200 a minute."""
UNLISTED_NS: Final = 60 * SECOND
"""The same while a wanted market is missing from it."""

REST_FALLBACK_AFTER_NS: Final = 2 * SECOND
"""A market without a stream book for so long is read over REST."""
REST_BOOK_NS: Final = SECOND
"""Between such reads of one market; the venue refreshes them about every 0.5 s. Only 5 levels are used, as streamed."""

SETTLED_AFTER_NS: Final = 5 * SECOND
"""Settled funding is asked for so long after the full hour (it is stamped up to 0.12 s after it)."""
SETTLED_RETRY_NS: Final = 60 * SECOND
"""And again so much later when the hour is not there yet (hours have been missing for ever)."""

CHECK_NS: Final = SECOND
"""Shortest time between two published checks of a market."""
CHECK_DIVERGED_NS: Final = 3 * SECOND
"""A book whose touch has contradicted the quote stream for so long, without one agreement, is built anew."""
