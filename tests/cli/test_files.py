"""Whole files in one step."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.files import write_whole


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    target = tmp_path / "report.md"
    write_whole(target, "one")
    write_whole(target, b"two")
    assert target.read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]
    assert target.stat().st_mode & 0o777 == 0o644


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.md"
    write_whole(target, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(target, "new")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]


def test_the_temporary_file_is_beside_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    replace = Path.replace

    def noting(self: Path, target: Path) -> Path:
        seen.append((self.parent, target.parent))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", noting)
    monkeypatch.setenv("TMPDIR", "/dev/shm")
    write_whole(tmp_path / "x", "y")
    assert seen == [(tmp_path, tmp_path)]
