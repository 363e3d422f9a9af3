"""Books: sorted, positive, equal for equal numbers, and the same however they came to be."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.book import SPARE, Book, BookSide, replayed
from bus.errors import VenueError

PRICES = st.integers(1, 40).map(float)
SIZES = st.integers(0, 3).map(float)
SIDE = st.lists(st.tuples(PRICES, SIZES), max_size=30).map(
    lambda pairs: ([price for price, _ in pairs], [size for _, size in pairs])
)


def test_sides_are_best_first_and_without_empty_levels() -> None:
    book = Book()
    book.replace([99.0, 100.0, 98.0], [1.0, 2.0, 0.0], [102.0, 101.0], [3.0, 4.0])
    assert book.levels() == ([100.0, 99.0], [2.0, 1.0], [101.0, 102.0], [4.0, 3.0])
    assert book.levels(1) == ([100.0], [2.0], [101.0], [4.0])
    assert book.best() == (100.0, 2.0, 101.0, 4.0)
    assert book.is_two_sided()
    assert (book.best_bid(), book.best_ask()) == (100.0, 101.0)
    assert len(book) == 4


def test_an_empty_book_has_no_touch_and_is_not_crossed() -> None:
    book = Book()
    assert book.best() == (None, None, None, None)
    assert not book.is_crossed()
    assert not book.is_two_sided()
    book.replace([1.0], [1.0], [], [])
    assert book.best() == (1.0, 1.0, None, None)
    assert not book.is_crossed()
    assert not book.is_two_sided()
    book.clear()
    assert len(book) == 0


def test_changes_set_absolute_sizes_and_zero_removes() -> None:
    book = Book()
    book.replace([100.0], [1.0], [101.0], [1.0])
    book.apply([100.0, 99.0], [5.0, 1.0], [101.0, 102.0], [0.0, 2.0])
    book.apply([98.0], [0.0], [], [])
    assert book.levels() == ([100.0, 99.0], [5.0, 1.0], [102.0], [2.0])


def test_differently_written_prices_are_one_level() -> None:
    book = Book()
    book.apply([float("84050"), float("84050.000000"), float("8.405e4")], [1.0, 2.0, 3.0], [], [])
    assert book.levels()[:2] == ([84050.0], [3.0])


@pytest.mark.parametrize(("bid", "ask", "crossed"), [(100.0, 101.0, False), (101.0, 101.0, True), (102.0, 101.0, True)])
def test_a_touching_book_is_crossed(bid: float, ask: float, crossed: bool) -> None:
    book = Book()
    book.replace([bid], [1.0], [ask], [1.0])
    assert book.is_crossed() is crossed


@pytest.mark.parametrize(
    ("prices", "sizes"),
    [
        ([1.0], []),
        ([0.0], [1.0]),
        ([-1.0], [1.0]),
        ([inf], [1.0]),
        ([1.0], [-1.0]),
        ([1.0], [inf]),
        ([1.0, nan], [1.0, 1.0]),
        ([nan, 1.0], [1.0, 1.0]),
        ([1.0, 2.0], [1.0, nan]),
        ([1.0, 2.0], [nan, 1.0]),
    ],
)
def test_impossible_levels_leave_the_book_as_it_was(prices: list[float], sizes: list[float]) -> None:
    book = Book()
    book.replace([1.0], [1.0], [2.0], [1.0])
    before = book.levels()
    for act in (book.apply, book.replace):
        with pytest.raises(VenueError):
            act(prices, sizes, [], [])
        with pytest.raises(VenueError):
            act([1.0], [9.0], prices, sizes)
        assert book.levels() == before


@given(SIDE, SIDE, st.lists(st.tuples(SIDE, SIDE), max_size=10))
def test_a_book_is_sorted_positive_and_equal_to_its_replay(
    bids: tuple[list[float], list[float]],
    asks: tuple[list[float], list[float]],
    changes: list[tuple[tuple[list[float], list[float]], tuple[list[float], list[float]]]],
) -> None:
    book = Book()
    book.replace(*bids, *asks)
    for bid, ask in changes:
        book.apply(*bid, *ask)
    bid_px, bid_sz, ask_px, ask_sz = book.levels()
    assert bid_px == sorted(set(bid_px), reverse=True)
    assert ask_px == sorted(set(ask_px))
    assert all(size > 0.0 for size in bid_sz + ask_sz)
    assert replayed(bids, [bid for bid, _ in changes], bids=True) == (bid_px, bid_sz)
    assert replayed(asks, [ask for _, ask in changes], bids=False) == (ask_px, ask_sz)
    model: dict[float, float] = {}
    for prices, sizes in [bids, *(bid for bid, _ in changes)]:
        model.update(zip(prices, sizes, strict=True))
    assert dict(zip(bid_px, bid_sz, strict=True)) == {price: size for price, size in model.items() if size}


@given(SIDE, st.integers(0, 5))
def test_depth_only_limits_what_is_shown(bids: tuple[list[float], list[float]], depth: int) -> None:
    book = Book()
    book.replace(*bids, [], [])
    whole = book.levels()
    assert book.levels(depth)[0] == whole[0][:depth]
    # A delete below what was shown brings up the level that was there all along.
    if len(whole[0]) > depth and depth:
        book.apply([whole[0][0]], [0.0], [], [])
        assert book.levels(depth)[0] == whole[0][1 : depth + 1]


def _held(side: BookSide, model: dict[float, float], *, bids: bool) -> None:
    """The side says of itself what a plain dictionary of its levels does."""
    order = sorted(model, reverse=bids)
    assert side.flat(None) == (order, [model[price] for price in order])
    assert side.flat(3) == (order[:3], [model[price] for price in order[:3]])
    assert side.count() == len(model)
    assert side.best() == (order[0] if order else None)
    assert side.worst() == (order[-1] if order else None)
    assert all(side.sizes.get(price, 0.0) == model.get(price, 0.0) for price in map(float, range(1, 41)))


@given(st.booleans(), st.lists(st.tuples(SIDE, st.booleans()), max_size=12))
def test_what_was_removed_is_gone_for_every_reader_after_every_change(
    bids: bool, changes: list[tuple[tuple[list[float], list[float]], bool]]
) -> None:
    side, model = BookSide(1.0 if bids else -1.0), dict[float, float]()
    for (prices, sizes), look in changes:
        side.apply(prices, sizes)
        model = {price: size for price, size in (model | dict(zip(prices, sizes, strict=True))).items() if size}
        _held(side, model, bids=bids)
        if look:
            assert side.live() == model
            _held(side, model, bids=bids)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_removed_levels_are_forgotten_before_they_outnumber_the_others(sign: float) -> None:
    side = BookSide(sign)
    side.apply([1_000.0], [1.0])
    for step in range(1, 5_000):
        price = 1_000.0 - sign * step
        side.apply([price], [1.0])
        side.apply([price], [0.0])
        assert len(side.sizes) <= 2 * 2 + SPARE
    assert side.live() == {1_000.0: 1.0}
