"""``paraphina capture``: what is there, where something was said, and all of it for other programs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from tests.cli.capture.recording import Story, write


@pytest.fixture(scope="module")
def story() -> Story:
    return Story().told().finished()


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["capture", *map(str, arguments)])


def test_info_tells_what_a_run_holds(tmp_path: Path, story: Story) -> None:
    paths = write(tmp_path, story, rotate=3_000)
    found = json.loads(run("info", tmp_path, "--json").stdout)
    assert found["venue"] == "hyperliquid"
    assert found["whole"] is True
    assert found["orderly"] is True
    assert found["segments"] == len(paths)
    assert found["bytes_on_disk"] == sum(path.stat().st_size for path in paths)
    assert found["conns"] == {"1/main": found["frames"]}
    assert found["kinds"]["lost"] == 1
    assert found["tears"] == []
    page = run("info", tmp_path).stdout
    assert "ended    in order" in page
    assert f"{found['frame_bytes']} bytes" in page


def test_info_names_the_tears_and_a_beginning_that_is_gone(tmp_path: Path, story: Story) -> None:
    paths = write(tmp_path, story, rotate=1_500)
    paths[0].unlink()
    paths[2].unlink()
    page = run("info", tmp_path).stdout
    assert "the beginning is gone" in page
    assert "segments 0 to 0 are gone" in page
    assert "segments 2 to 2 are gone" in page


def test_grep_finds_frames_in_both_directions(tmp_path: Path, story: Story) -> None:
    write(tmp_path, story)
    sent = [json.loads(line) for line in run("grep", "subscribe", tmp_path, "--direction", "out").stdout.splitlines()]
    assert sent
    assert all("subscribe" in row["data"] and row["conn"] == "1/main" for row in sent)
    received = run("grep", "l2Book", tmp_path, "--kind", "received", "--conn", "main", "--limit", "2").stdout
    assert [json.loads(line)["direction"] for line in received.splitlines()] == ["in", "in"]
    lost = json.loads(run("grep", "^ws_closed", tmp_path).stdout)
    assert (lost["kind"], lost["about"]) == ("lost", "ws_closed 1006")


def test_grep_shows_bytes_that_are_no_text_in_base64(tmp_path: Path, story: Story) -> None:
    write(tmp_path, story)
    assert json.loads(run("grep", "no JSON", tmp_path).stdout)["base64"] == "/yBubyBKU09O"


def test_grep_that_finds_nothing_is_exit_code_1_and_a_bad_pattern_2(tmp_path: Path, story: Story) -> None:
    write(tmp_path, story)
    assert run("grep", "no such word", tmp_path).exit_code == 1
    assert run("grep", "(", tmp_path).exit_code == 2


def test_export_writes_every_frame(tmp_path: Path, story: Story) -> None:
    write(tmp_path, story)
    out = tmp_path / "out.jsonl"
    result = run("export", tmp_path, "-o", out)
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    frames = json.loads(run("info", tmp_path, "--json").stdout)["frames"]
    assert sum(row["kind"] == "received" for row in rows) == frames
    assert [row["mono_ns"] for row in rows] == sorted(row["mono_ns"] for row in rows)


def test_parquet_without_its_library_says_what_is_missing(
    tmp_path: Path, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, story)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = run("export", tmp_path, "--format", "parquet", "-o", tmp_path / "out.parquet")
    assert result.exit_code == 2
    assert "needs pyarrow" in result.stderr
    assert not (tmp_path / "out.parquet").exists()


def test_parquet_holds_the_same_rows(tmp_path: Path, story: Story) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write(tmp_path, story)
    out = tmp_path / "out.parquet"
    assert run("export", tmp_path, "--format", "parquet", "-o", out).exit_code == 0
    table = parquet.read_table(out)
    assert table.num_rows == len(run("export", tmp_path).stdout.splitlines())
    assert {"subscribe" in (data or b"").decode(errors="replace") for data in table["data"].to_pylist()} == {
        True,
        False,
    }


def test_a_directory_without_captures_is_exit_code_2(tmp_path: Path) -> None:
    result = run("info", tmp_path)
    assert result.exit_code == 2
    assert "no capture" in result.stderr


def test_only_the_venue_asked_for(tmp_path: Path, story: Story) -> None:
    write(tmp_path, story)
    assert run("info", tmp_path, "--venue", "hyperliquid").exit_code == 0
    assert run("info", tmp_path, "--venue", "aster").exit_code == 2
