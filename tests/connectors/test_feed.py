"""A market's output: what may be trusted, and when two streams tell of the same touch."""

from __future__ import annotations

import pytest

from bus.events import Bbo, Book, Delta, Source, Trade, Trust
from bus.state import MIN_CHANGES
from connectors.effects import Effects, Emit, Now
from connectors.feed import MarketFeed, Rebuilds, SeenTrades, Touches, apart
from tests.connectors.drive import events

MS = 1_000_000
S = 1_000 * MS
WINDOW = 2 * S
TOUCH = (100.0, 1.0, 101.0, 1.0)


def at(seconds: float) -> Now:
    """Both clocks so many seconds after the start."""
    return Now(int((50 + seconds) * S), int((1_790_425_396 + seconds) * S))


def trusts(effects: Effects, kind: type[Bbo | Delta]) -> list[Trust]:
    """Trust of the events of one kind."""
    return [effect.event.trust for effect in effects if isinstance(effect, Emit) and isinstance(effect.event, kind)]


def live() -> MarketFeed:
    """A market whose book and quote are good."""
    feed = MarketFeed("BTC-PERP", Rebuilds())
    feed.whole(1, 1, ([100.0], [1.0], [101.0], [1.0]), kept=True)
    feed.quote(1, 1, TOUCH)
    return feed


# Changes, and the whole book in their place


def test_more_changes_than_are_kept_send_the_whole_book_instead() -> None:
    feed = live()
    # Each takes the room of a level and of the event itself.
    sizes = [float(number) for number in range(MIN_CHANGES // 2 + 2)]
    said = [events(feed.delta(10, 10, ([100.0], [size], [], []))) for size in sizes]
    whole = Book(10, 10, Trust.LIVE, 1, Source.STREAM, [100.0], [sizes[-2]], [101.0], [1.0])
    assert said[-2] == [whole]
    assert {type(found) for (found,) in said[:-2] + said[-1:]} == {Delta}


# Quote and book by themselves


def test_an_invalid_book_takes_its_quote_with_it() -> None:
    effects = live().invalidate(Trust.STALE)
    assert trusts(effects, Delta) == [Trust.STALE]
    assert trusts(effects, Bbo) == [Trust.STALE]


def test_a_quote_of_another_stream_may_outlive_the_book() -> None:
    feed = live()
    effects = feed.invalidate(Trust.RESYNC, quote=False)
    assert trusts(effects, Delta) == [Trust.RESYNC]
    assert trusts(effects, Bbo) == []
    assert feed.last_quote() is not None


def test_a_quote_alone_may_be_taken_back_once() -> None:
    feed = live()
    effects = feed.invalidate_quote(Trust.STALE)
    assert trusts(effects, Bbo) == [Trust.STALE]
    assert feed.live
    assert feed.invalidate_quote(Trust.STALE) == []


def test_a_quote_that_came_after_the_books_end_is_taken_back_with_the_next_end() -> None:
    feed = live()
    feed.invalidate(Trust.STALE)
    feed.quote(2, 2, TOUCH)
    effects = feed.invalidate(Trust.STALE)
    assert trusts(effects, Delta) == []
    assert trusts(effects, Bbo) == [Trust.STALE]


def test_a_market_that_never_had_a_book_has_none_to_take_back() -> None:
    assert MarketFeed("BTC-PERP", Rebuilds()).invalidate(Trust.STALE) == []


# Touches of two streams


def shown(*touches: tuple[float, float, float]) -> Touches:
    """A stream that showed (seconds, bid, ask)."""
    found = Touches(WINDOW)
    for seconds, bid, ask in touches:
        found.show(bid, ask, at(seconds))
    return found


def test_two_that_show_the_same_agree() -> None:
    assert shown((0, 100, 101)).differs(shown((0, 100, 101)), at(0)) == 0.0


@pytest.mark.parametrize("swapped", [False, True])
def test_one_that_is_behind_agrees_as_long_as_the_other_was_there_lately(swapped: bool) -> None:
    ahead, behind = shown((0, 100, 101), (10, 102, 103)), shown((0, 100, 101))
    one, other = (behind, ahead) if swapped else (ahead, behind)
    assert one.differs(other, at(12)) == 0.0
    assert one.differs(other, at(12.1)) == pytest.approx(0.02, abs=1e-3)


def test_a_touch_shown_again_and_again_was_there_until_it_was_replaced() -> None:
    ahead = shown((0, 100, 101), (5, 100, 101), (9, 100, 101), (10, 102, 103))
    assert ahead.differs(shown((0, 100, 101)), at(11.9)) == 0.0


def test_nothing_is_compared_with_what_shows_nothing_or_has_just_begun() -> None:
    old = shown((0, 100, 101))
    assert old.differs(Touches(WINDOW), at(5)) is None
    assert Touches(WINDOW).differs(old, at(5)) is None
    new = shown((5, 102, 103))
    assert new.differs(old, at(6.9)) is None
    assert new.differs(old, at(7)) is not None
    old.clear()
    assert new.differs(old, at(8)) is None


def test_a_missing_side_is_as_far_apart_as_can_be() -> None:
    assert (apart(None, None), apart(None, 1.0), apart(1.0, None), apart(99.0, 100.0)) == (0.0, 1.0, 1.0, 0.01)


def test_trade_ids_are_remembered_by_market_up_to_the_capacity() -> None:
    seen = SeenTrades(capacity=2)
    assert [seen.first_time("BTC-PERP", number) for number in (1, 1, 2)] == [True, False, True]
    assert seen.first_time("ETH-PERP", 1)
    assert seen.first_time("BTC-PERP", 3), "1 is forgotten for it"
    assert not seen.first_time("BTC-PERP", 2)
    assert seen.first_time("BTC-PERP", 1)


def test_what_a_connection_replays_beside_a_live_one_is_history_only_up_to_where_that_one_is() -> None:
    def trade(venue_ns: int | None, *, history: bool = False) -> Trade:
        return Trade(venue_ns, "1", None, 100.0, 1.0, history)

    seen = SeenTrades()
    assert seen.placed("BTC-PERP", trade(5, history=True), beside=False).history, "what it began with"
    assert not seen.placed("BTC-PERP", trade(8), beside=False).history
    assert seen.placed("BTC-PERP", trade(7, history=True), beside=True).history
    assert not seen.placed("BTC-PERP", trade(8, history=True), beside=True).history
    assert not seen.placed("BTC-PERP", trade(9, history=True), beside=True).history
    assert seen.placed("BTC-PERP", trade(8, history=True), beside=True).history
    assert seen.placed("BTC-PERP", trade(None, history=True), beside=True).history
    assert not seen.placed("ETH-PERP", trade(1, history=True), beside=True).history, "one market, one clock"
