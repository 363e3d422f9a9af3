"""Aster's promises, and which of its feeds are used.

Sources are the venue's documents of June 2026 and captures of its wire up to October 2026; where they differ the
captures are believed.

Feeds, chosen for freshness first and then depth, four streams a market on one combined connection (the frame names its
stream; in raw mode two depth streams cannot be told apart):

- Book: ``@depth@100ms``, every change of the whole book, over a REST snapshot of 1,000 levels a side, the most there
  is. Partial depth would need no snapshot but shows 20 levels. (``@depth@0ms`` is faster and not documented.)
- Quote: ``@bookTicker``, at once when the best level changes; it shares the book's ids, so the two can be compared
  exactly wherever both name the same id.
- Trades: ``@aggTrade``, documented and free of insurance-fund and deleveraging fills (``@trade`` is neither).
- Mark, index, running funding: ``@markPrice@1s``. It comes every second whether anything trades or not, so it also
  tells a dead connection from a quiet market. Open interest, funding intervals and settled rates are REST only.

Depth horizon. A snapshot of 1,000 levels says nothing of what lies beyond them, and diffs tell only what changes there.
So the book covers a fixed range of prices, from the snapshot's lowest bid to its highest ask, and what lies outside is
dropped: inside, it equals the venue's, level by level, without holes. A side with fewer than 1,000 levels in the
snapshot is whole, and unlimited. The range moves when half of its levels are used up, and every ten minutes, by a fresh
snapshot rolled forward to the same id: the book stays live throughout.
"""

from __future__ import annotations

from typing import Final

from connectors.venue import Budget, VenueSpec

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
HOUR: Final = 3_600 * SECOND

WS_PATH: Final = "/stream"
REST_PATH: Final = "/fapi/v3/"
QUOTE_ASSET: Final = "USDT"

DEPTH: Final = "depth@100ms"
QUOTES: Final = "bookTicker"
TRADES: Final = "aggTrade"
MARK: Final = "markPrice@1s"
STREAMS: Final = (DEPTH, QUOTES, TRADES, MARK)
"""Suffixes after ``<symbol>@``; their case matters, the symbol's is lower."""

MARKETS_PER_CONNECTION: Final = 50
"""200 streams a connection, four a market."""

SPEC: Final = VenueSpec(
    venue="aster",
    # The server ends a connection after 24 h.
    session_age_ns=23 * HOUR,
    # Not documented; "be gentle, at most one a second", with room for a quick second try.
    connects=Budget(5, 5 * SECOND),
    # 10 a second and connection, else the connection is closed and repeated offenders banned; half of it is kept.
    messages=Budget(5, SECOND),
    # 2,400 weight a minute and IP, then 429, then 418 for 2 minutes to 3 days; the rest is left to the host's others.
    rest=Budget(2_000, 60 * SECOND),
    # No Retry-After is documented: after 429 the minute of the weight is let pass, after 403 (firewall) as well.
    hold_statuses={429: 60 * SECOND, 418: 120 * SECOND, 403: 60 * SECOND},
)

SNAPSHOT_LEVELS: Final = 1_000
"""The largest of the seven limits that ``depth`` takes."""
WEIGHT_SNAPSHOT: Final = 20
SNAPSHOT_TIMEOUT_S: Final = 2.5
"""Round trips of 0.33 to 0.42 s were measured; what takes so much longer is better asked for again."""
WEIGHT_OTHER: Final = 1

ACK_NS: Final = 5 * SECOND
"""An ack comes at once; it proves nothing, for unknown streams are acked too."""
MARK_NS: Final = 10 * SECOND
"""Ten pushes of the mark price missed."""
PONG_NS: Final = 10 * SECOND
"""Client pings are answered; the official client allows 5 s."""

FIRST_SNAPSHOT_NS: Final = 250 * MS
"""A snapshot is asked for at the first diff, or after so long without one (the venue's advice is 250 to 500 ms)."""
MISFIT_NS: Final = 250 * MS
"""Wait after a snapshot that does not fit the diffs (a REST book may lag the stream), fourfold each time, to a cap."""
MISFIT_CAP_NS: Final = 4 * SECOND
MISFITS: Final = 3
"""Snapshots in a row that do not fit after which the connection is left."""
NO_SNAPSHOT_NS: Final = 10 * SECOND
"""A connection by which no book has become live for so long is left, doubling to ``NO_SNAPSHOT_CAP_NS``.

Only then: a snapshot that REST refuses is no fault of a connection that serves other books.
"""
NO_SNAPSHOT_CAP_NS: Final = 320 * SECOND
SNAPSHOT_BURST: Final = 5
"""Snapshots of one market that may be asked for without a pause; see ``snapshot_every_ns``."""
BUFFER: Final = 2_000
"""Diffs kept while there is no snapshot: 200 s."""
HISTORY: Final = 64
"""Diffs kept while the book is live, to roll forward a snapshot that is older than the book: 6 s."""

REST_FALLBACK_AFTER_NS: Final = 2 * SECOND
"""A market without a live book for so long is shown as REST gives it."""

PROOF_NS: Final = 2 * SECOND
"""A snapshot that differs from a silent book proves that its stream is dead when no diff has followed for so long."""
RECHECK_NS: Final = SECOND
"""A fresh book is proven after so long, and a difference at one id looked at again before it is believed."""
LASTING_NS: Final = 5 * SECOND
"""Age of a difference that is believed, with REST at ever other prices (one at the same price is believed at once), or
with quotes of equal id while REST cannot decide which of the two is wrong."""
QUOTE_LAG_NS: Final = 3 * SECOND
"""A book whose touch has left an older quote's for so long shows that the quote's stream is dead."""
CHECK_TOLD_NS: Final = SECOND
"""Shortest time between two published checks of a market."""
REFRESH_NS: Final = 600 * SECOND
"""Age at which a book with a horizon is given a new one."""

MARKETS_NS: Final = HOUR
"""Between reads of the market list (the venue's advice)."""
UNLISTED_NS: Final = 60 * SECOND
"""The same while a wanted market is missing from it."""
INTERVALS_NS: Final = 600 * SECOND
"""Between reads of the funding intervals, which may change."""
INTERVALS_AFTER_NS: Final = 500 * MS
"""Books first."""
DEFAULT_INTERVAL_HOURS: Final = 8.0
"""Where the venue lists no interval: that of most symbols, and said aloud."""
INTEREST_NS: Final = 30 * SECOND
SETTLED_NS: Final = 60 * SECOND
SETTLED_ROWS: Final = "10"
"""The newest is wanted; their order is documented as ascending."""
UNKNOWN_KINDS: Final = 100
"""Different unknown frames that are logged, each once; and REST failures, each once until its call succeeds."""


def snapshot_every_ns(markets: int) -> int:
    """Average pause between snapshots of one of so many markets: 1,200 weight a minute for all together at most."""
    return max(4, markets) * SECOND


def check_every_ns(markets: int) -> int:
    """Between comparisons of a live book with REST: 360 weight a minute for three markets, at most 600 for many."""
    return max(10, 2 * markets) * SECOND


def misfit_ns(misfits: int) -> int:
    """Wait after so many snapshots in a row that did not fit."""
    return min(MISFIT_CAP_NS, MISFIT_NS << min(2 * max(misfits - 1, 0), 8))
