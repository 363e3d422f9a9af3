"""The sentinel's judgement: quick to respawn, sure before it kills, never in a storm."""

from __future__ import annotations

from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sentinel.guard import (
    MS,
    SECOND,
    START_GRACE_NS,
    STORM_DEATHS,
    Action,
    Dump,
    Guard,
    Kill,
    Look,
    Poke,
    Policy,
    Start,
    Tell,
)

ASTER, PUBLISHER, SIMULATOR = "connectors:aster", "publisher:publisher", "simulator:simulator"
POLICY = Policy(5 * SECOND, 120 * SECOND, 3, 600 * SECOND, 5 * SECOND, frozenset({SIMULATOR}))


def guard_with(*names: str) -> Guard:
    guard = Guard(POLICY, 0)
    for pid, name in enumerate(names, start=1):
        guard.running(name, pid, 0)
    return guard


def live_on(guard: Guard, until: int, *, start: int = 0, beating: tuple[int, ...] = ()) -> list[tuple[int, Action]]:
    """Judge four times a second while these pids send heartbeats."""
    found: list[tuple[int, Action]] = []
    for now in range(start, until + 1, 250 * MS):
        for pid in beating:
            guard.beat(pid, now)
        found += [(now, action) for action in guard.due(now)]
    return found


def test_a_new_process_is_told_once() -> None:
    guard = Guard(POLICY, 0)
    assert guard.running(ASTER, 7, 0) == [Tell(ASTER, "started", 7, "")]
    assert guard.running(ASTER, 7, 1) == []


def test_a_death_is_poked_at_once_and_told_with_uptime_and_absence() -> None:
    guard = guard_with(ASTER)
    now = 3 * SECOND
    assert guard.died(1, now) == [Poke(ASTER, 1), Tell(ASTER, "exited", 1, "", 3_000), Look(ASTER)]
    assert guard.died(1, now) == [], "known already"
    assert guard.running(ASTER, 2, now + 20 * MS) == [Tell(ASTER, "started", 2, "", None, 20)]


def test_a_program_that_keeps_dying_is_left_to_supervisords_own_pace() -> None:
    guard = Guard(POLICY, 0)
    pokes = 0
    for pid in range(1, 40):
        guard.running(ASTER, pid, pid * 100 * MS)
        pokes += sum(isinstance(action, Poke) for action in guard.died(pid, pid * 100 * MS + 50 * MS))
    assert pokes == STORM_DEATHS
    guard.running(ASTER, 99, 60 * SECOND)
    assert guard.died(99, 60 * SECOND)[0] == Poke(ASTER, 99), "the storm is over"


def test_a_process_without_heartbeats_is_dumped_and_then_killed_within_a_second_of_its_threshold() -> None:
    guard = guard_with(ASTER, PUBLISHER)
    live_on(guard, 10 * SECOND, beating=(1, 2))
    found = live_on(guard, 16 * SECOND, start=10 * SECOND, beating=(2,))
    kinds = [type(action) for _, action in found]
    assert kinds[:3] == [Tell, Dump, Kill]
    assert found[2][1] == Kill(1)
    assert found[2][0] <= 16 * SECOND
    assert guard.died(1, 16 * SECOND)[1] == Tell(ASTER, "exited", 1, "no heartbeat for 5.2 s", 16_000)


def test_a_new_process_gets_its_grace_before_the_first_heartbeat() -> None:
    guard = guard_with(ASTER, PUBLISHER)
    found = live_on(guard, START_GRACE_NS, beating=(2,))
    assert found == []
    found = live_on(guard, START_GRACE_NS + SECOND, start=START_GRACE_NS, beating=(2,))
    assert Dump(1) in [action for _, action in found]


def test_a_process_that_has_run_for_long_gets_no_such_grace_from_a_new_sentinel() -> None:
    guard = Guard(POLICY, 0)
    guard.running(ASTER, 1, 0, 3_600 * SECOND)
    [(when, hung)] = [(now, action) for now, action in live_on(guard, 9 * SECOND) if isinstance(action, Tell)]
    assert isinstance(hung, Tell)
    assert hung.action == "hung"
    assert POLICY.heartbeat_ns < when <= POLICY.heartbeat_ns + 500 * MS
    assert guard.died(1, 9 * SECOND)[1] == Tell(ASTER, "exited", 1, hung.detail, 3_609_000)


def test_a_hung_publisher_is_judged_alone_and_nobody_else_pays_for_it() -> None:
    guard = guard_with(ASTER, PUBLISHER)
    live_on(guard, 10 * SECOND, beating=(1, 2))
    found = live_on(guard, 16 * SECOND, start=10 * SECOND)
    assert [action for _, action in found if isinstance(action, Kill)] == [Kill(2)]
    guard.died(2, 16 * SECOND)
    assert live_on(guard, 25 * SECOND, start=16 * SECOND) == [], "no publisher, no heartbeats, no verdict"
    guard.running(PUBLISHER, 3, 25 * SECOND)
    assert live_on(guard, 29 * SECOND, start=25 * SECOND, beating=(1, 3)) == []


def test_programs_without_heartbeats_by_nature_are_exempt() -> None:
    guard = guard_with(SIMULATOR)
    assert live_on(guard, 60 * SECOND) == []


def test_after_a_pause_of_its_own_nothing_is_held_against_anybody() -> None:
    guard = guard_with(ASTER, PUBLISHER)
    live_on(guard, 10 * SECOND, beating=(1, 2))
    assert guard.due(40 * SECOND) == []
    assert live_on(guard, 44 * SECOND, start=40 * SECOND) == []


def test_forced_restarts_are_spaced_further_and_further_and_end_with_the_budget() -> None:
    guard = guard_with(PUBLISHER)
    killed, told = [], []
    pid = 1
    for now in range(0, 580 * SECOND, 250 * MS):
        for action in guard.due(now):
            if isinstance(action, Kill):
                killed.append(now)
                guard.died(pid, now)
                pid += 1
                guard.running(PUBLISHER, pid, now)
            elif isinstance(action, Tell):
                told.append(action.action)
    gaps = [later - earlier for earlier, later in pairwise(killed)]
    assert len(killed) == POLICY.budget
    assert gaps == sorted(gaps)
    assert told.count("budget") == 1


def test_a_venue_too_old_has_its_connector_restarted_but_not_again_at_once() -> None:
    guard = guard_with(ASTER, PUBLISHER)
    live_on(guard, 130 * SECOND, beating=(1, 2))
    assert guard.aged(ASTER, 119 * SECOND, 130 * SECOND) == []
    actions = guard.aged(ASTER, 121 * SECOND, 130 * SECOND)
    assert actions == [Tell(ASTER, "hung", 1, "venue age 121 s"), Dump(1)]
    assert guard.aged(ASTER, 122 * SECOND, 130 * SECOND) == [], "it is being ended already"
    assert live_on(guard, 131 * SECOND, start=130 * SECOND, beating=(1, 2))[0][1] == Kill(1)
    guard.died(1, 131 * SECOND)
    assert guard.aged(ASTER, 130 * SECOND, 131 * SECOND) == [], "it is not even running"
    guard.running(ASTER, 3, 131 * SECOND)
    assert guard.aged(ASTER, 130 * SECOND, 132 * SECOND) == [], "the new process has not had its time"
    assert guard.aged("connectors:unknown", 999 * SECOND, 132 * SECOND) == []


def test_a_fatal_program_is_started_again_later_and_later() -> None:
    guard = Guard(POLICY, 0)
    waits = []
    now = 0
    for _ in range(3):
        assert isinstance(guard.fatal(ASTER, now)[0], Tell)
        found = live_on(guard, now + 60 * SECOND, start=now)
        at = next(when for when, action in found if action == Start(ASTER))
        waits.append((at - now) // SECOND)
        now += 60 * SECOND
    assert waits == [5, 10, 20]


def test_a_minute_of_life_ends_the_history_of_fatals() -> None:
    guard = Guard(POLICY, 0)
    guard.fatal(ASTER, 0)
    guard.running(ASTER, 5, 5 * SECOND)
    guard.beat(5, 6 * SECOND)
    guard.beat(5, 70 * SECOND)
    guard.beat(6, 70 * SECOND)
    guard.fatal(ASTER, 80 * SECOND)
    found = live_on(guard, 90 * SECOND, start=80 * SECOND)
    assert next(when for when, action in found if action == Start(ASTER)) == 85 * SECOND


def test_what_an_operator_stopped_is_left_alone() -> None:
    guard = guard_with(ASTER)
    guard.died(1, SECOND)
    guard.fatal(ASTER, SECOND)
    assert guard.stopped(ASTER, 2 * SECOND) == [Tell(ASTER, "stopped", None, "")]
    assert live_on(guard, 60 * SECOND, start=2 * SECOND) == []
    assert guard.running(ASTER, 9, 61 * SECOND) == [Tell(ASTER, "started", 9, "")]


@given(
    st.lists(
        st.tuples(st.sampled_from(["run", "die", "beat", "fatal", "stop", "age"]), st.integers(1, 9_000)), max_size=60
    )
)
def test_no_order_of_facts_upsets_it_and_its_deadline_never_lies_behind_what_is_due(
    steps: list[tuple[str, int]],
) -> None:
    guard = Guard(POLICY, 0)
    now, pid = 0, 0
    for what, pause in steps:
        now += pause * MS
        if what == "run":
            pid += 1
            guard.running(ASTER, pid, now)
        elif what == "die":
            guard.died(pid, now)
        elif what == "beat":
            guard.beat(pid, now)
        elif what == "fatal":
            guard.fatal(ASTER, now)
        elif what == "stop":
            guard.stopped(ASTER, now)
        else:
            guard.aged(ASTER, pause * SECOND, now)
        for action in guard.due(now):
            assert not isinstance(action, Kill) or action.pid in guard.pids
        assert guard.deadline > now


def test_a_guard_that_does_not_judge_still_respawns_and_revives() -> None:
    guard = Guard(msgspec.structs.replace(POLICY, judges=False), 0)
    guard.running(ASTER, 1, 0)
    assert live_on(guard, 300 * SECOND) == []
    assert guard.aged(ASTER, 300 * SECOND, 300 * SECOND) == []
    assert Poke(ASTER, 1) in guard.died(1, 300 * SECOND)
    guard.fatal(ASTER, 301 * SECOND)
    assert Start(ASTER) in [action for _, action in live_on(guard, 320 * SECOND, start=301 * SECOND)]
