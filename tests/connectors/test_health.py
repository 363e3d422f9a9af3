"""States of markets and of the venue move only along the table, and the venue is as its worst market."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bus.events import NO_MARKET, State, Trust
from connectors.effects import Now
from connectors.health import ALLOWED, Health

MARKETS = ("BTC-PERP", "ETH-PERP")
NOW = Now(5, 1_000)


def test_everything_begins_in_init() -> None:
    statuses = Health(MARKETS, NOW).all()
    assert [market for market, _ in statuses] == [NO_MARKET, *MARKETS]
    assert {status.state for _, status in statuses} == {State.INIT}
    assert {status.since_ns for _, status in statuses} == {1_000}


@given(st.lists(st.tuples(st.sampled_from((*MARKETS, "DOGE-PERP")), st.sampled_from(State)), max_size=40))
def test_only_allowed_transitions_are_made_and_each_is_told(moves: list[tuple[str, State]]) -> None:
    health = Health(MARKETS, NOW)
    for market, state in moves:
        before = {name: health.state(name) for name in MARKETS}
        found = dict(health.move((market,), state, "reason", "detail", NOW))
        for name in MARKETS:
            if health.state(name) is not before[name]:
                assert name == market
                assert health.state(name) in ALLOWED[before[name]]
                assert (found[name].previous, found[name].state) == (before[name], state)


def test_the_venue_is_live_only_when_every_market_is() -> None:
    health = Health(MARKETS, NOW)
    health.move(MARKETS, State.SYNCING, "connected", "", NOW)
    found = health.book("BTC-PERP", Trust.LIVE, "book", "", NOW)
    assert [(market, status.state) for market, status in found] == [("BTC-PERP", State.LIVE)]
    later = Now(77, 2_000)
    found = health.book("ETH-PERP", Trust.LIVE, "book", "", later)
    assert [(market, status.state) for market, status in found] == [("ETH-PERP", State.LIVE), (NO_MARKET, State.LIVE)]
    assert health.since_mono() == 77
    found = health.book("BTC-PERP", Trust.STALE, "market_stale", "", later)
    assert [(market, status.state) for market, status in found] == [("BTC-PERP", State.STALE), (NO_MARKET, State.STALE)]
    found = health.book("BTC-PERP", Trust.RESYNC, "seq_gap", "", later)
    assert found[0][1].reason == "seq_gap"
    assert health.state() is State.RECOVERING


def test_a_book_by_rest_changes_no_state() -> None:
    health = Health(MARKETS, NOW)
    assert health.book("BTC-PERP", Trust.REST, "book", "", NOW) == []


def test_the_log_says_how_long_a_market_was_not_live_and_leaves_out_what_the_venues_line_says() -> None:
    health = Health(MARKETS, Now(0, 0))
    lines: list[dict[str, object] | None] = []
    for step, state in ((1, State.CONNECTING), (2, State.SYNCING), (3, State.LIVE)):
        found = health.move(MARKETS, state, "x", "", Now(0, step * 1_000_000_000))
        lines = [health.line(market, status) for market, status in found]
        assert lines[:2] == [None, None]
        assert lines[2] is not None
    assert lines[2] == {"market": NO_MARKET, "was": "syncing", "reason": "x", "after_ms": 3_000}
    for step, state in ((5, State.STALE), (6, State.RECOVERING), (9, State.LIVE)):
        found = health.move(("BTC-PERP",), state, "x", "why", Now(0, step * 1_000_000_000))
        lines = [health.line(market, status) for market, status in found]
    assert lines[0] == {"market": "BTC-PERP", "was": "recovering", "reason": "x", "detail": "why", "after_ms": 4_000}
