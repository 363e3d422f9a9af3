"""Files that others append to, rotate or remove, read line by line as they grow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from cli.artefacts import RX_STATS

CHUNK: Final = 1 << 20
LONGEST: Final = 1 << 20
"""A line without an end is given up as one when it has grown so long."""


class Follow:
    """One growing file."""

    def __init__(self, path: Path, *, from_end: bool = False) -> None:
        """``from_end``: what is in it already is not read."""
        self.path = path
        self._file: BinaryIO | None = None
        self._held = b""
        if from_end and self._open() and self._file is not None:
            self._file.seek(0, os.SEEK_END)

    def lines(self) -> Iterator[bytes]:
        """Whole lines that have come since the last time, without their ends."""
        while True:
            yield from self._present()
            if not self._rotated():
                return

    def rest(self) -> Iterator[bytes]:
        """The same, and then a last line that has no end."""
        yield from self.lines()
        if self._held:
            yield self._held
            self._held = b""

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _present(self) -> Iterator[bytes]:
        if self._file is None and not self._open():
            return
        assert self._file is not None  # noqa: S101 - just opened
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            # Emptied in place.
            self._file.seek(0)
            self._held = b""
        while data := self._file.read(CHUNK):
            *whole, self._held = (self._held + data).split(b"\n")
            yield from whole
            if len(self._held) > LONGEST:
                yield self._held
                self._held = b""

    def _open(self) -> bool:
        with suppress(FileNotFoundError):
            self._file = self.path.open("rb", buffering=0)
            return True
        return False

    def _rotated(self) -> bool:
        """Whether the path names another file by now; the old one has been read to its end."""
        if self._file is None:
            return False
        with suppress(FileNotFoundError):
            found, ours = self.path.stat(), os.fstat(self._file.fileno())
            if (found.st_dev, found.st_ino) != (ours.st_dev, ours.st_ino):
                self.close()
                return True
        return False


class Logs:
    """Every process's log in a run directory, also of those that begin later."""

    def __init__(self, folder: Path, *, from_end: bool = False) -> None:
        self._folder = folder
        self._from_end = from_end
        self._files: dict[str, Follow] = {}
        self._look()
        self._from_end = False

    def lines(self, *, last: bool = False) -> Iterator[tuple[str, bytes]]:
        """Program name and line of what has come. ``last``: also lines without an end."""
        self._look()
        for name, file in self._files.items():
            yield from ((name, line) for line in (file.rest() if last else file.lines()) if line)

    def close(self) -> None:
        """Close all."""
        for file in self._files.values():
            file.close()

    def _look(self) -> None:
        for path in sorted(self._folder.glob("*.log")):
            # supervisord keeps an event listener's standard output, which is its protocol, under a name of its own; the
            # runner's statistics are no process's words, and stand beside them where its output directory is this one.
            if path.stem in self._files or "-stdout---" in path.stem or path.name == RX_STATS:
                continue
            self._files[path.stem] = Follow(path, from_end=self._from_end)
