"""``paraphina replay``: the same every time, in any process; exit codes; paces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from cli.main import main
from connectors import capture
from tests.cli.capture.recording import EPOCH, Story, write


@pytest.fixture(scope="module")
def story() -> Story:
    return Story().told().finished()


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, arguments)])


def test_a_capture_over_many_files_is_replayed_as_recorded(tmp_path: Path, story: Story) -> None:
    paths = write(tmp_path, story, rotate=1_500)
    assert len(paths) > 2
    result = run(tmp_path)
    assert result.exit_code == 0, result.output
    assert "as recorded  yes" in result.stdout
    assert "as recorded  yes" in run(paths[1]).stdout


def test_events_as_json_lines_are_the_recorded_ones(tmp_path: Path, story: Story) -> None:
    write(tmp_path, story)
    result = run(tmp_path, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["market"], line["kind"]) for line in lines] == [
        (market, event.kind) for market, event in story.events
    ]
    assert lines[0]["event"] == msgspec.to_builtins(msgspec.structs.asdict(story.events[0][1]))
    assert "as recorded  yes" in result.stderr


def test_other_processes_with_other_hash_seeds_come_to_the_same_events(tmp_path: Path, story: Story) -> None:
    write(tmp_path, story)
    found = set()
    for seed in ("1", "2", "3"):
        command = [sys.executable, "-c", "from cli.main import main; main()", "replay", str(tmp_path)]
        done = subprocess.run(
            command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        found.add(next(line for line in done.stdout.splitlines() if "digest" in line))
    assert len(found) == 1


def test_a_difference_is_told_and_is_exit_code_1(tmp_path: Path, story: Story) -> None:
    odd = Story().told().finished()
    odd.header = msgspec.structs.replace(odd.header, seed=1)
    write(tmp_path, odd)
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "as recorded  NO" in result.stdout


def test_a_run_that_was_killed_is_replayed_to_its_last_whole_block(tmp_path: Path, story: Story) -> None:
    (path,) = write(tmp_path, story)
    path.write_bytes(path.read_bytes()[:-10])
    result = run(tmp_path)
    assert result.exit_code == 0
    assert "ended early  records missing: cut off within a block" in result.stdout


def test_a_run_without_its_beginning_is_refused(tmp_path: Path, story: Story) -> None:
    write(tmp_path, story, rotate=1_500)[0].unlink()
    result = run(tmp_path)
    assert result.exit_code == 2
    assert "the beginning of its run is gone" in result.stderr
    assert "error: no run with its beginning or a checkpoint here" in result.stderr


def test_a_run_whose_first_files_were_rotated_away_is_replayed_from_a_checkpoint(tmp_path: Path) -> None:
    story = Story(checkpoints=True).told().finished()
    paths = write(tmp_path, story, rotate=25_000)
    assert len(paths) > 3
    for path in paths[:2]:
        path.unlink()
    result = run(tmp_path)
    assert result.exit_code == 0, result.output
    assert "passed over  records missing: segments 0 to 1 are gone; went on from a checkpoint" in result.stdout
    assert "as recorded  yes" in result.stdout


def test_runs_are_replayed_side_by_side_in_processes_to_the_same_digests(tmp_path: Path, story: Story) -> None:
    write(tmp_path, story)
    write(tmp_path, Story(checkpoints=True).told().finished(), epoch=EPOCH + 1_000_000)
    side_by_side, in_turn = run(tmp_path, "--jobs", "2"), run(tmp_path, "--jobs", "1")
    assert (side_by_side.exit_code, in_turn.exit_code) == (0, 0)
    digests = [[line for line in one.stdout.splitlines() if "digest" in line] for one in (side_by_side, in_turn)]
    assert digests[0] == digests[1]
    assert len(digests[0]) == 2
    assert "all: 10." in side_by_side.stdout


def test_what_is_no_capture_is_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "x.cap").write_bytes(b"no capture at all")
    result = run(tmp_path / "x.cap")
    assert result.exit_code == 2
    assert "x.cap: not a capture" in result.stderr


def test_runs_at_a_pace_go_side_by_side_and_take_their_time(tmp_path: Path, story: Story) -> None:
    write(tmp_path, story)
    write(tmp_path, story, epoch=EPOCH + 1_000_000)
    result = run(tmp_path, "--speed", "20")
    assert result.exit_code == 0
    assert result.stdout.count("as recorded  yes") == 2
    seconds = float(result.stdout.split(" s in ")[1].split(" s")[0])
    # 10 s of story at 20 times real time; the upper end is the machine's business.
    assert seconds >= 0.4


@pytest.mark.parametrize("speed", ["0", "-1", "fast"])
def test_a_speed_that_is_none_is_refused(tmp_path: Path, speed: str) -> None:
    result = run(tmp_path, "--speed", speed)
    assert result.exit_code == 2
    assert "neither max nor a number" in result.output


def test_a_broken_record_is_a_tear(tmp_path: Path, story: Story) -> None:
    (path,) = write(tmp_path, story)
    with path.open("ab") as file:
        file.write(capture.encode_block([capture.Torn(5, "No space left on device")]))
    assert "5 records missing: No space left on device" in run(path).stdout
