"""The runner's judgement of the sentinel: sure before it ends it, and never in a storm."""

from __future__ import annotations

from itertools import pairwise

from bus.warden import HOLD_CAP_NS, MS, Warden

S = 1_000 * MS
MONO = 7_000 * S
PATIENCE = 5 * S


def live_on(warden: Warden, until: int, *, start: int = 0, beating: dict[str, int]) -> list[tuple[int, int]]:
    """Look four times a second while these send heartbeats each second; when which pid was to be ended."""
    found = []
    for after in range(start, until + 1, 250 * MS):
        now = MONO + after
        for name, pid in beating.items():
            if after % S == 0:
                warden.heard(name, pid, now)
        hung = warden.due(now)
        if hung is not None:
            found.append((after, hung))
    return found


def test_a_sentinel_whose_heartbeats_stop_is_ended_once_within_a_second_of_the_threshold() -> None:
    warden = Warden(PATIENCE)
    assert live_on(warden, 10 * S, beating={"publisher": 1, "sentinel": 2}) == []
    [(when, pid)] = live_on(warden, 40 * S, start=10 * S + 250 * MS, beating={"publisher": 1})
    assert pid == 2
    assert PATIENCE < when - 10 * S <= PATIENCE + S


def test_one_that_was_never_heard_has_no_pid_to_be_ended_by() -> None:
    assert live_on(Warden(PATIENCE), 60 * S, beating={"publisher": 1}) == []


def test_while_the_publisher_is_silent_nothing_is_proven() -> None:
    warden = Warden(PATIENCE)
    live_on(warden, 10 * S, beating={"publisher": 1, "sentinel": 2})
    assert live_on(warden, 60 * S, start=11 * S, beating={}) == []
    [(when, _)] = live_on(warden, 90 * S, start=60 * S, beating={"publisher": 1})
    assert when > 60 * S + PATIENCE - S, "it has its whole time again"


def test_what_was_not_heard_while_this_process_stood_still_proves_nothing() -> None:
    warden = Warden(PATIENCE)
    live_on(warden, 10 * S, beating={"publisher": 1, "sentinel": 2})
    late = MONO + 100 * S
    warden.heard("publisher", 1, late)
    assert warden.due(late) is None


def test_a_heartbeat_that_the_publisher_kept_is_as_old_as_it_is() -> None:
    warden = Warden(PATIENCE)
    warden.due(MONO)
    warden.heard("sentinel", 2, MONO + S)
    warden.heard("sentinel", 1, MONO)
    warden.heard("publisher", 3, MONO + S)
    assert live_on(warden, 20 * S, start=S, beating={"publisher": 3})[0][1] == 2


def test_each_end_doubles_the_wait_before_the_next() -> None:
    warden = Warden(PATIENCE)
    ends: list[int] = []
    for turn in range(2_000):
        now = MONO + turn * S
        warden.heard("publisher", 1, now)
        if turn % 20 == 0:
            warden.heard("sentinel", turn + 2, now)
        for step in range(4):
            warden.heard("publisher", 1, now + step * 250 * MS)
            if warden.due(now + step * 250 * MS) is not None:
                ends.append(turn)
    gaps = [later - earlier for earlier, later in pairwise(ends)]
    assert gaps == sorted(gaps)
    assert gaps[-1] > 4 * gaps[0]
    assert HOLD_CAP_NS == 1_800 * S
