"""The seeded market never crosses, and its past can be read exactly."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.book import Book
from simulator.truth import CHECKPOINT_EVERY, MarketSpec, OutsideHistoryError, Pace, Replica, Truth, Version

SPEC = MarketSpec("BTC-PERP", "BTC", "BTC", 1, 1, 5, 840_000, 10_000, 20)
LIVELY = Pace(edits=6, move=0.5, trade=0.5)


def market(seed: int = 1, **options: int) -> tuple[Truth, Random]:
    rng = Random(seed)
    return Truth(SPEC, rng, seq=100, now_us=1_000_000, **options), rng


def run(truth: Truth, rng: Random, steps: int, pace: Pace = LIVELY) -> list[Book]:
    """Books after each step, the first one included."""
    books = [truth.book.copy()]
    for _ in range(steps):
        truth.step(rng, pace, seq=truth.last.seq + 3, now_us=truth.last.ts_us + 1000)
        books.append(truth.book.copy())
    return books


def levels(book: Book) -> tuple[object, object]:
    return book.top_bids(), book.top_asks()


@given(st.integers(0, 10_000))
def test_a_market_is_never_crossed_nor_thin(seed: int) -> None:
    truth, rng = market(seed)
    for book in run(truth, rng, 60):
        assert not book.crossed
        for side in (book.bids, book.asks):
            assert 2 <= len(side) <= SPEC.depth * 1.2
            assert all(size > 0 for size in side.sizes.values())


def test_the_same_seed_gives_the_same_market() -> None:
    one, other, third = market(7), market(7), market(8)
    books = [levels(book) for book in run(*one, 100)]
    assert books == [levels(book) for book in run(*other, 100)]
    assert books != [levels(book) for book in run(*third, 100)]
    assert one[0].trades == other[0].trades


def test_changes_lead_from_one_book_to_the_next() -> None:
    truth, rng = market()
    book = truth.book.copy()
    for _ in range(300):
        version = truth.step(rng, LIVELY, seq=truth.last.seq + 1, now_us=truth.last.ts_us + 1)
        assert all(change.size != change.before for change in version.changes)
        assert all(book.side(change.side).sizes.get(change.price, 0) == change.before for change in version.changes)
        book.apply(version.changes)
        assert levels(book) == levels(truth.book)


def test_the_mid_wanders_but_not_away() -> None:
    truth, rng = market()
    mids = set()
    for _ in range(2000):
        truth.step(rng, Pace(edits=1, move=1.0, trade=0.0), seq=truth.last.seq + 1, now_us=truth.last.ts_us)
        mids.add(truth.mid)
    assert len(mids) > 20
    assert all(abs(mid - SPEC.start) < SPEC.start * 0.06 for mid in mids)


def test_trades_take_from_the_book_and_are_counted() -> None:
    truth, rng = market()
    before, volume = truth.trades_total, truth.volume
    taken = [trade for _ in range(200) for trade in step(truth, rng).trades]
    assert taken
    assert truth.trades_total == before + len(taken)
    assert truth.volume == volume + sum(trade.size for trade in taken)
    assert [trade.number for trade in taken] == list(range(before + 1, truth.trades_total + 1))
    assert {trade.buy for trade in taken} == {True, False}


def step(truth: Truth, rng: Random) -> Version:
    return truth.step(rng, LIVELY, seq=truth.last.seq + 1, now_us=truth.last.ts_us + 1)


def test_a_market_starts_with_a_history_of_trades_in_order() -> None:
    truth, _ = market()
    times = [trade.ts_us for trade in truth.trades]
    assert len(times) >= 100
    assert times == sorted(times)
    assert times[-1] < 1_000_000


@given(st.integers(1, 300), st.data())
def test_the_book_as_of_a_sequence_or_time_is_the_one_of_then(steps: int, data: st.DataObject) -> None:
    truth, rng = market(steps)
    books = run(truth, rng, steps)
    index = data.draw(st.integers(0, steps))
    between = data.draw(st.integers(0, 2)) if index < steps else 0
    version, book = truth.as_of_seq(100 + 3 * index + between)
    assert (version.seq, levels(book)) == (100 + 3 * index, levels(books[index]))
    version, book = truth.as_of_us(1_000_000 + 1000 * index + between)
    assert (version.ts_us, levels(book)) == (1_000_000 + 1000 * index, levels(books[index]))


def test_a_shared_counter_may_be_ahead_of_a_market() -> None:
    truth, rng = market()
    books = run(truth, rng, 5)
    with pytest.raises(OutsideHistoryError):
        truth.as_of_seq(500)
    version, book = truth.as_of_seq(500, newest=600)
    assert version is truth.last
    assert levels(book) == levels(books[-1])


def test_what_is_older_than_the_history_is_refused() -> None:
    truth, rng = market(history=CHECKPOINT_EVERY)
    books = run(truth, rng, CHECKPOINT_EVERY * 6)
    with pytest.raises(OutsideHistoryError):
        truth.as_of_seq(100)
    with pytest.raises(OutsideHistoryError):
        truth.as_of_us(5)
    kept = [index for index in range(len(books)) if _kept(truth, 100 + 3 * index)]
    assert len(kept) >= CHECKPOINT_EVERY
    for index in kept:
        assert levels(truth.as_of_seq(100 + 3 * index)[1]) == levels(books[index])


def _kept(truth: Truth, seq: int) -> bool:
    try:
        truth.as_of_seq(seq)
    except OutsideHistoryError:
        return False
    return True


def test_time_and_sequence_do_not_go_back() -> None:
    truth, rng = market()
    with pytest.raises(ValueError, match="step back"):
        truth.step(rng, LIVELY, seq=99, now_us=2_000_000)
    with pytest.raises(ValueError, match="step back"):
        truth.step(rng, LIVELY, seq=101, now_us=999_999)


def test_a_step_without_liveliness_changes_nothing() -> None:
    truth, rng = market()
    before = levels(truth.book)
    version = truth.step(rng, Pace(edits=0, move=0.0, trade=0.0), seq=101, now_us=1_000_001)
    assert (version.changes, version.trades, levels(truth.book)) == ((), (), before)


def test_an_idle_step_changes_nothing_but_the_sequence() -> None:
    truth, _ = market()
    before = levels(truth.book)
    version = truth.idle(seq=101, now_us=1_000_001)
    assert version.changes == ()
    assert levels(truth.book) == before
    assert truth.last.seq == 101


def test_a_replica_trails_behind_exactly() -> None:
    truth, rng = market()
    replica = Replica(truth)
    books = run(truth, rng, 50)
    taken = replica.advance(1_000_000 + 20_500)
    assert len(taken) == 20
    assert levels(replica.book) == levels(books[20])
    assert [version.seq for version in replica.advance(10**12)] == [100 + 3 * index for index in range(21, 51)]
    assert levels(replica.book) == levels(truth.book)
    assert replica.advance(10**12) == []


def test_a_replica_that_was_left_behind_says_so() -> None:
    truth, rng = market(history=CHECKPOINT_EVERY)
    replica = Replica(truth)
    run(truth, rng, CHECKPOINT_EVERY * 4)
    with pytest.raises(OutsideHistoryError):
        replica.advance(10**12)


def test_prices_and_sizes_are_printed_with_their_decimals() -> None:
    spec = MarketSpec("SOL-PERP", "SOL", "SOL", 4, 100, 2, 14_100, 100, 10)
    assert spec.price(14_100) == "141.0000"
    assert spec.size(105) == "1.05"
    assert spec.units(14_100) == 1_410_000
