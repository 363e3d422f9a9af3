"""``paraphina report`` and the tool of the familiar name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import artefacts
from cli.report import report
from tests.cli.evidence.runs import calm, lines, tick, venue, write

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., Result]


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(report, ["--out-dir", str(folder), *words])


def test_the_gate_of_a_calm_run_passes_and_the_report_is_written(tmp_path: Path) -> None:
    result = run(write(tmp_path, calm(20)), "--gate")
    assert result.exit_code == 0, result.output
    assert "PASS: all" in result.output
    assert (tmp_path / "ws_soak_report.md").read_text().startswith("# Soak report")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("market_rx_stats.log", "run.log", "telemetry.jsonl", "ws_soak_report.md"),
    ]


def test_a_gate_that_fails_exits_with_1_and_says_which_criterion(tmp_path: Path) -> None:
    result = run(write(tmp_path, [tick(t, {"aster": venue(40_000)}) for t in range(9)]), "--gate")
    assert result.exit_code == 1
    assert "aster age_p99_ms: 40000, limit 30000" in result.output


def test_without_the_gate_a_bad_run_is_only_told(tmp_path: Path) -> None:
    assert run(write(tmp_path, [tick(t, {"aster": venue(40_000)}) for t in range(9)])).exit_code == 0


def test_expected_connectors_must_be_there(tmp_path: Path) -> None:
    result = run(write(tmp_path, calm(9)), "--gate", "--expected-connectors", "aster,lighter")
    assert result.exit_code == 1
    assert "lighter samples: 0, limit 1 (no age was ever known)" in result.output


def test_the_manifest_says_which_connectors_are_expected(tmp_path: Path) -> None:
    write(tmp_path, calm(9), manifest={"connectors": ["paradex", "aster"], "status": "complete"})
    assert "paradex samples" in run(tmp_path, "--gate").output


def test_an_unknown_connector_is_refused(tmp_path: Path) -> None:
    result = run(tmp_path, "--expected-connectors", "binance")
    assert result.exit_code == 2
    assert "binance is not of hyperliquid" in result.output


@pytest.mark.parametrize("name", ["telemetry.jsonl", "run.log", "market_rx_stats.log"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path, calm(9))
    (tmp_path / name).unlink()
    result = run(tmp_path, "--gate")
    assert result.exit_code == 2
    assert result.output == f"error: missing required file: {tmp_path / name}\n"
    assert not (tmp_path / "ws_soak_report.md").exists()


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    result = run(tmp_path / "nowhere", "--gate")
    assert (result.exit_code, result.output) == (2, f"error: no such directory: {tmp_path / 'nowhere'}\n")


def test_a_broken_file_is_named_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, calm(9))
    (tmp_path / "telemetry.jsonl").write_bytes(b"".join(lines(calm(2))) + b'{"t": "one"}\n')
    result = run(tmp_path)
    assert result.exit_code == 2
    assert result.output.startswith(f"error: broken file: {tmp_path / 'telemetry.jsonl'}: line 3: ")


def test_a_large_file_is_read_by_two_to_the_same_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, [tick(t, {name: venue(age) for name, age in (("hyperliquid", 5), ("aster", 7))}) for t in range(9)])
    alone = run(tmp_path, "--format", "json", "-o", "-").stdout
    monkeypatch.setattr(artefacts, "LARGE", 0)
    assert run(tmp_path, "--format", "json", "-o", "-").stdout == alone
    # Only the second reader looks at this venue.
    with (tmp_path / "telemetry.jsonl").open("ab") as file:
        file.write(lines([tick(9, {"hyperliquid": venue(), "aster": venue(7, silent_ms="old")})])[0])
    result = run(tmp_path)
    assert result.exit_code == 2
    assert result.output.startswith(f"error: broken file: {tmp_path / 'telemetry.jsonl'}: line 10: ")


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, [])
    result = run(tmp_path)
    assert (result.exit_code, "has no whole line of telemetry" in result.output) == (2, True)


def test_a_broken_manifest_is_named(tmp_path: Path) -> None:
    write(tmp_path, calm(3))
    (tmp_path / "manifest.json").write_text("{")
    assert f"error: broken file: {tmp_path / 'manifest.json'}" in run(tmp_path).output


def test_a_torn_last_line_is_tolerated_and_told(tmp_path: Path) -> None:
    write(tmp_path, calm(9))
    with (tmp_path / "telemetry.jsonl").open("ab") as file:
        file.write(lines(calm(1))[0][:50])
    result = run(tmp_path, "--gate")
    assert result.exit_code == 0, result.output
    assert "the last line (10) is cut off" in (tmp_path / "ws_soak_report.md").read_text()


def test_json_has_facts_and_gate(tmp_path: Path) -> None:
    result = run(write(tmp_path, calm(9)), "--gate", "--format", "json", "-o", "-")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert told["gate"]["passed"] is True
    assert told["facts"]["venues"][0]["age"]["p95"] == 20
    assert "PASS" in result.stderr


def test_a_limit_can_be_stricter_and_not_looser(tmp_path: Path) -> None:
    write(tmp_path, calm(9))
    assert run(tmp_path, "--gate", "--limit", "age_p95_ms=19").exit_code == 1
    looser = run(tmp_path, "--gate", "--limit", "age_p95_ms=99999")
    assert (looser.exit_code, "would loosen the gate" in looser.output) == (2, True)
    assert run(tmp_path, "--gate", "--limit", "age_p95_ms").exit_code == 2
    assert run(tmp_path, "--gate", "--limit", "age_p95_ms=x").exit_code == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_report_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, calm(9))
    tmp_path.chmod(0o500)
    try:
        result = run(tmp_path)
    finally:
        tmp_path.chmod(0o700)
    assert (result.exit_code, result.output.startswith("error: cannot write")) == (2, True)


@pytest.mark.slow
def test_the_tool_of_the_familiar_name_is_the_same_code(tmp_path: Path) -> None:
    write(tmp_path, calm(9))
    command = [sys.executable, str(ROOT / "tools/ws_soak_report.py"), "--out-dir", str(tmp_path), "--gate"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert (done.returncode, "PASS: all" in done.stdout) == (0, True)
    (tmp_path / "run.log").unlink()
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert (done.returncode, done.stderr) == (2, f"error: missing required file: {tmp_path / 'run.log'}\n")
