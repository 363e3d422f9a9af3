"""Writes captures: one thread that packs blocks and appends them to segment files, rotated and bounded.

The reading loop only ever puts a block into a queue. When the disk is slower than the venue, or full, blocks are lost,
counted, and the place is marked in the capture; the connector goes on.
"""

from __future__ import annotations

import io
import platform
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

import msgspec

from bus.counters import Counter, Counters
from bus.settings import Settings
from bus.sockets import private_dir
from connectors.capture import (
    NOTES,
    Checkpoint,
    Header,
    Record,
    Stopped,
    Torn,
    doomed,
    encode_block,
    encode_header,
    segment_name,
)
from connectors.engine import Engine
from connectors.ports import Ports
from connectors.recorded import SLOW, RecordedEngine, RecordedPorts, Tap
from connectors.venue import VenueSpec

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

WAITING_BLOCKS: Final = 128
"""Blocks in the queue beyond which more are refused: about 32 MB of frames, or a minute of a quiet venue."""
MB: Final = 1_048_576
NEARLY: Final = 0.9
"""Of a segment's room; the rest is for what comes until the engine has written its checkpoint."""
PATIENCE_S: Final = 3.0
"""How long the end of the process may be held up by what is still to be written."""
_UNWRITABLE: Final = (UnicodeEncodeError, TypeError, OverflowError, ValueError)


class Segments:
    """The files of one run; used by the writer's thread alone. Each method raises OSError with nothing half-written."""

    def __init__(self, folder: Path, header: Header, rotate_bytes: int, keep_bytes: int) -> None:
        self._folder = folder
        self._header = header
        self._rotate = min(rotate_bytes, keep_bytes // 2)
        self._keep = keep_bytes
        stamp = datetime.fromtimestamp(header.epoch // 1_000_000 / 1e3, UTC)
        self._stamp = stamp.strftime("%Y%m%dT%H%M%S.") + f"{stamp.microsecond // 1000:03d}Z"
        self._next = 0
        self._file: io.FileIO | None = None
        self._size = 0

    def append(self, block: bytes, *, begins: bool = False) -> None:
        """Add a block, to a new segment if the present one is full, or ``nearly`` so and a replay can begin here."""
        if self._file is None or self._size + len(block) > self._rotate or (begins and self.nearly):
            self._begin()
        self._write(block)

    @property
    def nearly(self) -> bool:
        """Whether the present segment is so full that the next may begin as soon as there is a checkpoint for it."""
        return self._size > self._rotate * NEARLY

    def close(self) -> None:
        """Let go of the present segment."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        self.close()
        private_dir(self._folder)
        name = segment_name(self._header.venue, self._stamp, self._next)
        self._make_room(name)
        path = self._folder / name
        self._file = io.FileIO(path, "x")
        self._size = 0
        header = msgspec.structs.replace(self._header, segment=self._next)
        try:
            self._write(encode_header(header))
        except OSError:
            self.close()
            with suppress(OSError):
                path.unlink()
            raise
        self._next += 1

    def _make_room(self, present: str) -> None:
        """Remove the venue's oldest segments, so that with one more full segment the bound still holds."""
        sizes = {path.name: path.stat().st_size for path in self._folder.glob(f"{self._header.venue}-*.cap")}
        for name in doomed(sizes, self._keep - self._rotate, present):
            (self._folder / name).unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        if self._file is None:
            raise OSError("no segment is open")
        try:
            # Unbuffered, so less may be taken than was given.
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._file.truncate(self._size)
            self._file.seek(self._size)
            raise
        self._size += len(data)


class Writer:
    """The thread. ``hand`` is the main thread's; everything else happens behind it."""

    def __init__(self, segments: Segments, failed: Callable[[BaseException], None]) -> None:
        """``failed`` is told of a bug in the thread, which must end the process."""
        self.lost = 0
        """Records that could not be written so far."""
        self.problem = ""
        """Why the last block could not be written; empty when it was."""
        self.wish = 0
        """Grows when a checkpoint is wanted: a segment is about to end, or records were lost."""
        self._wished = False
        self._segments = segments
        self._failed = failed
        self._queue: SimpleQueue[list[Record] | None] = SimpleQueue()
        self._missing = 0
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def hand(self, block: list[Record]) -> bool:
        """Have a block written; False when too many wait already. Never waits."""
        if self._queue.qsize() >= WAITING_BLOCKS:
            return False
        self._queue.put(block)
        return True

    def close(self) -> None:
        """Have what waits written, within ``PATIENCE_S``."""
        self._queue.put(None)
        self._thread.join(PATIENCE_S)

    def _run(self) -> None:
        try:
            while (block := self._queue.get()) is not None:
                self._store(block)
            self._segments.close()
        except BaseException as error:  # noqa: BLE001 - a thread must not die unnoticed; the main thread raises it
            self._failed(error)

    def _store(self, block: list[Record]) -> None:
        if self._missing:
            block = [Torn(self._missing, self.problem), *block]
        begins = any(isinstance(record, Checkpoint) for record in block[:3])
        try:
            self._segments.append(self._packed(block), begins=begins)
            self._want(lost=self._missing > 0)
            self._missing = 0
            self.problem = ""
        except OSError as error:
            self.problem = error.strerror or str(error)
            count = sum(not isinstance(record, NOTES) for record in block)
            self._missing += count
            self.lost += count

    def _want(self, *, lost: bool) -> None:
        """Ask for a checkpoint after a loss, and once when the segment nears its end."""
        if lost or (self._segments.nearly and not self._wished):
            self.wish += 1
        self._wished = self._segments.nearly

    def _packed(self, block: list[Record]) -> bytes:
        try:
            return encode_block(block)
        except _UNWRITABLE as error:
            # One text that has no UTF-8 form (a broken name in an error of the system) must cost itself alone.
            return encode_block([self._kept(record, str(error)) for record in block])

    def _kept(self, record: Record, problem: str) -> Record:
        try:
            encode_block([record])
        except _UNWRITABLE:
            self.lost += 1
            return Torn(1, problem)
        return record


class Recorder:
    """A run's recording: give the engine ``ports``, put ``engine`` in its place, ``close`` at the end."""

    def __init__(
        self,
        settings: Settings,
        spec: VenueSpec,
        *,
        seed: int,
        epoch: int,
        counters: Counters,
        log: FilteringBoundLogger,
        failed: Callable[[BaseException], None],
    ) -> None:
        venue = settings.venues[spec.venue]
        program = version("paraphina-connectivity")
        header = Header(spec.venue, venue, spec, seed, epoch, 0, program, platform.python_version())
        rules = settings.record
        segments = Segments(settings.record_dir, header, rules.rotate_mb * MB, rules.keep_mb * MB)
        self._writer = Writer(segments, failed)
        self._counters = counters
        self._log = log
        self._told = 0
        self._problem = ""
        self._tap = Tap(self._hand, rules.flush_ms * 1_000_000, counters, lambda: self._writer.wish)
        log.info("recording", dir=str(settings.record_dir))

    def ports(self, ports: Ports) -> RecordedPorts:
        """What the engine is to be given."""
        return RecordedPorts(ports, self._tap)

    def engine(self, engine: Engine) -> RecordedEngine:
        """What is to be called in the engine's place."""
        return RecordedEngine(engine, self._tap)

    def close(self, *, orderly: bool) -> None:
        """Write what is left. ``orderly``: the process was asked to end."""
        self._tap.flush(*([Stopped()] if orderly else []))
        self._writer.close()

    def _hand(self, block: list[Record]) -> bool:
        lost = self._writer.lost
        self._counters.add(Counter.RECORDS_LOST, lost - self._told)
        self._told = lost
        taken = self._writer.hand(block)
        problem = self._writer.problem or ("" if taken else SLOW)
        if problem != self._problem:
            self._problem = problem
            self._log.warning("recording", problem=problem or "none any more", lost=lost)
        return taken
