"""Each check of directories fails for its own reason, and leaves nothing behind."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from cli import doctor_disk as disk
from cli.checks import Check


def statvfs(*, free: int = 10**12, files: int = 10**6, available: int = 10**6) -> os.statvfs_result:
    return os.statvfs_result(
        (4096, 4096, free // 4096, free // 4096, free // 4096, files, available, available, 0, 255)
    )


def leaves_nothing(folder: Path) -> bool:
    return list(folder.iterdir()) == []


def test_a_directory_that_can_be_written_is_ok_also_before_it_is_made(tmp_path: Path) -> None:
    assert disk.writable("x", tmp_path).outcome == "ok"
    found = disk.writable("x", tmp_path / "a" / "b")
    assert (found.outcome, "itself will be made" in found.found) == ("ok", True)
    assert leaves_nothing(tmp_path)


def test_a_file_in_the_way_fails(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    for path in (tmp_path / "f", tmp_path / "f" / "out"):
        found = disk.writable("x", path)
        assert (found.outcome, "is a file, not a directory" in found.found) == ("fail", True)


def test_a_directory_that_cannot_be_written_fails() -> None:
    found = disk.writable("x", Path("/proc/self"))
    assert found.outcome == "fail"
    assert found.found.startswith("cannot write in /proc/self: ")


def test_too_little_space_fails_with_both_figures(tmp_path: Path) -> None:
    room, inodes = disk.space("output", tmp_path, 10, lambda _: statvfs(free=50_000_000))
    assert (room.outcome, inodes.outcome) == ("fail", "ok")
    assert room.found == "50 MB free, 140 MB needed for 10 minutes"
    assert disk.space("output", tmp_path, 10, lambda _: statvfs(free=200_000_000))[0].outcome == "ok"


def test_too_few_inodes_fail_where_their_number_is_fixed(tmp_path: Path) -> None:
    assert disk.space("output", tmp_path, 1, lambda _: statvfs(available=10))[1].outcome == "fail"
    assert disk.space("output", tmp_path, 1, lambda _: statvfs(files=0, available=0))[1].outcome == "ok"


def test_a_rename_across_devices_is_caught_and_explained(tmp_path: Path) -> None:
    def cross(one: Path, other: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    found = disk.rename("rename", tmp_path, cross)
    assert found.outcome == "fail"
    assert "EXDEV (cross-device link)" in found.found
    assert leaves_nothing(tmp_path)
    assert disk.rename("rename", tmp_path).outcome == "ok"
    assert leaves_nothing(tmp_path)


def test_a_rename_that_fails_otherwise_says_how() -> None:
    assert "rename within /proc/self fails" in disk.rename("rename", Path("/proc/self")).found


def test_hard_links_that_fail_are_fatal_only_where_they_are_needed(tmp_path: Path) -> None:
    def refuse(one: Path, other: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    found = disk.hard_link("hard link", tmp_path, refuse)
    assert (found.outcome, "Operation not permitted" in found.found) == ("warn", True)
    assert disk.hard_link("hard link", tmp_path, refuse, needed=True).outcome == "fail"
    assert disk.hard_link("hard link", tmp_path).outcome == "ok"
    assert leaves_nothing(tmp_path)


def temporary(path: Path, named: str | None, temp: int, target: int) -> Check:
    return disk.temporary(path, named, lambda one: temp if one == Path(tempfile.gettempdir()) else target)


def test_a_tmpdir_of_another_file_system_fails_when_it_was_set_on_purpose(tmp_path: Path) -> None:
    found = temporary(tmp_path, str(tmp_path), 1, 2)
    assert found.outcome == "fail"
    assert "EXDEV" in found.found
    assert found.data == {"tmpdir": str(tmp_path), "temp_device": 1, "target_device": 2}
    assert temporary(tmp_path, None, 1, 2).outcome == "ok"
    assert temporary(tmp_path, str(tmp_path), 2, 2).outcome == "ok"


def test_a_tmpdir_that_is_not_there_fails(tmp_path: Path) -> None:
    found = disk.temporary(tmp_path, str(tmp_path / "no"))
    assert (found.outcome, "is no directory" in found.found) == ("fail", True)


def test_another_run_in_the_directory_fails(tmp_path: Path) -> None:
    assert disk.empty(tmp_path).outcome == "ok"
    (tmp_path / "run.log").write_text("")
    found = disk.empty(tmp_path)
    assert (found.outcome, "(run.log)" in found.found) == ("fail", True)


@pytest.mark.parametrize(("length", "outcome"), [(107, "ok"), (108, "fail")])
def test_a_socket_path_may_have_107_bytes(length: int, outcome: str) -> None:
    folder = Path("/" + "d" * (length - 2 - len("supervisor.sock.4194304")))
    found = disk.socket_paths("socket paths", folder)
    assert (found.outcome, found.data["bytes"]) == (outcome, length)
