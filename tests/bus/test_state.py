"""Full state: the last of each kind, and books that merge to exactly what their deltas made of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.book import Book as Levels
from bus.events import Book, Delta, Source, State, Status, Trust
from bus.state import MIN_CHANGES, BookState, Latest, StateCache
from tests.bus import samples

LEVELS = st.lists(st.tuples(st.integers(1, 30).map(float), st.integers(0, 2).map(float)), max_size=12)
CHANGES = st.lists(st.tuples(LEVELS, LEVELS, st.sampled_from(list(Trust))), max_size=30)


@given(CHANGES, st.sets(st.integers(0, 29)))
def test_a_merged_book_equals_the_book_kept_by_its_events(
    changes: list[tuple[list[tuple[float, float]], list[tuple[float, float]], Trust]], looks: set[int]
) -> None:
    state, levels = BookState(), Levels()
    first = samples.book(levels=3)
    state.absorb(first)
    levels.replace(first.bid_px, first.bid_sz, first.ask_px, first.ask_sz)
    for number, (bids, asks, trust) in enumerate(changes):
        flat = ([p for p, _ in bids], [s for _, s in bids], [p for p, _ in asks], [s for _, s in asks])
        state.absorb(Delta(number, -number, trust, 7, *flat))
        levels.apply(*flat)
        if number in looks:
            state.whole()
    merged = state.whole()
    assert merged is not None
    assert (merged.bid_px, merged.bid_sz, merged.ask_px, merged.ask_sz) == levels.levels()
    assert merged.depth == first.depth
    if changes:
        last = len(changes) - 1
        assert (merged.venue_ns, merged.venue_seq, merged.trust, merged.rebuild) == (last, -last, changes[-1][2], 7)


def test_a_checkpoint_is_due_when_more_has_changed_than_the_book_holds() -> None:
    state = BookState()
    state.absorb(samples.book(levels=MIN_CHANGES))
    for _ in range(MIN_CHANGES):
        state.absorb(samples.delta())
        assert not state.due
    state.absorb(samples.delta())
    assert state.due
    state.whole()
    assert not state.due


def test_confirmations_without_levels_are_bounded_too() -> None:
    state = BookState()
    state.absorb(samples.book(levels=1))
    for _ in range(MIN_CHANGES + 1):
        state.absorb(samples.empty())
    assert state.due


def test_a_delta_of_no_book_ends_the_process() -> None:
    with pytest.raises(ValueError, match="before any book"):
        BookState().absorb(samples.delta())


def test_what_is_no_book_event_leaves_a_book_alone() -> None:
    state = BookState()
    state.absorb(samples.bbo())
    assert state.whole() is None
    assert not state.invalid


def test_a_book_is_invalid_by_its_newest_event() -> None:
    state = BookState()
    state.absorb(samples.book())
    assert not state.invalid
    state.absorb(samples.empty())
    assert state.invalid
    state.absorb(samples.book(trust=Trust.STALE))
    assert state.invalid


def test_only_quotes_among_the_rest_can_be_invalid() -> None:
    latest = Latest()
    assert latest.whole() is None
    assert not latest.invalid
    latest.absorb(samples.bbo(trust=Trust.STALE))
    assert latest.invalid
    latest.absorb(samples.stats())
    assert not latest.invalid
    assert latest.whole() == samples.stats()


def test_full_state_comes_with_what_it_is_about_first() -> None:
    cache = StateCache()
    status = Status(State.LIVE, State.SYNCING, "snapshot", "", 1)
    for event in (status, samples.stats(), samples.bbo(), samples.book()):
        assert cache.absorb("BTC-PERP", event)
    assert not cache.absorb("BTC-PERP", samples.trade())
    cache.cell("ETH-PERP", "stats")
    assert [event.kind for _, event in cache.full()] == ["book", "bbo", "stats", "status"]


def test_a_cache_absorbs_for_ever_in_bounded_room() -> None:
    cache = StateCache()
    cache.absorb("BTC-PERP", samples.book())
    for number in range(10 * MIN_CHANGES):
        cache.absorb("BTC-PERP", samples.delta(number, float(number)))
    state = cache.cell("BTC-PERP", "delta")
    assert isinstance(state, BookState)
    assert len(state._deltas) <= MIN_CHANGES  # noqa: SLF001  (what is kept is the point)
    merged, last = cache.merged("BTC-PERP"), 10 * MIN_CHANGES - 1
    assert merged == Book(
        *(last, last, Trust.LIVE, 1, Source.STREAM),
        *([100.0, 99.0], [float(last), 1.0], [101.0, 102.0], [2.0, 2.0]),
        50,
    )
    assert cache.merged("ETH-PERP") is None
