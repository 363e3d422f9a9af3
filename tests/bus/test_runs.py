"""Runs: the greater epoch is newer, unless it has fallen silent."""

from __future__ import annotations

from bus.runs import KEPT, PATIENCE, Runs, takes_over


def test_a_chain_nobody_carries_on_is_anybodys() -> None:
    assert takes_over(Runs().get("aster", 5, 0), None, 0)


def test_the_greater_epoch_takes_over_and_the_lower_is_late() -> None:
    runs = Runs()
    old, new = runs.get("aster", 5, 0), runs.get("aster", 6, 0)
    assert takes_over(new, old, 0)
    assert old.by is new
    assert not takes_over(old, new, 0)
    assert not takes_over(old, None, 0), "nor on a chain that the new one has not sent on yet"


def test_a_lower_epoch_takes_over_from_a_silent_one() -> None:
    runs = Runs()
    high, low = runs.get("aster", 6, 0), runs.get("aster", 5, 0)
    takes_over(high, low, 0)
    assert not takes_over(low, high, PATIENCE - 1)
    assert takes_over(low, high, PATIENCE)
    assert (low.by, high.by) == (None, low)


def test_equal_epochs_of_two_senders_are_two_runs() -> None:
    runs = Runs()
    assert runs.get("aster", 5, 0) is not runs.get("lighter", 5, 0)
    assert runs.get("aster", 5, 0) is runs.get("aster", 5, 1)


def test_a_run_is_its_own_successor() -> None:
    run = Runs().get("aster", 5, 0)
    assert takes_over(run, run, 0)
    assert run.by is None


def test_silence_is_reported_once_and_only_of_runs_in_force() -> None:
    runs = Runs()
    old, new = runs.get("aster", 5, 0), runs.get("aster", 6, 0)
    takes_over(new, old, 0)
    assert runs.silent(PATIENCE - 1) == []
    assert runs.silent(PATIENCE) == [new]
    assert runs.silent(PATIENCE + 1) == []
    assert runs.get("aster", 6, 9) is new


def test_memory_of_runs_is_bounded_and_the_longest_unheard_go_first() -> None:
    runs = Runs()
    first = runs.get("aster", 0, 0)
    for epoch in range(1, KEPT + 1):
        runs.get("aster", epoch, epoch)
    assert runs.get("aster", 0, KEPT) is not first
