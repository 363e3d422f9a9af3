"""``paraphina soak`` with real processes: evidence however it ends, nothing half-made, nothing left running."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from bus.settings import VENUES
from cli.artefacts import read
from cli.evidence.build import facts
from cli.plane import prepare
from tests.cli.conftest import Start, refused
from tests.conftest import Eventually

pytestmark = pytest.mark.slow

ARTEFACTS = {"telemetry.jsonl", "run.log", "market_rx_stats.log", "manifest.json", "faults.json"}
REPORTS = {"ws_soak_report.md", "ws_soak_report.html"}


def ticks(out: Path) -> list[dict[str, Any]]:
    path = out / "telemetry.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def descendants(pid: int) -> list[int]:
    """Everybody below a process."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def manifest(out: Path) -> dict[str, Any]:
    return json.loads((out / "manifest.json").read_text())  # type: ignore[no-any-return]


def test_a_short_soak_passes_the_gate_and_leaves_every_artefact(soak: Start, out: Path, run_dir: Path) -> None:
    process = soak(out, "--sim", "--minutes", "0.25", "--connectors", "aster,lighter", "--label", "first")
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 0, told
    assert {path.name for path in out.iterdir()} == ARTEFACTS | REPORTS
    about = manifest(out)
    assert (about["status"], about["label"], about["connectors"]) == ("complete", "first", ["lighter", "aster"])
    assert about["settings"]["venues"]["aster"]["stale_ms"] == 10_000
    assert about["versions"]["msgspec"]
    found = facts(read(out))
    assert [venue.venue for venue in found.venues] == ["lighter", "aster"]
    assert all(venue.events_per_s for venue in found.venues)
    times = [line.split(b" ", 1)[0] for line in (out / "run.log").read_bytes().splitlines()]
    assert times == sorted(times)
    text = (out / "run.log").read_text()
    for name in (
        "connectors:aster",
        "connectors:lighter",
        "publisher",
        "runner",
        "sentinel",
        "simulator",
        "supervisord",
    ):
        assert f"process={name}" in text
    # What the end of the plane does to the venues is no part of the run.
    assert not any(venue.reconnects.get("stream_ended") for venue in found.venues)
    assert list((run_dir / "t").iterdir()) == []


@pytest.mark.parametrize(
    ("whom", "status", "code"), [("soak", "abandoned", -9), ("keeper", "failed", 3), ("supervisord", "failed", 3)]
)
def test_whoever_is_killed_the_artefacts_are_whole_and_no_process_is_left(
    soak: Start, out: Path, eventually: Eventually, whom: str, status: str, code: int
) -> None:
    process = soak(out, "--sim", "--minutes", "5", "--connectors", "aster")
    eventually(lambda: len(ticks(out)) >= 12)
    below = descendants(process.pid)
    names = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in below}
    keeper = next(pid for pid, name in names.items() if "cli.keeper" in name)
    supervisord = next(pid for pid, name in names.items() if "supervisord" in name)
    assert len(below) >= 7
    os.kill({"soak": process.pid, "keeper": keeper, "supervisord": supervisord}[whom], signal.SIGKILL)
    process.wait(60)
    assert process.returncode == code
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in below))
    eventually((out / "ws_soak_report.html").exists)
    assert manifest(out)["status"] == status
    assert {path.name for path in out.iterdir()} == ARTEFACTS | REPORTS
    found = facts(read(out))
    assert found.runner.ticks >= 12
    assert found.runner.torn_lines == []
    assert b"process=publisher" in (out / "run.log").read_bytes()


@pytest.mark.parametrize("supervisord", [False, True])
def test_both_ends_killed_at_once_leave_parseable_artefacts_and_no_process(
    soak: Start, out: Path, eventually: Eventually, supervisord: bool
) -> None:
    process = soak(out, "--sim", "--minutes", "5", "--connectors", "aster")
    eventually(lambda: len(ticks(out)) >= 12)
    below = descendants(process.pid)
    names = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in below}
    ends = [process.pid, next(pid for pid, name in names.items() if "cli.keeper" in name)]
    if supervisord:
        ends.append(next(pid for pid, name in names.items() if "supervisord" in name))
    for pid in ends:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in below))
    found = facts(read(out))
    assert any("has not ended" in note for note in found.notes)
    assert found.venues[0].age is not None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_ends_the_run_early_with_a_report(
    soak: Start, out: Path, eventually: Eventually, number: signal.Signals
) -> None:
    process = soak(out, "--sim", "--minutes", "5", "--connectors", "aster")
    eventually(lambda: len(ticks(out)) >= 8)
    process.send_signal(number)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "it was stopped by hand" in told
    assert manifest(out)["status"] == "interrupted"
    assert {path.name for path in out.iterdir()} == ARTEFACTS | REPORTS


def test_faults_of_a_scenario_are_on_the_page_with_detection_and_recovery(
    soak: Start, out: Path, run_dir: Path
) -> None:
    scenario = run_dir / "s.toml"
    scenario.write_text('[[fault]]\nfault = "reset"\nvenue = "aster"\nat_s = 8\n')
    process = soak(out, "--sim", "--minutes", "0.35", "--connectors", "aster", "--scenario", str(scenario))
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 0, told
    [fault] = facts(read(out)).faults
    assert (fault.fault, fault.venue) == ("reset", "aster")
    assert fault.detected_ms is not None
    assert fault.recovered_ms is not None
    assert "| reset |" in (out / "ws_soak_report.md").read_text()


def test_settings_of_the_operator_reach_the_run(soak: Start, out: Path, run_dir: Path) -> None:
    (run_dir / "paraphina.toml").write_text("[venues.aster]\nstale_ms = 7000\n")
    process = soak(
        out,
        "--sim",
        "--minutes",
        "0.1",
        "--connectors",
        "aster",
        PARAPHINA_TELEMETRY_MODE="off",
        PARAPHINA_OUT_DIR="/x",
    )
    told, _ = process.communicate(timeout=120)
    assert process.returncode in {0, 1}, told
    assert manifest(out)["settings"]["venues"]["aster"]["stale_ms"] == 7_000
    assert next(one["venue_detail"]["aster"]["stale_ms"] for one in ticks(out) if "venue_detail" in one) == 7_000


def test_an_attached_soak_copies_what_a_running_plane_tells_and_leaves_it_alone(
    soak: Start, out: Path, run_dir: Path, eventually: Eventually
) -> None:
    off = {venue: {"enabled": False} for venue in VENUES if venue != "aster"}
    programs = ["aster", "publisher", "runner", "simulator"]
    plane = prepare(run_dir / "plane", sim=True, settings={"venues": off}, programs=programs)
    config = {"PARAPHINA_CONFIG": str(run_dir / "plane" / "paraphina.toml")}
    refused(soak(out, "--attach", "--minutes", "1", **config), out, "no supervisord answers on")
    plane.start()
    try:
        eventually(lambda: len(ticks(plane.settings.out_dir)) > 12)
        before = len(ticks(plane.settings.out_dir))
        pids = {name: program["pid"] for name, program in plane.programs().items()}
        process = soak(out, "--attach", "--minutes", "0.1", **config)
        told, _ = process.communicate(timeout=120)
        assert process.returncode in {0, 1}, told
        assert {name: program["pid"] for name, program in plane.programs().items()} == pids
    finally:
        plane.stop()
    assert {path.name for path in out.iterdir()} == (ARTEFACTS | REPORTS) - {"faults.json"}
    about = manifest(out)
    assert (about["status"], about["processes"], about["connectors"]) == ("complete", "attached", ["aster"])
    copied = [one["t"] for one in ticks(out)]
    assert len(copied) > 12
    assert copied == list(range(copied[0], copied[0] + len(copied)))
    assert copied[0] >= ticks(plane.settings.out_dir)[before - 1]["t"]
    # What the connectors had reconnected before the soak is not of the soak.
    assert facts(read(out)).venues[0].reconnects == {}
    assert b"raw_drained" not in (out / "run.log").read_bytes()
