"""``paraphina capture``: what captures hold, searched and written out for other programs."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final

import click
import msgspec

from cli.capture.rows import Row, as_json, rows
from cli.capture.runs import Run, runs
from connectors import capture as form
from connectors.capture import INPUTS, CaptureError

EXIT_NOTHING: Final = 1
EXIT_INPUT: Final = 2
BATCH: Final = 10_000
"""Rows that a Parquet row group holds: all that is in memory at once."""

_PATHS = click.argument("captures", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
_VENUES = click.option("--venue", "venues", multiple=True, help="Only this venue's runs; may be repeated.")


class Facts(msgspec.Struct):
    """What one run holds."""

    venue: str
    start: str
    version: str
    whole: bool
    """Whether its beginning is there."""
    segments: int
    bytes_on_disk: int
    seconds: float = 0.0
    frames: int = 0
    frame_bytes: int = 0
    kinds: dict[str, int] = {}
    conns: dict[str, int] = {}
    """Frames by connection."""
    tears: list[str] = []
    playable: bool = True
    """Whether a replay can begin somewhere."""
    orderly: bool = False
    """Whether the process was asked to end."""


def facts(run: Run) -> Facts:
    """Read a run through. Raises CaptureError, OSError."""
    header = run.header
    start = datetime.fromtimestamp(header.epoch / 1e9, UTC).isoformat(timespec="milliseconds")
    found = Facts(header.venue, start, header.version, run.whole, len(run.segments), run.size)
    first: int | None = None
    kinds: Counter[str] = Counter()
    conns: Counter[str] = Counter()
    for record in run.records():
        kinds[type(record).__name__.lower()] += 1
        if isinstance(record, INPUTS):
            first = record.mono if first is None else first
            found.seconds = (record.mono - first) / 1e9
        if isinstance(record, form.Received):
            conns[record.key] += 1
            found.frame_bytes += len(record.frame)
        elif isinstance(record, form.Torn):
            count = "records" if record.records is None else f"{record.records} records"
            found.tears.append(f"after {found.seconds:.3f} s: {count} missing: {record.why}")
        found.orderly = isinstance(record, form.Stopped)
    found.playable = run.whole or bool(kinds["checkpoint"])
    found.kinds, found.conns, found.frames = dict(kinds), dict(conns), sum(conns.values())
    return found


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def capture() -> None:
    """Look into captures. Exit code: 0 done, 1 nothing found, 2 not a capture."""


@capture.command()
@_PATHS
@_VENUES
@click.option("--json", "as_lines", is_flag=True, help="One JSON line a run.")
def info(*, captures: tuple[Path, ...], venues: tuple[str, ...], as_lines: bool) -> None:
    """Tell which runs there are, how long they are, and where they are torn."""
    for run in _open(captures, venues):
        with _readable():
            found = facts(run)
        click.echo(msgspec.json.encode(found) if as_lines else _page(found))


def _page(found: Facts) -> str:
    ratio = found.frame_bytes / found.bytes_on_disk
    lines = [
        f"{found.venue} run of {found.start}, recorded by {found.version}",
        f"  length   {found.seconds:.1f} s in {found.segments} files, {found.bytes_on_disk} bytes (1:{ratio:.1f})",
        f"  frames   {found.frames}, {found.frame_bytes} bytes",
        *(f"    {conn:20} {count}" for conn, count in sorted(found.conns.items())),
        f"  records  {', '.join(f'{kind} {count}' for kind, count in sorted(found.kinds.items()))}",
        f"  ended    {'in order' if found.orderly else 'without a goodbye: killed, or it still runs'}",
    ]
    if not found.whole:
        rest = "a replay begins at the first checkpoint" if found.playable else "it can be searched, not replayed"
        lines.append(f"  the beginning is gone (see keep_mb): {rest}")
    lines += [f"  torn     {tear}" for tear in found.tears]
    return "\n".join(lines)


@capture.command()
@click.argument("pattern")
@_PATHS
@_VENUES
@click.option("--conn", help="Only connections whose name has this in it.")
@click.option("--direction", type=click.Choice(["in", "out", "-"]), help="From the venue, to it, of the connector.")
@click.option("--kind", help="Only received, sent, fetched, tried, opened, lost, refused, pinged, ponged, torn …")
@click.option("--limit", type=click.IntRange(1), help="Stop after so many.")
def grep(
    *,
    pattern: str,
    captures: tuple[Path, ...],
    venues: tuple[str, ...],
    conn: str | None,
    direction: str | None,
    kind: str | None,
    limit: int | None,
) -> None:
    """Print the records whose bytes or notes match a regular expression, as JSON lines."""
    try:
        wanted = re.compile(pattern.encode())
    except re.error as error:
        raise click.BadParameter(str(error), param_hint="PATTERN") from None

    def fits(row: Row) -> bool:
        return (
            (conn is None or conn in row.conn)
            and (direction is None or row.direction == direction)
            and (kind is None or row.kind == kind)
            and bool(wanted.search(row.data) or wanted.search(row.about.encode()))
        )

    count = 0
    with _readable():
        for row in filter(fits, _all(_open(captures, venues))):
            click.echo(as_json(row))
            count += 1
            if count == limit:
                break
    sys.exit(0 if count else EXIT_NOTHING)


@capture.command()
@_PATHS
@_VENUES
@click.option("--format", "form_", type=click.Choice(["jsonl", "parquet"]), default="jsonl", show_default=True)
@click.option("-o", "--output", default="-", show_default=True, help="File to write, - for the terminal.")
def export(*, captures: tuple[Path, ...], venues: tuple[str, ...], form_: str, output: str) -> None:
    """Write every record out. Parquet needs pyarrow and a file."""
    found = _all(_open(captures, venues))
    if form_ == "parquet" and output == "-":
        raise click.UsageError("Parquet needs --output")
    writer = _parquet() if form_ == "parquet" else None
    with _readable(), click.open_file(output, "wb", atomic=output != "-") as file:
        count = _lines(found, file) if writer is None else _table(found, file, writer)
    click.echo(f"{count} records", err=True)


def _lines(found: Iterable[Row], file: IO[bytes]) -> int:
    count = 0
    for count, row in enumerate(found, 1):  # noqa: B007 - the count is wanted
        file.write(as_json(row) + b"\n")
    return count


def _parquet() -> Any:  # noqa: ANN401 - a module that may not be there
    try:
        import_module("pyarrow.parquet")
        return import_module("pyarrow")
    except ImportError:
        click.echo("error: Parquet needs pyarrow, which is not installed here; --format jsonl needs nothing", err=True)
        sys.exit(EXIT_INPUT)


def _table(found: Iterable[Row], file: IO[bytes], arrow: Any) -> int:  # noqa: ANN401
    types = {"int": arrow.int64(), "bool": arrow.bool_(), "bytes": arrow.binary()}
    fields = msgspec.structs.fields(Row)
    schema = arrow.schema([(field.name, types.get(field.type.__name__, arrow.string())) for field in fields])
    count = 0
    with arrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in _batches(found):
            columns = [[getattr(row, field.name) for row in batch] for field in fields]
            writer.write_table(arrow.table(columns, schema=schema))
            count += len(batch)
    return count


def _batches(found: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in found:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _all(found: Iterable[Run]) -> Iterator[Row]:
    for run in found:
        yield from rows(run)


def _open(paths: Sequence[Path], venues: Sequence[str]) -> list[Run]:
    with _readable():
        found = [run for run in runs(paths) if not venues or run.header.venue in venues]
    if not found:
        click.echo("error: no capture there", err=True)
        sys.exit(EXIT_INPUT)
    return found


@contextmanager
def _readable() -> Iterator[None]:
    """Ends the command with a sentence when a file cannot be read or written."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (CaptureError, OSError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(EXIT_INPUT)
