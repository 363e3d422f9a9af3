"""``paraphina compare``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from cli.compare import compare
from tests.cli.evidence.runs import detail, tick, venue, write

MANIFEST: dict[str, Any] = {"mode": "sim", "connectors": ["aster"], "settings": {}, "status": "complete"}


def rated(per_s: int, seconds: int = 120) -> list[dict[str, Any]]:
    """A run of one venue with so many events a second, give or take a little."""
    return [
        tick(
            t,
            {"aster": venue(20)},
            venue_detail={"aster": detail(events=per_s * t // 4 + (t // 4) % 3)} if t % 4 == 0 else None,
        )
        for t in range(seconds * 4)
    ]


def run(*words: object) -> Result:
    return CliRunner().invoke(compare, [str(word) for word in words])


def test_runs_of_the_same_kind_are_no_difference(tmp_path: Path) -> None:
    one, other = (write(tmp_path / name, rated(100), manifest=MANIFEST) for name in ("one", "other"))
    result = run(one, other)
    assert result.exit_code == 0, result.output
    assert "**No difference" in result.output


def test_a_slower_feed_is_worse_and_the_exit_code_says_so(tmp_path: Path) -> None:
    one = write(tmp_path / "one", rated(100), manifest=MANIFEST)
    other = write(tmp_path / "other", rated(80), manifest=MANIFEST)
    result = run(one, other)
    assert result.exit_code == 1
    assert "aster events worse (-20" in result.output
    assert run(other, one).exit_code == 0
    told = json.loads(run(one, other, "--format", "json").stdout)
    assert told["worse"] is True
    assert [d["metric"] for d in told["differences"] if d["verdict"] == "worse"] == ["events"]
    page = tmp_path / "page.html"
    assert "aster events worse" in run(one, other, "--format", "html", "-o", page).output
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_runs_that_are_not_alike_are_refused_unless_told_to(tmp_path: Path) -> None:
    one = write(tmp_path / "one", rated(100), manifest=MANIFEST)
    other = write(tmp_path / "other", rated(100), manifest={**MANIFEST, "mode": "live"})
    result = run(one, other)
    assert result.exit_code == 2
    assert "error: the runs are not alike: mode differs: sim and live" in result.output
    assert "--anyway" in result.output
    assert run(one, other, "--anyway").exit_code == 0


def test_a_missing_run_is_named(tmp_path: Path) -> None:
    one = write(tmp_path / "one", rated(100), manifest=MANIFEST)
    result = run(one, tmp_path / "nowhere")
    assert (result.exit_code, result.output) == (2, f"error: no such directory: {tmp_path / 'nowhere'}\n")
    (one / "telemetry.jsonl").unlink()
    assert run(one, one).output == f"error: missing required file: {one / 'telemetry.jsonl'}\n"


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    one = write(tmp_path / "one", rated(100), manifest=MANIFEST)
    result = run(one, one, "-o", tmp_path / "no" / "page.md")
    assert (result.exit_code, result.output.startswith("error: cannot write")) == (2, True)
