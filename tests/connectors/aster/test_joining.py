"""The order of diffs, the reach of snapshots, and the comparison of books."""

from __future__ import annotations

import json
from math import inf

import pytest

from bus.book import Book as Levels
from connectors.aster import messages, spec
from connectors.aster.joining import WHOLE, Chain, Link, Span, differing, distance, divergence, flat, rolled, span
from connectors.aster.messages import DepthUpdate, Level, Snapshot
from tests.connectors.aster.venue import ASKS, BIDS, Pairs, snapshot


def update(u: int, pu: int, bids: Pairs = (), asks: Pairs = ()) -> DepthUpdate:
    return DepthUpdate("BTCUSDT", u, pu, [Level(*pair) for pair in bids], [Level(*pair) for pair in asks], 1)


def picture(last: int, bids: Pairs = BIDS, asks: Pairs = ASKS) -> Snapshot:
    return messages.snapshot(json.dumps(snapshot(last, bids, asks)).encode())


# The bridging table of the venue's protocol: snapshot, U, u, pu of the first diff, and whether it leads on
# (None: the snapshot is older than the diff; 0: the diff is older than the snapshot).
@pytest.mark.parametrize(
    ("last", "first", "u", "pu", "count"),
    [
        (309120, 309001, 309233, 307702, 1),
        (309233, 311870, 311870, 309233, 1),
        (309500, 311870, 311870, 309233, 1),
        (309233, 309001, 309233, 307702, 1),
        (309233, 307613, 307702, 306020, 0),
        (305000, 307613, 307702, 306020, None),
    ],
)
def test_a_snapshot_joins_where_pu_is_not_beyond_it(last: int, first: int, u: int, pu: int, count: int | None) -> None:
    chain = Chain()
    assert first <= u
    assert chain.offer(update(u, pu)) is Link.NEXT
    following = chain.after(last)
    assert (None if following is None else len(following)) == count


def test_only_pu_decides_what_comes_next() -> None:
    chain = Chain()
    assert chain.offer(update(100, 50)) is Link.NEXT
    assert chain.offer(update(5_000, 100)) is Link.NEXT
    assert chain.offer(update(5_000, 100)) is Link.REPEATED
    assert chain.offer(update(90, 80)) is Link.REPEATED
    assert [each.last for each in chain.updates] == [100, 5_000]
    assert chain.offer(update(7_000, 6_000)) is Link.BROKEN
    assert [each.last for each in chain.updates] == [7_000]
    # A diff that is shown late, after the gap that it left was noticed, is no second gap.
    assert chain.offer(update(6_000, 5_000)) is Link.REPEATED
    chain.restart()
    assert chain.offer(update(3, 1)) is Link.NEXT


def test_a_chain_is_bounded_and_keeps_the_newest() -> None:
    chain = Chain()
    chain.keep = 4
    for number in range(1, 11):
        chain.offer(update(number, number - 1))
        assert len(chain.updates) <= 4
    assert [each.last for each in chain.updates][-2:] == [9, 10]


def test_a_snapshot_at_its_limit_reaches_as_far_as_its_last_levels() -> None:
    bids = tuple((100.0 - number / 10, 1.0) for number in range(spec.SNAPSHOT_LEVELS))
    reach = span(picture(1, bids, ASKS))
    assert reach.low == pytest.approx(0.1)
    assert reach.high == inf
    asks = tuple((100.1 + number / 10, 1.0) for number in range(spec.SNAPSHOT_LEVELS))
    assert span(picture(1, BIDS, asks)).high == pytest.approx(200.0)
    assert span(picture(1)) == WHOLE


def test_levels_beyond_the_reach_are_dropped() -> None:
    found = flat([Level(9.9, 1), Level(10.0, 2)], [Level(20.0, 3), Level(20.1, 4)], Span(10.0, 20.0))
    assert found == ([10.0], [2.0], [20.0], [3.0])


def test_a_snapshot_is_rolled_forward_by_absolute_sizes() -> None:
    book = rolled(picture(1), [update(2, 1, [(100.0, 0.0), (99.7, 4.0)], [(100.1, 9.0)])], WHOLE)
    assert book.levels() == ([99.9, 99.8, 99.7], [2.0, 3.0, 4.0], [100.1, 100.2, 100.3], [9.0, 2.5, 3.5])


def book(bids: Pairs = BIDS, asks: Pairs = ASKS) -> Levels:
    return rolled(picture(1, bids, asks), [], WHOLE)


def test_books_differ_by_the_distance_of_their_touch() -> None:
    other = book(asks=((100.2, 2.5), (100.3, 3.5)))
    assert differing(book(), book(), WHOLE) == set()
    assert divergence(book(), book(), set()) == 0.0
    assert differing(book(), other, WHOLE) == {100.1}
    assert divergence(book(), other, {100.1}) == pytest.approx(0.1 / 100.2)
    assert divergence(book(), book(bids=()), {100.0, 99.9, 99.8}) == 1.0


def test_books_of_one_touch_differ_by_the_share_of_their_levels() -> None:
    other = book(bids=((100.0, 1.0), (99.9, 2.5), (99.8, 3.0)))
    assert differing(book(), other, WHOLE) == {99.9}
    assert divergence(book(), other, {99.9}) == pytest.approx(1 / 12)


def test_what_lies_beyond_the_common_reach_is_not_compared() -> None:
    other = book(bids=((100.0, 1.0), (99.9, 2.0)), asks=((100.1, 1.5), (100.2, 2.5)))
    assert differing(book(), other, Span(99.9, 100.2)) == set()
    assert differing(book(), other, Span(99.9, inf)) == {100.3}


def test_touches_differ_in_price_before_size() -> None:
    assert distance((1.0, 2.0, 3.0, 4.0), (1.0, 2.0, 3.0, 4.0)) == 0.0
    assert distance((1.0, 2.0, 3.0, 4.0), (1.0, 1.0, 3.0, 4.0)) == 0.5
    assert distance((1.0, 2.0, None, None), (1.0, 2.0, 3.0, 4.0)) == 1.0
