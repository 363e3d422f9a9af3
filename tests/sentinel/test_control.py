"""The sentinel's judgement of supervisord: patient with its socket, quick with its death, never in a storm."""

from __future__ import annotations

import pytest

from sentinel.control import (
    FIRST_HOLD_NS,
    LAST_HOLD_NS,
    LAST_WAIT_S,
    LOOK_NS,
    MISSING_NS,
    YOUNG_S,
    Control,
    configuration,
    is_ours,
    wait_s,
)


def restarts(control: Control, since: int, until: int) -> list[int]:
    """When it is restarted while the socket is away all the time."""
    found, now = [], since
    while now <= until:
        if control.looked(now, present=False):
            found.append(now)
        assert control.deadline == now + LOOK_NS
        now = control.deadline
    return found


def test_a_socket_that_is_away_for_a_moment_is_being_replaced() -> None:
    control = Control(0)
    for now in range(20):
        assert not control.looked(now * LOOK_NS, present=now % 2 == 0)


def test_a_socket_that_stays_away_has_supervisord_restarted_once_and_then_ever_more_seldom() -> None:
    control = Control(0)
    first, second, third, *_ = restarts(control, 0, 4 * FIRST_HOLD_NS)
    assert first == MISSING_NS
    assert second - first == FIRST_HOLD_NS
    assert third - second == 2 * FIRST_HOLD_NS


def test_the_pause_between_restarts_is_bounded() -> None:
    control = Control(0)
    times = restarts(control, 0, 10 * LAST_HOLD_NS)
    assert times[-1] - times[-2] == LAST_HOLD_NS


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (["python", "-m", "supervisor.supervisord", "-c", "a.conf"], "a.conf"),
        (["supervisord", "--configuration", "a.conf"], "a.conf"),
        (["supervisord", "--configuration=a.conf"], "a.conf"),
        (["supervisord", "-ca.conf"], "a.conf"),
        (["supervisord", "-c"], None),
        (["supervisord"], None),
    ],
)
def test_the_configuration_is_read_off_the_command(words: list[str], file: str | None) -> None:
    assert configuration(words) == file


def test_a_supervisord_in_the_foreground_belongs_to_who_started_it() -> None:
    assert is_ours(["supervisord", "-c", "a.conf"], nodaemon=False)
    assert not is_ours(["supervisord", "-c", "a.conf"], nodaemon=True)
    assert not is_ours(["supervisord", "-n", "-c", "a.conf"], nodaemon=False)
    assert not is_ours(["supervisord", "--nodaemon"], nodaemon=False)
    assert not is_ours([], nodaemon=False), "nothing is known of it"


def test_one_that_lived_is_started_at_once_and_one_that_did_not_waits() -> None:
    assert wait_s(0, 3600.0) == 0.0
    assert wait_s(0, 1.0) == YOUNG_S - 1.0
    assert [wait_s(attempts, 3600.0) for attempts in (1, 2, 3, 50)] == [1.0, 2.0, 4.0, LAST_WAIT_S]
