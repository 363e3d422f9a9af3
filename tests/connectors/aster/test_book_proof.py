"""A live book is proven by REST; quiet, lagging and dead streams are told apart; REST stands in."""

from __future__ import annotations

import pytest

from bus.events import Book, Check, Delta, Reason, Source, Trust
from connectors.effects import Reject
from tests.connectors.aster.venue import (
    ASKS,
    BIDS,
    BTC,
    MS,
    TIME,
    Desk,
    S,
    counted,
    depth,
    only,
    reasons,
    sent,
    snapshot,
)


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
