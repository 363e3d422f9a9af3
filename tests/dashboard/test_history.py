"""The last quarter of an hour: nothing lost that is worse than what is kept, nothing kept for ever."""

from __future__ import annotations

# ruff: noqa: ANN401
from typing import Any

from bus.events import Process, State, Status
from dashboard.history import KEEP, MARKS, MAX_LANES, MAX_TEXT, STATES, History
from dashboard.telemetry import Tick, read
from tests.dashboard.samples import BTC, WALL, WALL_MS, body, market, venue

S = 1_000_000_000


def tick(at_ms: int, **of: Any) -> Tick:
    """A tick so long after the tests' beginning, with this venue."""
    told = {**body(aster=venue({BTC: market()}, **of)), "treasury_guidance": {"as_of_ms": WALL_MS + at_ms}}
    found = read(told)
    assert isinstance(found, Tick)
    return found


def status(state: State, at_s: int = 0, reason: str = "book") -> Status:
    """A status entered so long after the tests' beginning."""
    return Status(state, State.LIVE, reason, "", WALL + at_s * S)


def history() -> History:
    """Empty, for one venue."""
    return History(("aster",))


def test_a_step_keeps_the_worst_age_and_state_of_its_ticks() -> None:
    found = history()
    for at, age, state in ((0, 10, "live"), (250, 900, "stale"), (500, 20, "live"), (750, None, "live")):
        found.tick(tick(at, age_ms=age, state=state))
    series = found.past(WALL_MS).venues["aster"]
    assert series.age_ms == [900]
    assert series.age_event_ms == [-3]
    assert STATES[series.state[0]] == "stale"


def test_a_second_that_was_partly_unknown_is_not_called_live() -> None:
    found = history()
    found.tick(tick(0, state=None))
    assert found.past(WALL_MS).venues["aster"].state == [-1]
    found.tick(tick(250, state="live"))
    assert found.past(WALL_MS).venues["aster"].state == [STATES.index("live")]
    found.tick(tick(500, state=None))
    assert found.past(WALL_MS).venues["aster"].state == [-1]


def test_seconds_without_telemetry_are_holes() -> None:
    found = history()
    found.tick(tick(0))
    found.tick(tick(3_000))
    past = found.past(WALL_MS + 5_000)
    assert past.start_ms == WALL_MS
    assert past.venues["aster"].age_ms == [40, None, None, 40, None, None]
    assert past.venues["aster"].state == [3, -1, -1, 3, -1, -1]


def test_a_clock_that_is_set_back_adds_to_the_newest_step() -> None:
    found = history()
    found.tick(tick(5_000, age_ms=10))
    found.tick(tick(0, age_ms=99))
    past = found.past(WALL_MS)
    assert past.venues["aster"].age_ms == [99]
    assert past.start_ms == WALL_MS + 5_000


def test_only_a_quarter_of_an_hour_is_kept() -> None:
    found = history()
    for second in range(KEEP + 50):
        found.tick(tick(second * 1_000, age_ms=second))
    past = found.past(WALL_MS + (KEEP + 49) * 1_000)
    assert len(past.venues["aster"].age_ms) == KEEP
    assert past.venues["aster"].age_ms[0] == 50
    found.mark(WALL_MS, "aster", "state", "long ago")
    found.mark(WALL_MS + KEEP * 1_000, "aster", "state", "now")
    assert [mark.text for mark in found.past(WALL_MS + (KEEP + 49) * 1_000).marks] == ["now"]


def test_an_empty_history_has_an_empty_past() -> None:
    past = history().past(WALL_MS)
    assert past.venues["aster"].age_ms == [None]
    assert past.marks == []


def test_a_venue_that_is_not_watched_is_not_kept() -> None:
    found = history()
    found.tick(tick(0))
    assert list(found.past(WALL_MS).venues) == ["aster"]


def test_marks_are_numbered_bounded_and_short() -> None:
    found = history()
    for number in range(MARKS + 5):
        found.mark(WALL_MS, "aster", "state", f"{number}" + "x" * 500)
    kept = found.since(0)
    assert len(kept) == MARKS
    assert kept[-1].number == found.number == MARKS + 5
    assert len(kept[-1].text) == MAX_TEXT
    assert found.since(found.number) == []
    assert [mark.number for mark in found.since(found.number - 2)] == [found.number - 1, found.number]


def test_a_repeated_status_is_no_news() -> None:
    found = history()
    for _ in range(3):
        found.status("aster", "", status(State.STALE))
    found.status("aster", "", status(State.LIVE, 4, ""))
    assert [(mark.text, mark.at_ms) for mark in found.since(0)] == [("stale: book", WALL_MS), ("live", WALL_MS + 4_000)]


def test_a_market_is_marked_in_trouble_and_when_it_is_over_it() -> None:
    found = history()
    for at, state in enumerate((State.SYNCING, State.LIVE, State.RECOVERING, State.SYNCING, State.LIVE)):
        found.status("aster", BTC, status(state, at))
    assert [mark.text for mark in found.since(0)] == ["BTC-PERP recovering: book", "BTC-PERP syncing: book"]


def test_the_number_of_lanes_is_bounded() -> None:
    found = history()
    for number in range(MAX_LANES + 9):
        found.status(f"v{number}", "", status(State.STALE))
    assert found.number == MAX_LANES


def test_a_process_is_marked_by_its_own_name() -> None:
    found = history()
    found.process(Process("connectors:aster", "exited", 7, "signal 9", 1, None), WALL_MS)
    found.process(Process("runner", "started", 7, "", None, 15), WALL_MS)
    assert [(mark.lane, mark.text) for mark in found.since(0)] == [
        ("aster", "exited (signal 9)"),
        ("runner", "started"),
    ]
