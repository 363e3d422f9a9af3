"""Captures reach the disk within their bound, a full or slow disk tears them and nothing else, a bug is not silent."""

from __future__ import annotations

import errno
import io
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bus.counters import Counter, Counters
from bus.log import configure
from bus.settings import Settings, parse
from connectors import capture, recorder
from connectors.capture import Header, Record, Torn
from connectors.effects import Now
from connectors.recorder import WAITING_BLOCKS, Recorder, Segments, Writer
from connectors.venue import load
from tests.conftest import Eventually
from tests.connectors.doubles import SETTINGS, SPEC, Rig

HEADER = Header("fake", SETTINGS, SPEC, 7, 1_790_000_000_123_456_789, 0, "1.0", "3.11")
FRAMES = [Random(number).randbytes(3_000) for number in range(40)]  # nothing that compresses


def block(number: int) -> list[Record]:
    return [capture.Received(number, number, "1/main", FRAMES[number % len(FRAMES)], True)]


def read(path: Path) -> list[Record]:
    with path.open("rb") as file:
        capture.read_header(file.read)
        return list(capture.read_records(file.read))


def segments(folder: Path, rotate: int = 1 << 20, keep: int = 1 << 30) -> Segments:
    return Segments(folder, HEADER, rotate, keep)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.cap"))


class Failures:
    """What the writer reports as a bug."""

    def __init__(self) -> None:
        self.all: list[BaseException] = []

    def __call__(self, error: BaseException) -> None:
        self.all.append(error)


def test_segments_rotate_and_each_carries_the_header(tmp_path: Path) -> None:
    kept = segments(tmp_path, rotate=8_000)
    for number in range(10):
        kept.append(capture.encode_block(block(number)))
    kept.close()
    found = files(tmp_path)
    assert len(found) > 2
    assert found[0].name == "fake-20260921T141320.123Z-00000.cap"
    assert all(path.stat().st_size <= 8_000 for path in found)
    for number, path in enumerate(found):
        with path.open("rb") as file:
            assert capture.read_header(file.read).segment == number
    assert [record for path in found for record in read(path)] == [block(number)[0] for number in range(10)]


def checkpoint(number: int) -> list[Record]:
    return [capture.Checkpoint(number, 0, b"state"), *block(number)]


def test_a_segment_that_is_nearly_full_ends_where_a_checkpoint_lets_the_next_begin(tmp_path: Path) -> None:
    kept = segments(tmp_path, rotate=10_000)
    for number in range(3):
        assert not kept.nearly
        kept.append(capture.encode_block(checkpoint(number)), begins=True)
    assert len(files(tmp_path)) == 1
    assert kept.nearly
    kept.append(capture.encode_block(checkpoint(3)), begins=True)
    kept.close()
    assert [len(read(path)) for path in files(tmp_path)] == [6, 2]


def test_a_checkpoint_is_wished_for_once_a_segment_and_after_a_loss(tmp_path: Path, eventually: Eventually) -> None:
    writer = Writer(segments(tmp_path, rotate=10_000), Failures())
    for number in range(3):
        assert writer.wish == 0
        writer.hand(block(number))
    eventually(lambda: writer.wish == 1)
    writer.hand(checkpoint(3))
    writer.hand(block(4))
    eventually(lambda: len(files(tmp_path)) == 2 and len(read(files(tmp_path)[1])) == 3)
    assert writer.wish == 1
    with disk_of(files(tmp_path)[1].stat().st_size + 100):
        writer.hand(block(5))
        eventually(lambda: writer.lost == 1)
    writer.hand(block(6))
    eventually(lambda: writer.wish == 2)
    writer.close()


def test_all_captures_of_a_venue_stay_within_their_bound_and_the_oldest_go(tmp_path: Path) -> None:
    other = tmp_path / "other-20200101T000000.000Z-00000.cap"
    other.write_bytes(bytes(50_000))
    old = tmp_path / "fake-20200101T000000.000Z-00000.cap"
    old.write_bytes(bytes(10_000))
    kept = segments(tmp_path, rotate=8_000, keep=30_000)
    for number in range(40):
        kept.append(capture.encode_block(block(number)))
        assert sum(path.stat().st_size for path in tmp_path.glob("fake-*.cap")) <= 30_000
    kept.close()
    assert not old.exists()
    assert other.exists()
    assert read(files(tmp_path)[-2])[-1] == block(39)[0]


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """A disk that takes files of this size and no more: the kernel writes what fits, then says no."""
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_whole_blocks_and_a_mark_where_it_was_full(tmp_path: Path, eventually: Eventually) -> None:
    failures = Failures()
    writer = Writer(segments(tmp_path), failures)
    writer.hand(block(0))
    eventually(lambda: files(tmp_path) and read(files(tmp_path)[0]) == block(0))
    size = files(tmp_path)[0].stat().st_size
    with disk_of(size + 1_000):
        writer.hand(block(1))
        writer.hand([*block(2), capture.Checked(1, 1)])
        eventually(lambda: writer.lost == 2)
        assert files(tmp_path)[0].stat().st_size == size
        assert writer.problem
    writer.hand(block(3))
    writer.close()
    (path,) = files(tmp_path)
    found = read(path)
    assert [found[0], found[2]] == [block(0)[0], block(3)[0]]
    assert isinstance(found[1], Torn)
    assert found[1].records == 2
    assert writer.problem == ""
    assert failures.all == []


def test_a_directory_that_cannot_be_made_costs_records_and_nothing_else(tmp_path: Path, eventually: Eventually) -> None:
    (tmp_path / "file").write_text("")
    failures = Failures()
    writer = Writer(segments(tmp_path / "file" / "capture"), failures)
    assert writer.hand(block(0))
    eventually(lambda: writer.lost == 1)
    assert writer.problem
    writer.close()
    assert failures.all == []


def test_a_header_that_does_not_fit_leaves_no_file(tmp_path: Path) -> None:
    kept = segments(tmp_path)
    with disk_of(100), pytest.raises(OSError, match="large"):
        kept.append(capture.encode_block(block(0)))
    assert files(tmp_path) == []
    kept.append(capture.encode_block(block(0)))
    kept.close()
    assert read(files(tmp_path)[0]) == block(0)


class _Stuck(Segments):
    """A disk that hangs until it is released."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, HEADER, 1 << 20, 1 << 30)
        self.release = threading.Event()

    def append(self, block: bytes, *, begins: bool = False) -> None:
        self.release.wait(60)
        super().append(block)


def test_a_disk_that_hangs_refuses_blocks_and_never_holds_the_caller(tmp_path: Path) -> None:
    stuck = _Stuck(tmp_path)
    writer = Writer(stuck, Failures())
    taken = [writer.hand(block(number)) for number in range(WAITING_BLOCKS + 10)]
    assert taken.count(True) in {WAITING_BLOCKS, WAITING_BLOCKS + 1}
    assert taken[-1] is False
    stuck.release.set()
    writer.close()
    assert len(read(files(tmp_path)[0])) == taken.count(True)


def test_a_text_that_has_no_bytes_costs_itself_alone(tmp_path: Path) -> None:
    writer = Writer(segments(tmp_path), Failures())
    writer.hand([*block(0), capture.Sent("1/main", "\ud800", None), *block(1)])
    writer.close()
    found = read(files(tmp_path)[0])
    assert [found[0], found[2]] == [block(0)[0], block(1)[0]]
    assert isinstance(found[1], Torn)
    assert writer.lost == 1


def test_a_bug_in_the_thread_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually) -> None:
    def broken(_: object) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(recorder, "encode_block", broken)
    failures = Failures()
    writer = Writer(segments(tmp_path), failures)
    writer.hand(block(0))
    eventually(lambda: failures.all)
    assert isinstance(failures.all[0], ZeroDivisionError)


class _Lines:
    """Takes log lines."""

    untold = 0

    def __init__(self) -> None:
        self.lines: list[str] = []

    def msg(self, line: str) -> None:
        self.lines.append(line)

    debug = info = warning = error = critical = exception = msg


def start(folder: Path, lines: _Lines, counters: Counters, failed: Callable[[BaseException], None]) -> Recorder:
    tree: dict[str, Any] = {"record": {"enabled": True, "dir": str(folder), "flush_ms": 10}}
    settings: Settings = parse(tree, {}, base=str(folder.parent))
    spec, _ = load("aster")
    log = configure("test", "aster", writer=lines)  # type: ignore[arg-type]
    return Recorder(settings, spec, seed=1, epoch=HEADER.epoch, counters=counters, log=log, failed=failed)


def test_a_recorder_writes_a_run_and_says_goodbye(tmp_path: Path) -> None:
    lines, failures = _Lines(), Failures()
    recording = start(tmp_path / "capture", lines, Counters(), failures)
    rig = Rig()
    rig.engine.ports = recording.ports(rig.ports)
    engine = recording.engine(rig.engine)
    engine.start(Now(1, 2))
    recording.close(orderly=True)
    (path,) = files(tmp_path / "capture")
    assert [type(record).__name__ for record in read(path)] == ["Started", "Tried", "Checked", "Stopped"]
    assert (tmp_path / "capture").stat().st_mode & 0o777 == 0o700
    assert any("event=recording" in line for line in lines.lines)


def test_losses_are_counted_and_logged_once_and_so_is_their_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    full = True
    real = Segments.append

    def append(self: Segments, data: bytes, *, begins: bool = False) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, data, begins=begins)

    monkeypatch.setattr(Segments, "append", append)
    lines, counters, failures = _Lines(), Counters(), Failures()
    recording = start(tmp_path / "capture", lines, counters, failures)
    rig = Rig()
    engine = recording.engine(rig.engine)
    engine.start(Now(0, 0))
    clock = 0

    def lost() -> bool:
        nonlocal clock
        clock += 20_000_000
        engine.woken(Now(clock, clock))
        return counters.snapshot().get(Counter.RECORDS_LOST.label, 0) >= 5

    eventually(lost)
    assert sum("No space left" in line for line in lines.lines) == 1
    full = False

    def over() -> bool:
        nonlocal clock
        clock += 20_000_000
        engine.woken(Now(clock, clock))
        return any("none any more" in line for line in lines.lines)

    eventually(over)
    recording.close(orderly=False)
    (path,) = files(tmp_path / "capture")
    assert isinstance(read(path)[0], Torn)
    assert failures.all == []


def test_reading_while_it_is_written_sees_whole_blocks(tmp_path: Path) -> None:
    data = io.BytesIO(capture.encode_header(HEADER) + capture.encode_block(block(0)) + b"\x10\x00")
    capture.read_header(data.read)
    assert list(capture.read_records(data.read)) == [*block(0), Torn(None, "cut off within a block")]
