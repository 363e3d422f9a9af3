"""Processes as their heartbeats tell of them."""

from __future__ import annotations

from bus.events import Process, Reason, Reconnect
from runner.processes import MAX_PROCESSES, Processes
from tests.runner.samples import MONO, MS, WALL, S, header, heartbeat


def told(processes: Processes, name: str, after: int = 0) -> dict[str, object]:
    view = processes.told(MONO + after, WALL + after)[name]
    assert isinstance(view, dict)
    return view


def beat(
    processes: Processes, sender: str, at: int = MONO, *, epoch: int = 1, pid: int = 42, cpu_s: float = 1.0
) -> None:
    processes.beaten(sender, header(at, epoch=epoch), heartbeat({"frames": 5}, pid=pid, cpu_s=cpu_s), at, at)


def test_an_expected_process_is_told_of_before_it_speaks_and_missing_when_it_does_not() -> None:
    processes = Processes(["aster"], MONO)
    assert told(processes, "aster") == {
        "pid": None,
        "uptime_ms": None,
        "restarts": 0,
        "rss_bytes": None,
        "cpu_percent": None,
        "loop_lag_ms": None,
        "worst_loop_lag_ms": None,
        "heartbeat_age_ms": None,
        "missing": False,
        "last_action": None,
        "last_detail": None,
    }
    assert told(processes, "aster", 3_001 * MS)["missing"] is True


def test_a_program_that_the_sentinel_tells_of_and_that_beats_nowhere_is_not_missing() -> None:
    processes = Processes([], MONO)
    processes.noticed(Process("simulator", "started", 7, "", None, None))
    assert told(processes, "simulator", 60 * S)["missing"] is False
    assert processes.gone("simulator", MONO + 60 * S) is None
    beat(processes, "simulator")
    assert told(processes, "simulator", 60 * S)["missing"] is True


def test_a_heartbeat_is_told_with_its_age() -> None:
    processes = Processes([], MONO)
    beat(processes, "aster")
    view = told(processes, "aster", 2 * S)
    assert (view["pid"], view["uptime_ms"], view["rss_bytes"], view["heartbeat_age_ms"]) == (
        42,
        2_000,
        30_000_000,
        2_000,
    )
    assert view["missing"] is False
    assert told(processes, "aster", 4 * S)["missing"] is True


def test_a_heartbeat_kept_by_the_publisher_is_as_old_as_it_is() -> None:
    processes = Processes([], MONO)
    processes.beaten("aster", header(MONO - 60 * S), heartbeat(), MONO, MONO - 60 * S)
    assert told(processes, "aster")["heartbeat_age_ms"] == 60_000


def test_cpu_is_the_share_of_one_core_between_two_heartbeats() -> None:
    processes = Processes([], MONO)
    beat(processes, "aster", cpu_s=1.0)
    assert told(processes, "aster")["cpu_percent"] is None
    beat(processes, "aster", MONO + 2 * S, cpu_s=1.5)
    assert told(processes, "aster")["cpu_percent"] == 25.0
    beat(processes, "aster", MONO + 2 * S, cpu_s=1.5)
    assert told(processes, "aster")["cpu_percent"] == 25.0


def test_a_new_run_is_a_restart_with_its_own_cpu() -> None:
    processes = Processes([], MONO)
    beat(processes, "aster", cpu_s=9.0)
    beat(processes, "aster", MONO + S, epoch=2, pid=43, cpu_s=0.2)
    view = told(processes, "aster")
    assert (view["pid"], view["restarts"], view["cpu_percent"]) == (43, 1, None)
    assert processes.total("frames") == 10


def test_a_late_heartbeat_of_an_ended_run_changes_nothing() -> None:
    processes = Processes([], MONO)
    beat(processes, "aster")
    beat(processes, "aster", epoch=2, pid=43)
    beat(processes, "aster", epoch=1, pid=42)
    assert told(processes, "aster")["pid"] == 43


def test_a_reconnect_is_counted_before_the_heartbeat_tells_it_and_not_twice() -> None:
    processes = Processes([], MONO)
    processes.reconnected("aster", header(), Reconnect("main", Reason.SEQ_GAP, 1, "", 250))
    assert [totals.reconnects() for totals in processes.of("aster")] == [{"seq_gap": 1}]
    processes.beaten("aster", header(), heartbeat({"reconnect.seq_gap": 1}), MONO, MONO)
    assert [totals.reconnects() for totals in processes.of("aster")] == [{"seq_gap": 1}]


def test_each_line_of_a_venue_is_a_process_of_its_own() -> None:
    processes = Processes(["aster"], MONO)
    processes.beaten("aster", header(line="a"), heartbeat({"reconnect.drift": 1}), MONO, MONO)
    processes.beaten("aster", header(line="b", epoch=2), heartbeat({"reconnect.drift": 2}), MONO, MONO)
    assert list(processes.told(MONO, WALL)) == ["aster", "aster/b"]
    assert [totals.get("reconnect.drift") for totals in processes.of("aster")] == [1, 2]


def test_the_sentinel_s_word_is_told_with_the_process() -> None:
    processes = Processes(["aster"], MONO)
    processes.noticed(Process("connectors:aster", "exited", 42, "signal SIGKILL", 1_000, None))
    view = told(processes, "aster")
    assert (view["last_action"], view["last_detail"]) == ("exited", "signal SIGKILL")


def test_names_without_end_are_ignored_and_counted() -> None:
    processes = Processes([], MONO)
    for number in range(MAX_PROCESSES):
        beat(processes, f"p{number}")
    beat(processes, "one-more")
    processes.reconnected("one-more", header(), Reconnect("main", Reason.SEQ_GAP, 1, "", 250))
    processes.noticed(Process("one-more", "exited", None, "", None, None))
    assert (len(processes.told(MONO, WALL)), processes.overflow) == (MAX_PROCESSES, 3)


def notice(action: str, pid: int | None) -> Process:
    return Process("connectors:aster", action, pid, "terminated by SIGKILL", 1_000, None)


def test_one_that_is_said_to_have_ended_is_gone_until_its_successor_speaks() -> None:
    processes = Processes(["aster"], MONO)
    beat(processes, "aster", pid=42)
    assert processes.gone("aster", MONO) is None
    processes.noticed(notice("exited", 42))
    assert processes.gone("aster", MONO) == ("process_exited", "terminated by SIGKILL")
    beat(processes, "aster", MONO + MS, pid=42)
    assert processes.gone("aster", MONO + MS) is not None, "the last word of the dead"
    processes.noticed(notice("started", 43))
    assert processes.gone("aster", MONO + 2 * MS) is not None, "it has not spoken yet"
    beat(processes, "aster", MONO + 3 * MS, epoch=2, pid=43)
    assert processes.gone("aster", MONO + 3 * MS) is None


def test_late_news_of_a_predecessor_says_nothing_of_the_process_that_speaks() -> None:
    processes = Processes(["aster"], MONO)
    beat(processes, "aster", epoch=2, pid=43)
    processes.noticed(notice("exited", 42))
    assert processes.gone("aster", MONO) is None
    processes.noticed(notice("fatal", None))
    assert processes.gone("aster", MONO) == ("process_fatal", "terminated by SIGKILL")


def test_one_whose_heartbeats_stop_is_gone_and_back_with_the_next() -> None:
    processes = Processes(["aster"], MONO)
    assert processes.gone("aster", MONO + 3 * S) is None
    assert processes.gone("aster", MONO + 4 * S) == ("no_heartbeat", "none for 4.0 s")
    beat(processes, "aster", MONO + 5 * S)
    assert processes.gone("aster", MONO + 5 * S) is None


def test_of_two_lines_one_suffices() -> None:
    processes = Processes(["aster"], MONO)
    beat(processes, "aster", MONO + 9 * S)
    processes.beaten("aster", header(MONO, line="b"), heartbeat({}, pid=7), MONO, MONO)
    assert processes.gone("aster", MONO + 9 * S) is None
    assert processes.gone("aster", MONO + 19 * S) is not None
    assert processes.gone("nobody", MONO) is None
