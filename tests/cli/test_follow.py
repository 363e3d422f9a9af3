"""Files that grow, are rotated, emptied or not yet there."""

from __future__ import annotations

from pathlib import Path

from cli.follow import Follow, Logs


def test_lines_come_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    follow = Follow(path)
    assert list(follow.lines()) == []
    path.write_bytes(b"one\ntw")
    assert list(follow.lines()) == [b"one"]
    with path.open("ab") as file:
        file.write(b"o\nthree\n")
    assert list(follow.lines()) == [b"two", b"three"]
    assert list(follow.lines()) == []
    follow.close()


def test_a_rotated_file_is_read_to_its_end_and_then_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"one\n")
    follow = Follow(path)
    assert list(follow.lines()) == [b"one"]
    with path.open("ab") as file:
        file.write(b"two\n")
    path.rename(tmp_path / "a.log.1")
    path.write_bytes(b"three\n")
    assert list(follow.lines()) == [b"two", b"three"]
    follow.close()


def test_a_file_emptied_in_place_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"a long first line\n")
    follow = Follow(path)
    assert list(follow.lines()) == [b"a long first line"]
    path.write_bytes(b"new\n")
    assert list(follow.lines()) == [b"new"]
    follow.close()


def test_from_the_end_only_what_comes_later_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"old\n")
    follow = Follow(path, from_end=True)
    with path.open("ab") as file:
        file.write(b"new\n")
    assert list(follow.lines()) == [b"new"]
    follow.close()


def test_a_last_line_without_end_is_given_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"one\ntorn")
    follow = Follow(path)
    assert list(follow.lines()) == [b"one"]
    assert list(follow.rest()) == [b"torn"]
    assert list(follow.rest()) == []
    follow.close()


def test_logs_of_all_programs_are_read_also_of_those_that_come_later(tmp_path: Path) -> None:
    (tmp_path / "aster.log").write_bytes(b"old\n")
    (tmp_path / "sentinel-stdout---paraphina-x.log").write_bytes(b"READY\n")
    (tmp_path / "market_rx_stats.log").write_bytes(b"market_rx_stats tick=1\n")
    logs = Logs(tmp_path, from_end=True)
    (tmp_path / "runner.log").write_bytes(b"hello\n")
    with (tmp_path / "aster.log").open("ab") as file:
        file.write(b"new\ntorn")
    assert list(logs.lines()) == [("aster", b"new"), ("runner", b"hello")]
    (tmp_path / "market_rx_stats.log").write_bytes(b"market_rx_stats tick=1\nmarket_rx_stats tick=2\n")
    assert list(logs.lines(last=True)) == [("aster", b"torn")]
    logs.close()
