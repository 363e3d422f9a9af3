"""What becomes of a book that may not be used, whatever the venue."""

from __future__ import annotations

from itertools import pairwise

from bus.events import Book, Delta, Reason, Trust
from connectors.effects import Count, Effects, Emit, Now, Reconnect
from connectors.feed import MarketFeed, Rebuilds
from connectors.polls import Polls, StandIns
from connectors.recovery import HELD_NS, LAST_WAIT_NS, Recovery
from tests.connectors.doubles import MARKET, S
from tests.connectors.test_polls import fetch

OTHER = "ETH-PERP"
LEVELS = ([99.0], [1.0], [101.0], [1.0])


class Case:
    """Markets of one open connection, all live."""

    def __init__(self, *others: str) -> None:
        self.now = Now(1_000 * S, 2_000 * S)
        self.feeds = {market: MarketFeed(market, Rebuilds()) for market in (MARKET, OTHER, *others)}
        self.stand_ins = StandIns(Polls(), fetch, after_ns=2 * S, every_ns=S, stale_ns=5 * S)
        self.recovery = Recovery("main", self.feeds, self.stand_ins, tries=2)
        self.recovery.opened()
        for feed in self.feeds.values():
            feed.whole(10, None, LEVELS, kept=False)

    def wait(self, seconds: float) -> None:
        self.now = Now(self.now.mono + round(seconds * S), self.now.wall + round(seconds * S))

    def fail(self, market: str = MARKET, *, alone: bool = True) -> Effects:
        lost = self.recovery.lost(market, Trust.RESYNC, self.now)
        return lost + self.recovery.failed(market, Reason.SEQ_GAP, "gap", self.now, alone=alone)

    def heal(self) -> None:
        self.feeds[MARKET].whole(self.now.wall, None, LEVELS, kept=False)
        self.recovery.live(MARKET, self.now)


def test_a_connection_is_left_once_and_not_when_it_is_gone() -> None:
    recovery = Case().recovery
    recovery.closed()
    assert recovery.leave(Reason.SEQ_GAP, "closed") == []
    recovery.opened()
    assert recovery.leave(Reason.SEQ_GAP, "first") == [Reconnect("main", Reason.SEQ_GAP, "first")]
    assert recovery.leave(Reason.SEQ_GAP, "second") == []
    recovery.closed()
    recovery.opened()
    assert recovery.leave(Reason.SEQ_GAP, "again") == [Reconnect("main", Reason.SEQ_GAP, "again")]


def test_the_first_failure_is_mended_at_once() -> None:
    case = Case()
    [effect] = case.fail()
    assert isinstance(effect, Emit)
    assert isinstance(effect.event, Delta)
    assert case.recovery.deadline == case.now.mono
    assert case.recovery.due(case.now) == [MARKET]
    assert case.recovery.due(case.now) == []


def test_failures_in_a_row_are_mended_at_a_slowing_pace_however_many() -> None:
    case, times = Case(), []
    for _ in range(8):
        case.fail()
        while not case.recovery.due(case.now):
            case.wait(0.125)
        times.append(case.now.mono)
    waits = [(after - before) / S for before, after in pairwise(times)]
    assert waits == [0.5, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0]


def test_the_more_markets_are_sick_the_slower_each_is_mended() -> None:
    case = Case("SOL-PERP", "XRP-PERP")
    times: list[int] = []
    for _ in range(8):
        for market in (MARKET, OTHER, "SOL-PERP"):
            case.fail(market)
        while MARKET not in case.recovery.due(case.now):
            case.wait(0.125)
        times.append(case.now.mono)
    assert [(after - before) / S for before, after in pairwise(times)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
    assert LAST_WAIT_NS == 5 * S


def test_a_book_that_was_in_order_for_long_is_mended_at_once_again() -> None:
    case = Case()
    for _ in range(3):
        case.fail()
        case.wait(5)
        case.recovery.due(case.now)
    case.heal()
    case.wait(HELD_NS / S)
    case.fail()
    assert case.recovery.due(case.now) == [MARKET]


def test_a_book_that_fails_again_soon_was_not_mended() -> None:
    case = Case()
    case.fail()
    case.recovery.due(case.now)
    case.heal()
    case.wait(0.25)
    case.fail()
    assert case.recovery.due(case.now) == []


def test_when_no_other_book_is_live_the_connection_is_left_after_so_many_tries() -> None:
    case = Case()
    case.feeds[OTHER].invalidate(Trust.STALE)
    for _ in range(2):
        assert Reconnect("main", Reason.SEQ_GAP, "gap") not in case.fail()
        case.wait(5)
        assert case.recovery.due(case.now) == [MARKET]
    assert case.fail() == [Reconnect("main", Reason.SEQ_GAP, "gap")]


def test_when_the_connection_is_to_blame_it_is_left_at_once() -> None:
    assert Reconnect("main", Reason.SEQ_GAP, "gap") in Case().fail(alone=False)


def test_what_was_to_be_mended_goes_with_the_connection() -> None:
    case = Case()
    case.fail()
    case.recovery.closed()
    assert (case.recovery.due(case.now), case.recovery.deadline) == ([], None)


def test_a_book_that_heals_by_itself_is_left_alone() -> None:
    case = Case()
    case.fail()
    case.heal()
    assert case.recovery.due(case.now) == []
    assert MARKET not in case.stand_ins


def test_a_rest_book_stands_in_and_outlasts_further_losses_until_it_is_old() -> None:
    case = Case()
    case.fail()
    effects = case.recovery.rest_book(MARKET, 20, LEVELS, case.now, 5)
    assert isinstance(effects[0], Count)
    assert isinstance(effects[1], Emit)
    assert isinstance(effects[1].event, Book)
    assert (effects[1].event.trust, effects[1].event.depth) == (Trust.REST, 5)
    assert case.recovery.lost(MARKET, Trust.STALE, case.now) == []
    case.wait(5)
    assert [effect.event.trust for effect in case.recovery.expired(case.now)] == [Trust.STALE]  # type: ignore[union-attr]
    assert case.recovery.expired(case.now) == []


def test_a_rest_book_is_not_shown_when_it_is_not_wanted_or_older_or_crossed() -> None:
    case = Case()
    ignored, crossed = [Count("ignored_frames")], [Count("crossed_books")]
    assert case.recovery.rest_book(MARKET, 20, LEVELS, case.now, 5) == ignored
    case.fail()
    assert case.recovery.rest_book(MARKET, 9, LEVELS, case.now, 5) == ignored
    assert case.recovery.rest_book(MARKET, 20, ([101.0], [1.0], [101.0], [1.0]), case.now, 5) == crossed
