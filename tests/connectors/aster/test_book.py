"""A market's book from nothing to live, and from every trouble back."""

from __future__ import annotations

import pytest

from bus.events import Book, Check, Delta, Reason, Source, Trust
from connectors.aster import spec
from connectors.effects import Emit, Fetch, Reject
from tests.connectors.aster.venue import (
    ASKS,
    BIDS,
    BTC,
    TIME,
    Desk,
    Pairs,
    S,
    counted,
    depth,
    listing,
    only,
    reasons,
    sent,
    snapshot,
)

MS = 1_000_000


# -- joining


def test_the_first_diff_asks_for_a_snapshot_and_nothing_is_said_before_it_comes() -> None:
    desk = Desk()
    desk.ready()
    effects = desk.frame(depth(1_000, 900))
    assert [(fetch.url, fetch.params, fetch.weight) for fetch in only(effects, Fetch)] == [
        ("https://fapi.asterdex.com/fapi/v3/depth", (("symbol", "BTCUSDT"), ("limit", "1000")), 20)
    ]
    assert desk.frame(depth(1_100, 1_000, [(100.0, 7.0)])) == []
    (book,) = only(desk.answer("book", snapshot(1_050)), Book)
    assert (book.trust, book.source, book.rebuild, book.venue_seq) == (Trust.LIVE, Source.STREAM, 1, 1_100)
    assert (book.venue_ns, book.bid_sz[0], book.depth) == (TIME * MS, 7.0, 1_000)


# The bridging table of the venue's protocol, one row a case; the last column is what becomes of the market.
@pytest.mark.parametrize(
    ("last", "u", "pu", "outcome"),
    [
        (309120, 309233, 307702, "live"),
        (309233, 311870, 309233, "live"),
        (309500, 311870, 309233, "live"),
        (309233, 309233, 307702, "live"),
        (309233, 307702, 306020, "waits"),
        (305000, 307702, 306020, "asks again"),
    ],
)
def test_the_first_diff_after_a_snapshot(last: int, u: int, pu: int, outcome: str) -> None:
    desk = Desk()
    desk.ready()
    desk.frame(depth(u, pu, [(100.0, 9.0)]))
    effects = desk.answer("book", snapshot(last))
    assert (BTC in desk.trust) is (outcome == "live")
    if outcome == "live":
        assert desk.books[BTC].best()[:2] == (100.0, 9.0)
    again = desk.asked("book") or desk.wait(0.3)
    assert bool(again and desk.asked("book")) is (outcome == "asks again")
    assert only(effects, Delta) == []


def test_a_snapshot_ahead_of_the_diffs_waits_for_the_one_that_leads_on() -> None:
    desk = Desk()
    desk.ready()
    desk.frame(depth(1_000, 900))
    assert only(desk.answer("book", snapshot(2_000)), Book) == []
    assert desk.frame(depth(1_500, 1_000, [(100.0, 5.0)])) == []
    (book,) = only(desk.frame(depth(2_100, 1_500, [(99.9, 8.0)])), Book)
    # What the snapshot already had is not applied again from the older diff.
    assert book.bid_sz[:2] == [1.0, 8.0]


def test_without_a_diff_the_snapshot_is_asked_for_after_a_quarter_of_a_second() -> None:
    desk = Desk()
    desk.ready()
    assert not desk.asked("book")
    desk.wait(0.25)
    assert desk.asked("book")


def test_a_gap_among_the_kept_diffs_keeps_only_what_follows_it() -> None:
    desk = Desk()
    desk.ready()
    desk.frame(depth(1_000, 900))
    assert counted(desk.frame(depth(1_300, 1_200))) == {"seq_gaps": 1}
    desk.answer("book", snapshot(1_000))
    assert BTC not in desk.trust
    desk.wait(0.3)
    desk.answer("book", snapshot(1_250))
    assert desk.seqs[BTC] == 1_300


def test_three_snapshots_older_than_the_diffs_end_the_connection_and_waits_keep_growing() -> None:
    desk = Desk()
    desk.ready()
    desk.frame(depth(2_000, 1_900))
    desk.answer("book", snapshot(1_000))
    assert not desk.asked("book")
    desk.wait(0.25)
    desk.answer("book", snapshot(1_001))
    desk.wait(1.0)
    effects = desk.answer("book", snapshot(1_002))
    assert reasons(effects) == [Reason.SEQ_MISMATCH]
    desk.open()
    desk.frame(depth(3_000, 2_900))
    # The REST book lags the stream by more than a second: the next connection is more patient.
    desk.wait(3.9)
    assert not desk.asked("book")
    desk.wait(0.2)
    desk.answer("book", snapshot(2_950))
    assert desk.trust[BTC] is Trust.LIVE
    desk.frame(depth(3_100, 9_999))
    assert desk.asked("book")


def test_a_diff_that_shows_the_snapshot_to_be_too_old_has_the_next_one_asked_for_soon() -> None:
    desk = Desk()
    desk.live()
    desk.frame(depth(1_100, 1_000, [(100.1, 1.0)]))
    desk.answer("book", snapshot(1_050))
    assert desk.frame(depth(1_200, 1_100)) == []
    desk.wait(0.24)
    assert not desk.asked("book")
    desk.wait(0.02)
    desk.answer("book", snapshot(1_150))
    assert desk.trust[BTC] is Trust.LIVE


def test_crossed_snapshots_are_counted_and_end_the_connection() -> None:
    desk = Desk()
    desk.ready()
    desk.frame(depth(1_000, 900))
    for wait in (0.25, 1.0, 0.0):
        assert reasons(desk.log) == []
        assert counted(desk.answer("book", snapshot(1_000, bids=[(100.1, 1.0)])))["crossed_books"] >= 1
        desk.wait(wait)
    assert reasons(desk.log) == [Reason.CROSSED_BOOK]
    assert BTC not in desk.trust


def test_nothing_is_published_before_the_market_list_names_the_symbol() -> None:
    desk = Desk()
    desk.start()
    desk.open()
    desk.frame(depth(1_000, 900))
    desk.answer("book", snapshot(1_000))
    desk.frame(depth(1_100, 1_000, [(100.0, 4.0)]))
    assert desk.trust == {}
    effects = desk.answer("markets", listing())
    assert [type(event) for event in only(effects, object) if isinstance(event, Book)] == [Book]
    assert desk.seqs[BTC] == 1_100


def test_a_thousand_diffs_without_a_snapshot_are_bounded() -> None:
    desk = Desk()
    desk.ready()
    for number in range(1, 3 * spec.BUFFER):
        desk.frame(depth(number, number - 1))
    desk.answer("book", snapshot(3 * spec.BUFFER - 10))
    assert desk.seqs[BTC] == 3 * spec.BUFFER - 1


# -- live


def test_a_diff_in_order_is_published_as_it_is() -> None:
    desk = Desk()
    desk.live()
    (delta,) = only(desk.frame(depth(1_900, 1_000, [(100.0, 0.0)], [(100.2, 9.0)])), Delta)
    assert (delta.bid_px, delta.bid_sz, delta.ask_px, delta.ask_sz) == ([100.0], [0.0], [100.2], [9.0])
    assert (delta.trust, delta.venue_seq, delta.rebuild) == (Trust.LIVE, 1_900, 1)


def test_a_repeated_or_late_diff_is_dropped_and_counted() -> None:
    desk = Desk()
    desk.live()
    desk.frame(depth(1_100, 1_000, [(100.0, 2.0)]))
    assert counted(desk.frame(depth(1_100, 1_000, [(100.0, 3.0)]))) == {"duplicates": 1}
    desk.frame(depth(1_050, 990, [(100.0, 4.0)]))
    assert counted(desk.log)["duplicates"] == 2
    assert desk.books[BTC].best()[1] == 2.0
    assert desk.trust[BTC] is Trust.LIVE


def test_a_gap_invalidates_first_and_is_mended_on_the_same_connection() -> None:
    desk = Desk()
    desk.live()
    effects = desk.frame(depth(1_300, 1_200, [(100.0, 6.0)]))
    assert isinstance(effects[0], Emit)
    assert only(effects[:1], Delta)[0].trust is Trust.RESYNC
    assert counted(effects) == {"resyncs": 1, "seq_gaps": 1}
    assert desk.frame(depth(1_400, 1_300, [(99.9, 7.0)])) == []
    (book,) = only(desk.answer("book", snapshot(1_250)), Book)
    assert (book.rebuild, book.venue_seq, book.bid_sz[:2]) == (2, 1_400, [6.0, 7.0])
    assert reasons(desk.log) == []


def test_a_crossed_book_is_never_published() -> None:
    desk = Desk()
    desk.live()
    effects = desk.frame(depth(1_100, 1_000, [(100.1, 1.0)]))
    assert desk.trust[BTC] is Trust.RESYNC
    assert counted(effects) == {"resyncs": 1, "crossed_books": 1}
    assert desk.books[BTC].best()[:2] == BIDS[0]
    desk.answer("book", snapshot(1_150))
    desk.frame(depth(1_200, 1_100))
    assert desk.trust[BTC] is Trust.LIVE


def test_a_side_that_runs_empty_is_not_believed_without_a_snapshot() -> None:
    desk = Desk()
    desk.live(bids=[(100.0, 1.0)])
    desk.frame(depth(1_100, 1_000, [(100.0, 0.0)]))
    assert desk.trust[BTC] is Trust.RESYNC
    desk.answer("book", snapshot(1_150, bids=()))
    desk.frame(depth(1_200, 1_100))
    assert desk.trust[BTC] is Trust.LIVE
    assert desk.books[BTC].best_bid() is None
    # One-sided it may stay; once it was whole again, another emptying is looked into again.
    desk.frame(depth(1_300, 1_200, (), [(100.4, 1.0)]))
    desk.frame(depth(1_400, 1_300, [(99.0, 1.0)]))
    assert desk.trust[BTC] is Trust.LIVE
    desk.frame(depth(1_500, 1_400, [(99.0, 0.0)]))
    assert desk.trust[BTC] is Trust.RESYNC


@pytest.mark.parametrize("gap", [False, True])
def test_an_impossible_level_is_rejected_and_the_book_built_anew(gap: bool) -> None:
    desk = Desk()
    desk.live()
    effects = desk.frame(depth(1_200, 1_100 if gap else 1_000, [(-5.0, 1.0)]))
    assert only(effects[:1], Delta)[0].trust is Trust.RESYNC
    assert len(only(effects, Reject)) == 1
    assert desk.asked("book")
    desk.frame(depth(1_300, 1_200, [(100.0, 3.0)]))
    desk.answer("book", snapshot(1_250))
    assert desk.seqs[BTC] == 1_300


def test_an_impossible_level_among_diffs_that_are_kept_is_rejected_at_once() -> None:
    desk = Desk()
    desk.ready()
    desk.frame(depth(1_000, 900))
    effects = desk.frame(depth(1_100, 1_000, [(float("nan"), 1.0)]))
    assert len(only(effects, Reject)) == 1
    assert len([fetch for fetch in desk.pending if fetch.name == "book"]) == 1
    desk.answer("book", snapshot(1_150))
    desk.frame(depth(1_200, 1_100))
    assert desk.seqs[BTC] == 1_200


# -- the horizon


def wide(touch: float = 100.0, sz: float = 1.0) -> tuple[Pairs, Pairs]:
    count = spec.SNAPSHOT_LEVELS
    return (
        [(touch - number / 10, sz) for number in range(count)],
        [(touch + 0.1 + number / 10, sz) for number in range(count)],
    )


def test_levels_beyond_the_snapshot_are_not_published() -> None:
    desk = Desk()
    desk.live(1_000, *wide(200.0))
    (delta,) = only(desk.frame(depth(1_100, 1_000, [(100.0, 5.0), (150.0, 5.0)], [(301.0, 5.0), (250.0, 5.0)])), Delta)
    assert (delta.bid_px, delta.ask_px) == ([150.0], [250.0])


def test_a_horizon_is_moved_when_half_its_levels_are_used_up_without_leaving_live() -> None:
    desk = Desk()
    desk.live(1_000, *wide(200.0))
    desk.frame(depth(1_100, 1_000, (), [(200.1 + number / 10, 0.0) for number in range(501)]))
    desk.wait(9.9)
    desk.frame(depth(1_200, 1_100, [(200.0, 2.0)]))
    desk.wait(0.2)
    assert desk.asked("book")
    desk.frame(depth(1_300, 1_200, [(200.0, 3.0)]))
    bids, asks = list(wide(200.0)[0]), list(wide(250.1)[1])
    bids[0] = (200.0, 2.0)
    effects = desk.answer("book", snapshot(1_250, bids, asks))
    (book,) = only(effects, Book)
    assert (book.trust, book.rebuild, book.venue_seq) == (Trust.LIVE, 1, 1_300)
    assert (book.ask_px[0], len(book.ask_px)) == (250.2, 1_000)
    assert book.bid_sz[0] == 3.0
    (check,) = only(effects, Check)
    assert (check.against, check.divergence, check.compared) == ("rest", 0.0, 1)


def test_a_horizon_is_moved_when_it_is_old() -> None:
    desk = Desk()
    desk.live(1_000, *wide(200.0))
    u = 1_000
    books = []
    for _ in range(61):
        desk.wait(9.5)
        desk.frame(depth(u + 100, u))
        desk.wait(0.5)
        desk.frame(depth(u + 200, u + 100))
        books += only(desk.answer("book", snapshot(u + 150, *wide(200.0))), Book)
        u += 200
    assert len(books) == 1
    assert books[0].rebuild == 1


# -- proof


def test_a_live_book_is_proven_every_ten_seconds() -> None:
    desk = Desk()
    desk.live()
    u = 1_000
    for _ in range(100):
        desk.wait(0.1)
        u += 10
        desk.frame(depth(u, u - 10, [(99.9, u / 1_000)]))
    assert desk.asked("book")
    bids = [(100.0, 1.0), (99.9, u / 1_000), (99.8, 3.0)]
    effects = desk.answer("book", snapshot(u, bids))
    (check,) = only(effects, Check)
    assert (check.divergence, check.since_ns) == (0.0, None)
    assert desk.trust[BTC] is Trust.LIVE


def test_a_snapshot_between_two_diffs_is_compared_at_the_later_one() -> None:
    desk = Desk()
    desk.live()
    desk.frame(depth(1_100, 1_000, [(100.0, 2.0)]))
    desk.wait(5.0)
    desk.frame(depth(1_200, 1_100, [(100.0, 3.0)]))
    desk.frame(depth(1_300, 1_200, [(100.0, 4.0)]))
    # The venue was between the two when it answered: the second diff is re-applied.
    effects = desk.answer("book", snapshot(1_250, [(100.0, 3.5), *BIDS[1:]]))
    assert only(effects, Check)[0].divergence == 0.0


def corrupted() -> Desk:
    """A book that differs from the venue's without any sign in the stream."""
    desk = Desk()
    desk.live()
    desk.wait(5.0)
    desk.frame(depth(1_100, 1_000))
    return desk


OTHER = [*BIDS[:2], (99.8, 7.0)]


def test_a_difference_at_one_id_is_believed_the_second_time() -> None:
    desk = corrupted()
    effects = desk.answer("book", snapshot(1_100, OTHER))
    assert only(effects, Check)[0].divergence > 0.0
    assert counted(effects) == {"check_mismatches": 1}
    assert desk.trust[BTC] is Trust.LIVE
    desk.wait(1.0)
    effects = desk.answer("book", snapshot(1_100, OTHER))
    assert only(effects[:1], Delta)[0].trust is Trust.RESYNC
    assert counted(effects)["check_mismatches"] == 1
    desk.frame(depth(1_200, 1_100))
    desk.answer("book", snapshot(1_150, OTHER))
    assert desk.trust[BTC] is Trust.LIVE


def test_a_difference_that_does_not_last_is_no_alarm() -> None:
    desk = corrupted()
    desk.answer("book", snapshot(1_100, OTHER))
    desk.wait(1.0)
    effects = desk.answer("book", snapshot(1_100))
    assert counted(effects) == {}
    assert desk.trust[BTC] is Trust.LIVE


def test_differences_at_ever_other_prices_are_believed_when_they_last() -> None:
    desk = corrupted()
    desk.answer("book", snapshot(1_100, OTHER))
    for size in range(1, 4):
        desk.wait(1.0)
        desk.answer("book", snapshot(1_100, BIDS, [*ASKS[: size - 1], (ASKS[size - 1][0], 9.0), *ASKS[size:]]))
        assert desk.trust[BTC] is Trust.LIVE
    desk.frame(depth(1_200, 1_100))
    desk.wait(1.0)
    desk.frame(depth(1_300, 1_200))
    desk.wait(1.0)
    desk.answer("book", snapshot(1_300, OTHER))
    assert desk.trust[BTC] is Trust.RESYNC


def test_a_snapshot_older_than_the_history_proves_nothing() -> None:
    desk = corrupted()
    assert desk.answer("book", snapshot(500)) == []
    assert desk.trust[BTC] is Trust.LIVE


# -- quiet and dead


def test_a_quiet_market_is_confirmed_by_rest_before_it_is_stale() -> None:
    desk = Desk()
    desk.live()
    for _ in range(6):
        desk.wait(5.0)
        (delta,) = only(desk.answer("book", snapshot(9_000)), Delta)
        assert (delta.trust, delta.venue_seq, delta.bid_px) == (Trust.LIVE, 1_000, [])
    assert reasons(desk.log) == []
    assert desk.trust[BTC] is Trust.LIVE
    desk.frame(depth(9_500, 1_000, [(100.0, 3.0)]))
    assert desk.seqs[BTC] == 9_500


def test_a_difference_in_silence_waits_for_the_diff_that_tells_of_it() -> None:
    desk = Desk()
    desk.live()
    desk.wait(5.0)
    assert desk.answer("book", snapshot(1_100, [(100.0, 2.0), *BIDS[1:]])) == []
    effects = desk.frame(depth(1_050, 1_000))
    effects += desk.frame(depth(1_100, 1_050, [(100.0, 2.0)]))
    assert only(effects, Check)[0].divergence == 0.0
    assert desk.trust[BTC] is Trust.LIVE


def test_a_stream_that_lags_rest_is_not_called_dead() -> None:
    desk = Desk()
    desk.live()
    desk.wait(5.0)
    desk.answer("book", snapshot(9_000, [(100.0, 2.0), *BIDS[1:]]))
    desk.wait(1.0)
    desk.frame(depth(1_100, 1_000))
    desk.wait(1.5)
    assert desk.trust[BTC] is Trust.LIVE


def test_a_silent_stream_is_dead_when_rest_moves_on_and_is_subscribed_anew_alone() -> None:
    desk = Desk(BTC, "ETH-PERP")
    desk.live()
    desk.wait(4.0)
    desk.frame(depth(5_000, 4_000, (), (), "ETHUSDT"))
    desk.wait(1.0)
    desk.answer("book", snapshot(2_000, [(100.0, 2.0), *BIDS[1:]]), market=BTC)
    effects = desk.wait(2.1)
    assert desk.trust[BTC] is Trust.STALE
    assert reasons(effects) == []
    assert [(frame["method"], frame["params"]) for frame in sent(effects)] == [
        ("UNSUBSCRIBE", ["btcusdt@depth@100ms"]),
        ("SUBSCRIBE", ["btcusdt@depth@100ms"]),
    ]
    desk.frame(depth(3_000, 2_900))
    desk.answer("book", snapshot(2_950), market=BTC)
    assert desk.trust[BTC] is Trust.LIVE


def test_silence_is_stale_at_the_threshold_when_rest_does_not_answer() -> None:
    desk = Desk(stale_ms=3_000, marks=False)
    desk.live()
    desk.wait(2.999)
    assert desk.trust[BTC] is Trust.LIVE
    effects = desk.wait(0.002)
    assert desk.trust[BTC] is Trust.STALE
    assert reasons(effects) == [Reason.STALE_WATCHDOG]


def test_without_a_first_diff_rest_tells_quiet_from_dead() -> None:
    desk = Desk()
    desk.ready()
    desk.wait(0.25)
    desk.answer("book", snapshot(1_000))
    desk.wait(4.0)
    desk.answer("book", snapshot(1_100))
    desk.wait(4.0)
    desk.answer("book", snapshot(1_200))
    # 10 s without a first diff, and nothing has moved: quiet, shown as REST gives it.
    assert reasons(desk.wait(2.0)) == []
    assert desk.trust[BTC] is Trust.REST
    desk.wait(2.0)
    desk.answer("book", snapshot(1_300, [(100.0, 2.0), *BIDS[1:]]))
    effects = desk.wait(2.1)
    assert [frame["params"] for frame in sent(effects)] == [["btcusdt@depth@100ms"]] * 2
    desk.wait(0.25)
    desk.answer("book", snapshot(1_400))
    desk.wait(4.0)
    desk.answer("book", snapshot(1_500, [(100.0, 2.0), *BIDS[1:]]))
    assert reasons(desk.wait(2.1)) == [Reason.MARKET_STALE]


def test_without_any_data_the_connection_is_left() -> None:
    desk = Desk(marks=False)
    desk.ready()
    desk.wait(9.9)
    assert reasons(desk.log) == []
    assert reasons(desk.wait(0.2)) == [Reason.SNAPSHOT_TIMEOUT]


# -- REST pictures


def test_a_market_without_its_stream_is_shown_as_rest_gives_it_and_rest_ages_too() -> None:
    desk = Desk()
    desk.live()
    desk.close()
    assert desk.trust[BTC] is Trust.STALE
    desk.wait(1.9)
    assert not desk.asked("book")
    desk.wait(0.2)
    effects = desk.answer("book", snapshot(1_500))
    (book,) = only(effects, Book)
    assert (book.trust, book.source, book.venue_seq) == (Trust.REST, Source.REST, 1_500)
    assert counted(effects) == {"rest_books": 1}
    desk.wait(4.0)
    assert desk.asked("book")
    desk.wait(6.1)
    assert desk.trust[BTC] is Trust.STALE
    desk.answer("book", snapshot(1_600))
    assert desk.trust[BTC] is Trust.REST


def test_a_picture_outlives_connections_that_bring_no_book() -> None:
    desk = Desk()
    desk.live()
    desk.close()
    desk.wait(2.1)
    desk.answer("book", snapshot(1_500))
    desk.open()
    desk.close()
    assert desk.trust[BTC] is Trust.REST
    desk.open()
    desk.frame(depth(2_000, 1_900))
    desk.answer("book", snapshot(1_950))
    assert desk.trust[BTC] is Trust.LIVE


def test_a_crossed_picture_is_not_shown() -> None:
    desk = Desk()
    desk.live()
    desk.close()
    desk.wait(2.1)
    assert counted(desk.answer("book", snapshot(1_500, bids=[(100.1, 1.0)]))) == {"crossed_books": 1}
    assert desk.trust[BTC] is Trust.STALE


def test_a_bad_diff_says_nothing_of_a_picture() -> None:
    desk = Desk()
    desk.live()
    desk.close()
    desk.wait(2.1)
    desk.answer("book", snapshot(1_500))
    desk.open()
    desk.frame(b'{"stream":"btcusdt@depth@100ms","data":{"e":"dep')
    assert desk.trust[BTC] is Trust.REST


# -- REST trouble


@pytest.mark.parametrize("status", [500, 503, None])
def test_refused_snapshots_are_asked_for_again_with_growing_waits(status: int | None) -> None:
    desk = Desk()
    desk.live()
    desk.close()
    desk.wait(2.1)
    for wait in (0.5, 1.0, 2.0, 4.0, 4.0):
        desk.answer("book", b"<html>", status)
        desk.wait(wait - 0.01)
        assert not desk.asked("book")
        desk.wait(0.02)
        assert desk.asked("book")
    desk.answer("book", snapshot(950))
    assert desk.trust[BTC] is Trust.REST


def test_a_question_that_the_venue_does_not_like_is_repeated_more_rarely() -> None:
    desk = Desk()
    desk.live()
    desk.close()
    desk.wait(2.1)
    for wait in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0):
        desk.answer("book", {"code": -1121, "msg": "Invalid symbol."}, 400)
        desk.wait(wait - 0.01)
        assert not desk.asked("book")
        desk.wait(0.02)
        assert desk.asked("book")


def test_every_market_has_three_tries_on_every_connection() -> None:
    desk = Desk(BTC, "ETH-PERP")
    desk.ready()
    for symbol in ("BTCUSDT", "ETHUSDT"):
        desk.frame(depth(2_000, 1_900, (), (), symbol))
    for wait in (0.25, 1.0):
        for market in (BTC, "ETH-PERP"):
            desk.answer("book", snapshot(1_000), market=market)
        desk.wait(wait)
    assert reasons(desk.answer("book", snapshot(1_000), market=BTC)) == [Reason.SEQ_MISMATCH]
    desk.open()
    desk.frame(depth(3_000, 2_900, (), (), "ETHUSDT"))
    for _ in range(2):
        desk.wait(4.1)
        desk.frame(depth(4_000, 3_900, (), (), "ETHUSDT"))
        assert reasons(desk.answer("book", snapshot(2_000), market="ETH-PERP")) == []


def test_retry_after_is_obeyed() -> None:
    desk = Desk()
    desk.ready()
    desk.frame(depth(1_000, 900))
    desk.answer("book", b"", 429, retry_after="7")
    desk.wait(6.9)
    assert not desk.asked("book")
    desk.wait(0.2)
    assert desk.asked("book")


def test_a_body_that_is_no_snapshot_is_rejected() -> None:
    desk = Desk()
    desk.ready()
    desk.frame(depth(1_000, 900))
    effects = desk.answer("book", {"lastUpdateId": -1, "bids": [], "asks": []})
    assert len(only(effects, Reject)) == 1
    desk.wait(0.6)
    assert desk.asked("book")


def test_an_answer_to_an_earlier_question_is_ignored() -> None:
    desk = Desk()
    desk.ready()
    desk.frame(depth(1_000, 900))
    desk.close()
    desk.open()
    desk.frame(depth(2_000, 1_900))
    assert desk.answer("book", snapshot(1_950)) == []
    desk.answer("book", snapshot(1_960))
    assert desk.trust[BTC] is Trust.LIVE
    assert desk.context.rebuilds.next(BTC) == 2


def test_an_answer_that_never_comes_is_asked_for_again() -> None:
    desk = Desk()
    desk.live()
    desk.close()
    desk.wait(2.1)
    desk.pending.clear()
    desk.wait(61.0)
    assert desk.asked("book")


def test_snapshots_of_one_market_are_paced() -> None:
    desk = Desk()
    desk.live()
    u = 1_000
    times = []
    for _ in range(200):
        u += 100
        desk.mono += S // 10
        if desk.asked("book"):
            times.append(desk.mono)
            desk.answer("book", snapshot(u - 50))
        # Every diff is a gap.
        desk.frame(depth(u, u - 10))
        desk.wait(0.0)
    assert 8 <= len(times) <= 6 + 5
    assert desk.trust[BTC] is not Trust.LIVE


def test_a_quiet_one_sided_venue_time_may_be_missing() -> None:
    desk = Desk()
    desk.live()
    desk.wait(5.0)
    body = snapshot(9_000)
    del body["T"]
    (delta,) = only(desk.answer("book", body), Delta)
    assert delta.venue_ns == TIME * MS
    assert ASKS[0][0] == desk.books[BTC].best_ask()
