"""The runner as a process, on real sockets and files."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bus.client import Subscriber
from bus.events import Delta, Reason, Reconnect, State, Status, Telemetry, Trust
from bus.items import Message
from bus.settings import EXIT_SETTINGS, Settings
from tests.runner.conftest import MARKET, VENUES, Speaker, Start, lines

if TYPE_CHECKING:
    from tests.conftest import Eventually

pytestmark = pytest.mark.slow


def ages(path: Path) -> list[list[int | None]]:
    return [line["venue_age_ms"] for line in lines(path)]


def last(path: Path) -> dict[str, Any]:
    """Everything told so far, the newest of each part."""
    told: dict[str, Any] = {}
    for line in lines(path):
        told.update(line)
    return told


def hears(path: Path, speaker: Speaker) -> bool:
    """Whether the runner follows what the speaker says, after one turn of it."""
    speaker.turn()
    processes = last(path).get("system", {}).get("processes", {})
    return bool(processes.get("aster", {}).get("pid") == os.getpid())


def test_a_venue_that_speaks_is_fresh_one_that_does_not_is_null_and_one_that_stops_grows_old(
    start: Start, aster: Speaker, run_dir: Path, eventually: Eventually
) -> None:
    start("publisher")
    start("runner")
    path = run_dir / "telemetry.jsonl"

    def fresh() -> bool:
        aster.turn(aster.book)
        return sum(age[1] is not None and age[1] < 500 for age in ages(path)) > 10

    eventually(fresh)
    line = lines(path)[-1]
    assert [venue["venue_id"] for venue in line["treasury_guidance"]["venues"]] == list(VENUES)
    assert line["venue_age_ms"][0] is None
    assert line["venues"]["hyperliquid"]["silent_ms"] > 0
    assert line["venues"]["aster"]["markets"][MARKET]["trusted"] is True
    assert line["venue_age_event_ms"][1] >= line["venue_age_ms"][1] + 20

    stopped = ages(path)[-1][1]
    assert stopped is not None
    eventually(lambda: (ages(path)[-1][1] or 0) > stopped + 600)
    grown = [age[1] or 0 for age in ages(path)][-5:]
    assert grown == sorted(grown)

    aster.turn(lambda: Delta(None, None, Trust.STALE, 1, [], [], [], []))

    def distrusted() -> bool:
        return bool(lines(path)[-1]["venues"]["aster"]["markets"][MARKET]["trust"] == "stale")

    eventually(distrusted)
    assert (ages(path)[-1][1] or 0) > stopped + 600
    assert lines(path)[-1]["venues"]["aster"]["trusted"] is False


def test_what_is_published_is_what_is_written(
    start: Start, settings: Settings, run_dir: Path, eventually: Eventually
) -> None:
    start("publisher")
    start("runner")
    bodies: dict[object, object] = {}
    with Subscriber(settings, kinds=["telemetry"]) as subscriber:

        def heard() -> bool:
            for item in subscriber.poll(0.05):
                if isinstance(item, Message) and isinstance(item.event, Telemetry):
                    bodies[item.event.body["t"]] = item.event.body
            return len(bodies) > 20

        eventually(heard)
    written = {line["t"]: line for line in lines(run_dir / "telemetry.jsonl")}
    assert {number: written[number] for number in bodies} == bodies


def test_a_publisher_that_returns_with_old_state_does_not_make_a_silent_venue_look_alive(
    start: Start, aster: Speaker, run_dir: Path, eventually: Eventually
) -> None:
    publisher = start("publisher")
    start("runner")
    path = run_dir / "telemetry.jsonl"

    def spoken() -> bool:
        aster.turn(aster.book)
        return bool(lines(path)) and ages(path)[-1][1] is not None

    eventually(spoken)
    publisher.end(signal.SIGKILL)
    eventually(lambda: (ages(path)[-1][1] or 0) > 1_500)
    start("publisher")
    before = len(lines(path))

    def repeated() -> bool:
        aster.turn()
        return bool(last(path)["venue_detail"]["aster"]["late"] > 0)

    eventually(repeated)
    assert min(age[1] or 0 for age in ages(path)[before:]) > 1_400


def test_states_reconnects_and_heartbeats_reach_telemetry_and_the_audit_lines(
    start: Start, aster: Speaker, run_dir: Path, eventually: Eventually
) -> None:
    start("publisher")
    runner = start("runner")
    path = run_dir / "telemetry.jsonl"
    aster.say(Status(State.LIVE, State.SYNCING, "snapshot", "", 1), "-")
    eventually(lambda: hears(path, aster))
    aster.say(Reconnect("main", Reason.SEQ_GAP, 3, "gap", 250), "-")

    def told() -> bool:
        aster.turn()
        parts = last(path)
        return (
            "system" in parts
            and parts["venue_detail"]["aster"]["reconnects"] == {"seq_gap": 3}
            and parts["venues"]["aster"]["state"] == "live"
            and parts["system"]["processes"]["aster"]["pid"] == os.getpid()
        )

    eventually(told)
    eventually(lambda: "WS_AUDIT venue=aster reconnect_reason=seq_gap count=3\n" in runner.text())
    assert {name: view["missing"] for name, view in last(path)["system"]["processes"].items()} == {
        "hyperliquid": last(path)["up_ms"] > 3_000,
        "aster": False,
        "publisher": False,
        "runner": False,
        "sentinel": False,
    }


def test_audit_lines_keep_their_words_in_json_logs_and_can_be_switched_off(
    start: Start, aster: Speaker, run_dir: Path, eventually: Eventually
) -> None:
    start("publisher")
    speaking = start("runner", PARAPHINA_LOG_FORMAT="json", PARAPHINA_OUT_DIR=str(run_dir / "one"))
    eventually(lambda: hears(run_dir / "one" / "telemetry.jsonl", aster))
    aster.say(Reconnect("main", Reason.DRIFT, 1, "", 250), "-")

    def audited() -> bool:
        aster.turn()
        events = [json.loads(line)["event"] for line in speaking.text().splitlines()]
        return "WS_AUDIT venue=aster reconnect_reason=drift count=1" in events

    eventually(audited)
    speaking.end()
    speaking.log.unlink()
    silent = start("runner", PARAPHINA_WS_AUDIT="0", PARAPHINA_OUT_DIR=str(run_dir / "two"))
    path = run_dir / "two" / "telemetry.jsonl"

    def counted() -> bool:
        aster.turn()
        return bool(last(path).get("venue_detail", {}).get("aster", {}).get("reconnects") == {"drift": 1})

    aster.counters.add_label("reconnect.drift")
    eventually(counted)
    silent.end()
    assert "WS_AUDIT" not in silent.text()


def test_sigterm_writes_a_last_tick_and_ends_with_zero(start: Start, run_dir: Path, eventually: Eventually) -> None:
    runner = start("runner")
    path = run_dir / "telemetry.jsonl"
    eventually(lambda: lines(path))
    assert runner.end() == 0
    data = path.read_bytes()
    assert data.endswith(b"\n")
    ending = lines(path)[-1]
    assert {"venue_detail", "system"} <= ending.keys()
    assert [line["t"] for line in lines(path)] == list(range(ending["t"] + 1))
    stats = (run_dir / "market_rx_stats.log").read_text().splitlines()
    assert len(stats) == ending["t"] + 1
    assert "event=stopped" in runner.text()


def test_impossible_settings_end_it_with_their_own_code(start: Start) -> None:
    runner = start("runner", PARAPHINA_TELEMETRY_MODE="sideways")
    assert runner.process.wait(30) == EXIT_SETTINGS
    assert "runner.telemetry_mode" in runner.text()


@pytest.mark.parametrize(
    ("mode", "kept"), [("append", True), ("jsonl", True), ("truncate", False)], ids=["append", "jsonl", "truncate"]
)
def test_the_mode_says_what_becomes_of_an_older_file(
    start: Start, run_dir: Path, eventually: Eventually, mode: str, kept: bool
) -> None:
    path = run_dir / "old.jsonl"
    path.write_text('{"t":7,"torn')
    start("runner", PARAPHINA_TELEMETRY_MODE=mode, PARAPHINA_TELEMETRY_PATH=str(path))
    eventually(lambda: path.read_bytes().count(b"\n") > 3)
    assert path.read_text().startswith('{"t":7,"torn\n{"t":0,') is kept


def test_files_that_are_switched_off_are_not_made(start: Start, run_dir: Path, eventually: Eventually) -> None:
    stats = run_dir / "mine.log"
    runner = start("runner", PARAPHINA_TELEMETRY_MODE="off", PARAPHINA_MARKET_RX_STATS_PATH=str(stats))
    eventually(lambda: stats.exists() and "tick=3 " in stats.read_text())
    runner.end()
    stats.unlink()
    runner = start("runner", PARAPHINA_MARKET_RX_STATS="0", PARAPHINA_MARKET_RX_STATS_PATH=str(stats))
    eventually(lambda: len(lines(run_dir / "telemetry.jsonl")) > 3)
    assert not stats.exists()


def test_a_full_disk_stops_nothing_and_is_over_when_there_is_room(
    start: Start, run_dir: Path, eventually: Eventually
) -> None:
    path = run_dir / "telemetry.jsonl"
    path.symlink_to("/dev/full")
    runner = start("runner")
    stats = run_dir / "market_rx_stats.log"
    eventually(lambda: stats.exists() and "tick=10 " in stats.read_text())
    path.unlink()
    eventually(lambda: "system" in last(path))
    assert last(path)["system"]["runner"]["telemetry_failures"] >= 10
    eventually(lambda: "event=written_again" in runner.text())
    assert runner.text().count("event=not_written") == 1
    assert 'error="No space left on device"' in runner.text()


def test_a_rotated_file_is_continued_under_its_name(start: Start, run_dir: Path, eventually: Eventually) -> None:
    path = run_dir / "telemetry.jsonl"
    start("runner")
    eventually(lambda: lines(path))
    path.rename(run_dir / "telemetry.jsonl.1")
    eventually(lambda: lines(path))
    first, second = lines(run_dir / "telemetry.jsonl.1"), lines(path)
    assert second[0]["t"] == first[-1]["t"] + 1


def test_time_in_which_it_did_not_run_is_counted_and_not_made_up_for(
    start: Start, run_dir: Path, eventually: Eventually
) -> None:
    path = run_dir / "telemetry.jsonl"
    runner = start("runner")
    eventually(lambda: lines(path))
    runner.process.send_signal(signal.SIGSTOP)
    os.waitpid(runner.process.pid, os.WUNTRACED)
    stopped = lines(path)[-1]
    awake = time.monotonic() + 1.0
    eventually(lambda: time.monotonic() > awake)
    runner.process.send_signal(signal.SIGCONT)
    eventually(lambda: last(path).get("system", {}).get("runner", {}).get("missed_ticks", 0) >= 15)
    after = next(line for line in lines(path) if line["t"] == stopped["t"] + 1)
    assert after["up_ms"] - stopped["up_ms"] >= 1_000
    assert last(path)["clock_jumps"] == 0


def test_a_drain_that_reaches_its_cap_is_counted(
    start: Start, aster: Speaker, run_dir: Path, eventually: Eventually
) -> None:
    config = run_dir / "paraphina.toml"
    config.write_text(config.read_text().replace("[runner]", "[runner]\ndrain_cap = 5"))
    start("publisher")
    start("runner")
    path = run_dir / "telemetry.jsonl"

    def capped() -> bool:
        for _ in range(20):
            aster.say(aster.book())
        aster.turn()
        return bool(lines(path)) and lines(path)[-1]["cap_hits"] > 2

    eventually(capped)
    line = (run_dir / "market_rx_stats.log").read_text().splitlines()[-1]
    assert int(line.rpartition("cap_hits=")[2]) > 2
