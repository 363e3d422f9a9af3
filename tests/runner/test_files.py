"""Lines reach their file whatever happens to it, or are counted as not written."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.files import LineFile


def test_lines_are_appended_each_with_its_end(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "new" / "out.jsonl")
    assert file.write(b"one")
    assert file.write(b"two")
    assert file.path.read_bytes() == b"one\ntwo\n"
    file.close()


def test_what_was_there_stays_unless_it_is_to_be_truncated(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"before\n")
    for truncate, expected in ((False, b"before\nmine\n"), (True, b"mine\n")):
        file = LineFile(path, truncate=truncate)
        file.write(b"mine")
        file.close()
        assert path.read_bytes() == expected


def test_truncating_happens_once_and_not_again_after_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "out"
    file = LineFile(path, truncate=True)
    file.write(b"one")
    path.rename(tmp_path / "out.1")
    path.write_bytes(b"kept\n")
    file.write(b"two")
    file.close()
    assert path.read_bytes() == b"kept\ntwo\n"


def test_a_rotated_file_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "out"
    file = LineFile(path)
    file.write(b"one")
    path.rename(tmp_path / "out.1")
    file.write(b"two")
    path.unlink()
    file.write(b"three")
    file.close()
    assert (tmp_path / "out.1").read_bytes() == b"one\n"
    assert path.read_bytes() == b"three\n"


def test_a_file_emptied_in_place_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "out"
    file = LineFile(path)
    file.write(b"one")
    os.truncate(path, 0)
    file.write(b"two")
    file.close()
    assert path.read_bytes() == b"two\n"


def test_a_torn_line_of_a_killed_run_is_ended_first(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b'one\n{"torn')
    file = LineFile(path)
    file.write(b"two")
    file.write(b"three")
    file.close()
    assert path.read_bytes() == b'one\n{"torn\ntwo\nthree\n'


def test_a_full_disk_is_counted_named_and_over_when_it_is_over(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.symlink_to("/dev/full")
    file = LineFile(path)
    assert not file.write(b"one")
    assert not file.write(b"two")
    assert (file.failures, file.error) == (2, "No space left on device")
    path.unlink()
    assert file.write(b"three")
    assert (file.failures, file.error) == (2, None)
    file.close()
    assert path.read_bytes() == b"three\n"


def test_a_directory_that_cannot_be_made_is_a_failure_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    file = LineFile(tmp_path / "file" / "out")
    assert not file.write(b"one")
    assert file.error == "Not a directory"
    file.close()


def test_a_pipe_that_nobody_reads_does_not_hold_us(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out")
    file = LineFile(tmp_path / "out")
    assert not file.write(b"one")
    assert file.error == "No such device or address"


LIMITED = """
import sys
from pathlib import Path
from runner.files import LineFile

file = LineFile(Path(sys.argv[1]))
print([file.write(b"x" * 60) for _ in range(3)], file.failures, file.error)
"""


def test_a_line_that_fits_only_in_part_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "out"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=True, preexec_fn=limit
    )
    assert done.stdout == "[True, False, False] 2 only 39 of 61 bytes fitted\n"
    assert path.read_bytes() == b"x" * 60 + b"\n"


def test_a_new_file_that_cannot_be_made_leaves_the_old_one_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    file = LineFile(path)
    file.write(b"one")
    path.rename(tmp_path / "out.1")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        assert file.write(b"two")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (tmp_path / "out.1").read_bytes() == b"one\ntwo\n"
    file.write(b"three")
    file.close()
    assert path.read_bytes() == b"three\n"


def test_the_limit_signal_of_the_system_does_not_end_a_python_process() -> None:
    assert signal.getsignal(signal.SIGXFSZ) is signal.SIG_IGN
