"""Captures on disk: which runs there are, and the records of one, over all its segments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from connectors.capture import CaptureError, Checkpoint, Header, Record, Torn, read_header, read_records

CUT: Final = "cut off within a block"


class Run(msgspec.Struct, frozen=True):
    """One run of one connector: its header and those of its segments that are there, in order."""

    header: Header
    segments: tuple[tuple[int, Path], ...]

    @property
    def whole(self) -> bool:
        """Whether its beginning is there."""
        return self.segments[0][0] == 0

    @property
    def playable(self) -> bool:
        """Whether a replay can begin anywhere: at the beginning, or at a checkpoint. Raises CaptureError, OSError."""
        return self.whole or any(isinstance(record, Checkpoint) for record in self.records())

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for _, path in self.segments)

    def records(self) -> Iterator[Record]:
        """Everything in order; a segment that is missing is a ``Torn``. Raises CaptureError, OSError."""
        due = 0
        for number, path in self.segments:
            if number != due:
                yield Torn(None, f"segments {due} to {number - 1} are gone")
            due = number + 1
            with path.open("rb") as file:
                read_header(file.read)
                yield from read_records(file.read)


def runs(paths: Sequence[Path]) -> list[Run]:
    """The runs in these files and directories, oldest first. Raises CaptureError naming the file, OSError.

    A file of a run stands for the whole run. A segment that was cut off within its header is passed over.
    """
    found: dict[tuple[str, int], list[tuple[int, Path]]] = {}
    headers: dict[tuple[str, int], Header] = {}
    for path in _files(paths):
        header = _header(path)
        if header is None:
            continue
        run = (header.venue, header.epoch)
        headers[run] = header
        if (header.segment, path) not in found.setdefault(run, []):
            found[run].append((header.segment, path))
    ordered = sorted(headers, key=lambda run: (run[1], run[0]))
    return [Run(headers[run], tuple(sorted(found[run]))) for run in ordered]


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(path.glob("*.cap"))
        else:
            # Segments of a run differ in the number at the end of their names.
            siblings = (
                sorted(path.parent.glob(f"{path.stem.rpartition('-')[0]}-*.cap")) if path.suffix == ".cap" else []
            )
            yield from siblings if path in siblings else [path]


def _header(path: Path) -> Header | None:
    try:
        with path.open("rb") as file:
            return read_header(file.read)
    except CaptureError as error:
        if path.stat().st_size < 1024 and "cut off" in str(error):  # noqa: PLR2004 - no header is longer
            return None
        raise CaptureError(f"{path}: {error}") from None
