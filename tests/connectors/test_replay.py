"""A book that begins with a replay: when it is over, and what is published meanwhile."""

from __future__ import annotations

import pytest

from bus.errors import VenueError
from bus.events import Book, Delta, Reason, Trust
from connectors.effects import Count, Effects, Emit, Now
from connectors.feed import MarketFeed, Rebuilds
from connectors.replay import Drain, Levels, Patience, Phase, ReplayedBook, VenueClock

MS = 1_000_000
S = 1_000 * MS
WALL = 1_790_425_396 * S
PATIENCE = Patience(fresh_ns=S, pace_ns=50 * MS, quiet_ns=250 * MS, cap_ns=65 * S)
WHOLE: Levels = ([100.0, 99.0], [1.0, 2.0], [101.0], [3.0])
NOTHING: Levels = ([], [], [], [])
CROSSING: Levels = ([102.0], [1.0], [], [])


def at(ms: float) -> Now:
    """Both clocks so many ms after the start."""
    return Now(50 * S + int(ms * MS), WALL + int(ms * MS))


# The venue's clock


def test_a_clock_that_nobody_has_told_is_unknown() -> None:
    assert VenueClock(10 * S).at(at(0)) is None


def test_the_clock_is_told_by_the_least_delayed_frame() -> None:
    clock = VenueClock(10 * S)
    for delay_ms in (300, 20, 100):
        clock.sample(at(1_000).wall + 3 * S - delay_ms * MS, at(1_000))
    assert clock.at(at(2_000)) == at(2_000).wall + 3 * S - 20 * MS


def test_a_clock_set_back_is_believed_after_two_windows() -> None:
    clock = VenueClock(10 * S)
    clock.sample(at(0).wall + 5 * S, at(0))
    clock.sample(at(10_000).wall, at(10_000))
    assert clock.at(at(10_000)) == at(10_000).wall + 5 * S
    clock.sample(at(20_000).wall, at(20_000))
    assert clock.at(at(20_000)) == at(20_000).wall


def test_a_clock_not_told_for_long_is_unknown_and_then_begins_anew() -> None:
    clock = VenueClock(10 * S)
    clock.sample(at(0).wall + 5 * S, at(0))
    assert clock.at(at(19_999)) is not None
    assert clock.at(at(20_000)) is None
    clock.sample(at(30_000).wall, at(30_000))
    assert clock.at(at(30_000)) == at(30_000).wall


# The end of a replay


def told(ms: float = 0.0, ahead_ms: int = 0) -> VenueClock:
    """A clock told at this moment."""
    clock = VenueClock(10 * S)
    clock.sample(at(ms).wall + ahead_ms * MS, at(ms))
    return clock


@pytest.mark.parametrize("ahead_ms", [-3_000, 0, 3_000])
def test_by_the_venues_clock_the_replay_is_over_with_the_first_fresh_stamp(ahead_ms: int) -> None:
    drain = Drain(PATIENCE, told(ahead_ms=ahead_ms))
    drain.begin(at(0))
    venue = WALL + ahead_ms * MS
    assert not drain.frame(venue - 40 * S, at(0))
    assert not drain.frame(venue - 1_100 * MS, at(5))
    assert drain.frame(venue - 900 * MS, at(6))


def test_a_pause_within_an_old_replay_proves_nothing_where_the_clock_is_known() -> None:
    drain = Drain(PATIENCE, told())
    drain.begin(at(0))
    drain.frame(WALL - 40 * S, at(0))
    assert not drain.frame(WALL - 39 * S, at(100))
    assert not drain.frame(WALL - 38 * S, at(200))


def test_by_our_own_clock_a_fresh_stamp_needs_one_pause() -> None:
    drain = Drain(PATIENCE, VenueClock(10 * S))
    drain.begin(at(0))
    assert not drain.frame(WALL - 500 * MS, at(0))
    assert not drain.frame(WALL - 400 * MS, at(1))
    assert drain.frame(WALL + 51 * MS, at(51))


def test_by_our_own_clock_a_fresh_stamp_and_a_moments_silence_are_enough() -> None:
    drain = Drain(PATIENCE, VenueClock(10 * S))
    drain.begin(at(0))
    drain.frame(WALL, at(0))
    assert drain.deadline == at(50).mono
    assert drain.woken(at(50))


@pytest.mark.parametrize("clock", [None, VenueClock(10 * S)], ids=["stamped anew", "old stamps"])
def test_without_any_clock_it_takes_two_pauses_in_a_row(clock: VenueClock | None) -> None:
    drain = Drain(PATIENCE, clock)
    drain.begin(at(0))
    assert not drain.frame(WALL - 50 * S, at(0))
    assert not drain.frame(WALL - 49 * S, at(60))
    assert not drain.frame(WALL - 48 * S, at(61)), "one pause was ours: we were held up in the middle of the burst"
    assert not drain.frame(WALL - 47 * S, at(161))
    assert drain.frame(WALL - 46 * S, at(261))


def test_silence_is_established_in_two_halves() -> None:
    drain = Drain(PATIENCE, None)
    drain.begin(at(0))
    drain.frame(WALL, at(0))
    assert drain.deadline == at(125).mono
    assert not drain.woken(at(125))
    assert drain.deadline == at(250).mono
    assert drain.woken(at(250))


def test_a_frame_found_after_the_first_half_starts_the_silence_over() -> None:
    drain = Drain(PATIENCE, None)
    drain.begin(at(0))
    drain.frame(WALL, at(0))
    assert not drain.woken(at(300)), "held up for 300 ms with frames waiting"
    assert not drain.frame(WALL, at(300))
    assert not drain.woken(at(425))
    assert drain.woken(at(550))


def test_a_replay_that_never_pauses_is_none() -> None:
    drain = Drain(PATIENCE, None)
    drain.begin(at(0))
    drain.frame(WALL, at(64_990))
    assert drain.deadline == at(65_000).mono
    assert not drain.overrun(at(64_999))
    assert drain.overrun(at(65_000))


# The book


def new_book(clock: VenueClock | None = None, *, allowed: bool = True) -> ReplayedBook:
    """A book on which ``told()`` may decide."""
    book = ReplayedBook(MarketFeed("BTC-PERP", Rebuilds()), PATIENCE, clock)
    book.allowed = allowed
    return book


def live_book() -> ReplayedBook:
    """A book that was live from its first frame on."""
    book = new_book(told())
    book.snapshot(WALL, 1, WHOLE, at(0))
    assert book.phase is Phase.LIVE
    return book


def events(effects: Effects) -> list[Book | Delta]:
    """Book events among effects."""
    return [effect.event for effect in effects if isinstance(effect, Emit) and isinstance(effect.event, Book | Delta)]


def test_nothing_is_published_during_the_replay_and_everything_at_its_end() -> None:
    book = new_book(told())
    assert book.snapshot(WALL - 50 * S, 1, WHOLE, at(0)) == []
    assert book.delta(WALL - 49 * S, 2, ([100.0], [0.0], [], []), at(1)) == []
    (event,) = events(book.delta(WALL, 3, ([99.0], [5.0], [102.0], [1.0]), at(2)))
    assert isinstance(event, Book)
    assert (event.bid_px, event.bid_sz, event.ask_px, event.ask_sz) == ([99.0], [5.0], [101.0, 102.0], [3.0, 1.0])
    assert (event.trust, event.venue_ns, event.venue_seq) == (Trust.LIVE, WALL, 3)


def test_a_live_book_passes_deltas_on() -> None:
    book = live_book()
    assert book.deadline is None
    (event,) = events(book.delta(WALL + 1, 2, ([99.0], [0.0], [], []), at(100)))
    assert isinstance(event, Delta)
    assert (event.bid_px, event.bid_sz, event.trust, event.rebuild) == ([99.0], [0.0], Trust.LIVE, 1)


def test_a_second_snapshot_ends_the_replay() -> None:
    book = new_book(told())
    book.snapshot(WALL - 50 * S, 1, WHOLE, at(0))
    (event,) = events(book.snapshot(WALL - 40 * S, 2, ([90.0], [1.0], [91.0], [1.0]), at(1)))
    assert isinstance(event, Book)
    assert event.bid_px == [90.0]


def test_a_snapshot_on_a_live_book_continues_the_rebuild() -> None:
    (event,) = events(live_book().snapshot(WALL, 2, WHOLE, at(100)))
    assert isinstance(event, Book)
    assert event.rebuild == 1


def test_silence_ends_the_replay() -> None:
    book = new_book()
    book.snapshot(WALL, 1, WHOLE, at(0))
    assert book.deadline == at(125).mono
    assert book.woken(at(125)) == []
    assert len(events(book.woken(at(250)))) == 1


@pytest.mark.parametrize("woken", [True, False], ids=["woken", "frame"])
def test_a_replay_without_end_is_a_fault(woken: bool) -> None:
    book = new_book()
    book.snapshot(WALL, 1, WHOLE, at(0))
    for ms in range(10, 65_000, 40):
        assert book.delta(WALL, 2, NOTHING, at(ms)) == []
    assert book.fault is None
    if woken:
        book.woken(at(65_000))
    else:
        book.delta(WALL, 3, NOTHING, at(65_001))
    assert book.fault == (Reason.SNAPSHOT_TIMEOUT, "the replay does not end")


def test_a_book_that_may_not_be_published_is_held_until_it_may() -> None:
    book = new_book(told(), allowed=False)
    assert book.snapshot(WALL, 1, WHOLE, at(0)) == []
    assert book.delta(WALL, 2, ([98.0], [1.0], [], []), at(1)) == []
    assert book.deadline is None
    assert book.woken(at(2)) == []
    (event,) = events(book.allow(at(3)))
    assert isinstance(event, Book)
    assert event.bid_px == [100.0, 99.0, 98.0]


def test_permission_alone_publishes_nothing() -> None:
    assert new_book(allowed=False).allow(at(0)) == []


def test_a_crossed_book_is_invalidated_before_anyone_sees_it_and_healed_by_the_next_frame() -> None:
    book = live_book()
    effects = book.delta(WALL, 2, CROSSING, at(100))
    assert [type(effect) for effect in effects] == [Count, Emit]
    (gone,) = events(effects)
    assert gone.trust is Trust.RESYNC
    assert (gone.bid_px, gone.ask_px) == ([], [])
    (back,) = events(book.delta(WALL, 3, ([102.0], [0.0], [], []), at(200)))
    assert isinstance(back, Book)
    assert (back.trust, back.rebuild) == (Trust.LIVE, 2)
    assert book.deadline is None
    assert book.fault is None


def test_a_book_crossed_for_three_frames_is_a_fault_counted_once() -> None:
    book = live_book()
    effects = book.delta(WALL, 2, CROSSING, at(100))
    effects += book.delta(WALL, 3, NOTHING, at(200))
    assert book.fault is None
    effects += book.delta(WALL, 4, NOTHING, at(300))
    assert book.fault == (Reason.CROSSED_BOOK, "best bid 102.0, best ask 101.0")
    assert sum(isinstance(effect, Count) for effect in effects) == 1


def test_a_book_crossed_for_a_second_is_a_fault() -> None:
    book = live_book()
    book.delta(WALL, 2, CROSSING, at(100))
    assert book.deadline == at(1_100).mono
    book.woken(at(1_099))
    assert book.fault is None
    book.woken(at(1_100))
    assert book.fault is not None


def test_a_book_that_lost_a_side_is_not_to_be_used() -> None:
    book = live_book()
    effects = book.delta(WALL, 2, ([], [], [101.0], [0.0]), at(100))
    assert [event.trust for event in events(effects)] == [Trust.RESYNC]
    assert not any(isinstance(effect, Count) for effect in effects)


def test_outside_trading_hours_an_empty_book_is_a_book() -> None:
    book = new_book(told())
    book.may_be_empty = True
    (event,) = events(book.snapshot(WALL, 1, NOTHING, at(0)))
    assert event.trust is Trust.LIVE


def test_an_unfit_book_leaves_a_rest_book_in_force() -> None:
    book = new_book(told())
    book.feed.whole(None, None, WHOLE, kept=False, trust=Trust.REST)
    assert events(book.snapshot(WALL, 1, NOTHING, at(0))) == []
    assert book.feed.trust is Trust.REST


def test_impossible_levels_change_nothing() -> None:
    book = live_book()
    bads: list[Levels] = [([float("nan")], [1.0], [], []), ([1.0], [-1.0], [], [])]
    for bad in bads:
        with pytest.raises(VenueError):
            book.delta(WALL + 1, 2, bad, at(1))
        with pytest.raises(VenueError):
            book.snapshot(WALL + 1, 2, bad, at(1))
    assert book.venue_ns == WALL
    assert book.feed.book.levels() == WHOLE


def test_after_a_reset_a_snapshot_is_awaited() -> None:
    book = live_book()
    book.delta(WALL, 2, CROSSING, at(100))
    book.reset()
    assert (book.phase, book.fault, book.deadline) == (Phase.EMPTY, None, None)
