"""Time in each state."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bus.events import State
from runner.states import UNKNOWN, StateTime
from tests.runner.samples import MONO, WALL, S, status


def test_before_the_first_status_the_state_is_unknown_and_so_is_the_time() -> None:
    state = StateTime(MONO)
    assert state.state is None
    assert state.spent_ms(MONO + 2 * S) == {UNKNOWN: 2_000}


def test_a_status_told_again_is_no_change() -> None:
    state = StateTime(MONO)
    state.changed(status(State.LIVE), MONO + S)
    state.changed(status(State.LIVE), MONO + 3 * S)
    assert (state.state, state.changes) == (State.LIVE, 0)
    assert state.spent_ms(MONO + 4 * S) == {UNKNOWN: 1_000, "live": 3_000}


def test_the_same_state_entered_anew_is_a_change() -> None:
    state = StateTime(MONO)
    state.changed(status(State.LIVE, WALL), MONO + S)
    state.changed(status(State.LIVE, WALL + S), MONO + 3 * S)
    assert state.changes == 1
    assert state.spent_ms(MONO + 4 * S) == {UNKNOWN: 1_000, "live": 3_000}


@given(st.lists(st.tuples(st.integers(0, 60 * S), st.sampled_from(State)), max_size=30), st.integers(0, 60 * S))
def test_the_times_add_up_to_the_time_watched(changes: list[tuple[int, State]], rest: int) -> None:
    state, now = StateTime(MONO), MONO
    for number, (step, name) in enumerate(changes):
        now += step
        state.changed(status(name, WALL + number), now)
    spent = state.spent_ms(now + rest)
    assert abs(sum(spent.values()) - (now + rest - MONO) / 1e6) <= len(spent)
    assert state.changes == max(0, len(changes) - 1)


def test_while_its_connector_is_gone_it_is_down_whatever_it_said_last() -> None:
    state = StateTime(MONO)
    state.changed(status(State.LIVE), MONO)
    state.judged(("process_exited", "terminated by SIGKILL"), MONO + S, WALL + S)
    assert state.last is not None
    assert (state.last.state, state.last.previous, state.last.reason) == (State.DOWN, State.LIVE, "process_exited")
    assert state.last.since_ns == WALL + S
    state.judged(("no_heartbeat", "none for 9 s"), MONO + 2 * S, WALL + 2 * S)
    assert state.last.reason == "process_exited", "told once"
    state.changed(status(State.INIT, WALL + 3 * S), MONO + 3 * S)
    assert state.state is State.DOWN
    state.judged(None, MONO + 4 * S, WALL + 4 * S)
    assert (state.state, state.changes) == (State.INIT, 2)
    assert state.spent_ms(MONO + 6 * S) == {UNKNOWN: 0, "live": 1_000, "down": 3_000, "init": 2_000}


def test_a_connector_that_never_spoke_is_down_too() -> None:
    state = StateTime(MONO)
    state.judged(("no_heartbeat", ""), MONO + S, WALL + S)
    assert (state.state, state.changes) == (State.DOWN, 0)
    state.judged(None, MONO + 2 * S, WALL)
    assert state.state is None
