"""``paraphina chaos``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from cli.chaos import length, table
from cli.evidence.facts import FaultFacts

SCENARIO = """
[[fault]]
fault = "stall"
venue = "aster"
at_s = 30
for_s = 20

[[fault]]
fault = "reset"
at_s = 55
for_s = 0
"""


def fact(detected: float | None, recovered: float | None) -> FaultFacts:
    return FaultFacts("stall", "aster", None, "", 1_000, 2_000, 3, detected, "reconnect x", recovered)


def test_a_run_is_as_long_as_its_faults_and_their_recovery_need(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(SCENARIO)
    assert length(str(path)) == pytest.approx((55 + 40) / 60)
    path.write_text('[[fault]]\nfault = "stall"\nat_s = 5\n')
    assert length(str(path)) == pytest.approx((5 + 60 + 40) / 60)
    assert length("storm") == 10


@pytest.mark.parametrize("text", ["[", "fault = 1", "fault = [1]", "[[fault]]\nat_s = []"])
def test_a_scenario_that_cannot_be_read_is_left_to_the_doctor(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s.toml"
    path.write_text(text)
    assert length(str(path)) == 1.0
    assert length(str(tmp_path / "none.toml")) == 1.0


@pytest.mark.parametrize(
    ("detected", "recovered", "words"),
    [(1_500, 2_500, "1.5 s"), (1_500, None, "NOT RECOVERED"), (None, None, "without effect")],
)
def test_each_fault_is_told_with_its_end(detected: float | None, recovered: float | None, words: str) -> None:
    console = Console(width=200, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123 - closed below
    console.print(table([fact(detected, recovered)]))
    console.file.close()
    assert words in console.export_text()


@pytest.mark.slow
def test_scripted_faults_are_detected_and_recovered_from(run_dir: Path) -> None:
    scenario = run_dir / "s.toml"
    scenario.write_text('[[fault]]\nfault = "gap"\nvenue = "aster"\nat_s = 8\nfor_s = 5\nparams = { count = 2 }\n')
    (run_dir / "t").mkdir()
    words = ["chaos", str(scenario), "--out-dir", str(run_dir / "out"), "--minutes", "0.35", "--connectors", "aster"]
    done = subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=run_dir,
        env={**os.environ, "TMPDIR": str(run_dir / "t")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "well again after" in done.stdout
    assert "gap" in done.stdout
