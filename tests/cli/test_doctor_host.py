"""Each check of the machine fails for its own reason."""

from __future__ import annotations

import resource

import pytest

from cli import doctor_host as host
from cli.doctor_host import Clock

INFINITE = resource.RLIM_INFINITY
GOOD = Clock(disciplined=True, offset_ms=0.2, max_error_ms=5)


def test_an_old_interpreter_fails() -> None:
    found = host.interpreter((3, 10, 4))
    assert (found.outcome, found.found) == ("fail", "Python 3.10.4; 3.11 or newer is needed")
    assert host.interpreter().outcome == "ok"


def test_a_missing_package_fails_and_another_version_warns() -> None:
    pins = {"msgspec": "1.0", "pytest": "9.0"}
    missing = host.packages(pins, {"msgspec": None, "pytest": "9.0"}.get)
    assert (missing.outcome, missing.found) == ("fail", "missing: msgspec")
    other = host.packages(pins, {"msgspec": "1.1", "pytest": "9.0"}.get)
    assert (other.outcome, other.found) == ("warn", "other versions than tested: msgspec 1.1 (locked 1.0)")


def test_a_development_tool_that_is_not_installed_is_no_failure() -> None:
    assert host.packages({"msgspec": "1.0", "pytest": "9.0"}, {"msgspec": "1.0"}.get).outcome == "ok"


def test_without_a_lock_there_is_nothing_to_compare_with() -> None:
    assert host.packages({}).outcome == "warn"
    assert host.packages().outcome in {"ok", "warn"}


def test_too_low_a_hard_limit_of_open_files_fails() -> None:
    assert host.open_files((256, 1_024)).outcome == "fail"
    assert host.open_files((256, 4_096)).outcome == "ok"
    assert host.open_files((256, INFINITE)).outcome == "ok"


def test_too_few_processes_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1_000)
    found = host.processes((300, 300), running=150)
    assert (found.outcome, found.found) == ("fail", "150 of at most 300 threads of this user; 200 more are needed")
    assert host.processes((300, 300), running=100).outcome == "ok"
    assert host.processes((INFINITE, INFINITE)).outcome == "ok"
    monkeypatch.undo()
    assert host.processes((10**6, 10**6)).outcome == "ok"


def test_a_busy_or_small_machine_warns() -> None:
    assert host.load(4, 0.5).outcome == "ok"
    assert host.load(4, 6.1).outcome == "warn"
    assert host.load(1, 0.0).outcome == "warn"
    assert host.load().data["cpus"] >= 1


def test_a_clock_that_most_venues_contradict_fails() -> None:
    found = host.clock(GOOD, {"aster": 5_020.0, "lighter": 5_001.0, "paradex": 4_990.0})
    assert found.outcome == "fail"
    assert found.found.startswith("our clock is about 5.00 s ahead of the venues' (aster +5.02 s")
    behind = host.clock(GOOD, {"aster": -3_000.0, "lighter": -3_100.0})
    assert "about 3.00 s behind" in behind.found


def test_one_venues_clock_is_that_venues_matter() -> None:
    assert host.clock(GOOD, {"aster": 9_000.0, "lighter": 3.0, "paradex": 4.0}).outcome == "ok"
    assert host.clock(GOOD, {"aster": 9_000.0}).outcome == "ok"


def test_a_clock_that_nothing_disciplines_warns() -> None:
    found = host.clock(Clock(disciplined=False, offset_ms=0, max_error_ms=16_000), {})
    assert (found.outcome, "nothing disciplines the clock" in found.found) == ("warn", True)
    assert host.clock(Clock(disciplined=True, offset_ms=150, max_error_ms=5), {}).outcome == "warn"


def test_a_kernel_that_does_not_tell_is_said_so() -> None:
    assert host.clock(None, {}).outcome == "skip"


def test_the_kernel_is_asked_without_changing_anything() -> None:
    found = host.kernel_clock()
    assert found is None or found.max_error_ms >= 0
