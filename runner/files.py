"""Files that lines are appended to: whatever happens to the disk or the file, the caller goes on.

Each line leaves in one write. A file that was rotated or removed is opened anew, a line that did not fit is taken back,
and a torn line left behind by a run that was killed is ended before ours begin.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
_MODE: Final = 0o644


class LineFile:
    """One file. ``write`` never raises for what the system refuses; it says so, and tries afresh the next time."""

    def __init__(self, path: Path, *, truncate: bool = False) -> None:
        """Opened at the first write. ``truncate``: what the file held before is dropped then."""
        self.path = path
        self.failures = 0
        """Lines that could not be written."""
        self.error: str | None = None
        """Why the last line could not be written; ``None`` when it was."""
        self._truncate = truncate
        self._descriptor: int | None = None
        self._identity: tuple[int, int] | None = None
        self._torn = False

    def write(self, line: bytes) -> bool:
        """Append a line, given without its end; False when it was not written, which is counted."""
        try:
            self._append(self._open(), line)
        except OSError as error:
            self.failures += 1
            self.error = error.strerror or str(error)
            return False
        self.error = None
        return True

    def close(self) -> None:
        """Close; another write would open it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        """Descriptor of the file that the path names now."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            found = None
        present = self._descriptor
        if present is not None and found is not None and (found.st_dev, found.st_ino) == self._identity:
            return present
        try:
            return self._reopen()
        except OSError:
            if present is None:
                raise
            # Rotated, but no new file can be made: the line belongs into the old one rather than nowhere.
            return present

    def _reopen(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, _FLAGS | (os.O_TRUNC if self._truncate else 0), _MODE)
        self._truncate = False
        self.close()
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self._identity = (status.st_dev, status.st_ino)
        self._torn = _ends_torn(self.path, status.st_size)
        return descriptor

    def _append(self, descriptor: int, line: bytes) -> None:
        data = b"\n" + line + b"\n" if self._torn else line + b"\n"
        written = os.write(descriptor, data)
        if written < len(data):
            self._take_back(descriptor, written)
            raise OSError(None, f"only {written} of {len(data)} bytes fitted")
        self._torn = False

    def _take_back(self, descriptor: int, written: int) -> None:
        """Remove the part of a line that was written, or else remember that it stands there."""
        try:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
        except OSError:
            self._torn = True


def _ends_torn(path: Path, size: int) -> bool:
    """Whether a file ends within a line. A file that cannot be read is taken to be whole."""
    if size == 0:
        return False
    try:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:
        return False
