"""The integer book and the folding of changes."""

from hypothesis import given
from hypothesis import strategies as st

from simulator.book import ASK, BID, Book, Change, Side, merge, split

puts = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9)), max_size=60)


@given(puts)
def test_a_side_is_sorted_and_holds_what_was_put_last(changes: list[tuple[int, int]]) -> None:
    side, expected = Side(), dict[int, int]()
    for price, size in changes:
        assert side.put(price, size) == expected.get(price, 0)
        expected[price] = size
    left = {price: size for price, size in expected.items() if size}
    assert side.sizes == left
    assert side.prices == sorted(left)
    assert len(side) == len(left)


def test_top_levels_are_best_first() -> None:
    book = Book({10: 1, 9: 2, 8: 3}, {11: 4, 12: 5})
    assert book.top_bids(2) == [(10, 1), (9, 2)]
    assert book.top_asks() == [(11, 4), (12, 5)]
    assert book.touch() == ((10, 1), (11, 4))
    assert not book.crossed
    assert Book({11: 1}, {11: 1}).crossed
    assert Book({}, {11: 1}).touch() == (None, (11, 1))


def test_a_copy_is_independent() -> None:
    book = Book({10: 1}, {11: 1})
    copy = book.copy()
    copy.apply((Change(BID, 10, 0, 1), Change(ASK, 12, 3, 0)))
    assert book.top_bids() == [(10, 1)]
    assert copy.top_bids() == []
    assert copy.top_asks() == [(11, 1), (12, 3)]


def test_merging_keeps_the_net_change_of_a_level() -> None:
    first = (Change(BID, 10, 5, 1), Change(ASK, 11, 0, 2))
    second = (Change(BID, 10, 7, 5), Change(ASK, 11, 2, 0), Change(ASK, 12, 1, 0))
    assert merge([first, second]) == [Change(BID, 10, 7, 1), Change(ASK, 12, 1, 0)]


def test_split_gives_absolute_sizes_by_side() -> None:
    assert split((Change(ASK, 12, 1, 0), Change(BID, 10, 0, 4))) == ([(10, 0)], [(12, 1)])


def test_a_level_that_came_and_went_is_told_to_whom_a_snapshot_from_between_may_have_shown_it() -> None:
    came, went = (Change(BID, 100, 5, 0),), (Change(BID, 100, 0, 5),)
    assert merge([came, went]) == []
    assert merge([came, went], touched=True) == [Change(BID, 100, 0, 0)]
