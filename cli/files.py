"""Files of a run: whole ones are written atomically, beside where they go; long ones are read line by line."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

_MODE = 0o644


def write_whole(path: Path, data: bytes | str) -> None:
    """Replace a file in one step: whoever looks sees the old one or the new one. Raises OSError, leaving nothing.

    The temporary file is in the same directory, so that the rename never crosses a file system.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(_MODE)
        Path(name).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Have the rename itself survive a power cut, where the file system can do that."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
