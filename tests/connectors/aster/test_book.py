"""A market's book from nothing to live, and from every trouble back."""

from __future__ import annotations

import pytest

from bus.events import Book, Check, Delta, Reason, Source, Trust
from connectors.aster import spec
from connectors.effects import Emit, Fetch, Reject
from tests.connectors.aster.venue import (
    BIDS,
    BTC,
    MS,
    TIME,
    Desk,
    Pairs,
    counted,
    depth,
    listing,
    only,
    reasons,
    snapshot,
)

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
