"""Every fault of the simulator at every venue, by real processes: what finds it, how soon, and how soon all is well.

``python -m tools.fault_matrix --out docs/faults.md`` runs all of it and writes the page's table. Cells already in
``--results`` are not run again, so that a run may be cut into pieces (``--minutes``).
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from bus.settings import VENUES
from cli.plane import prepare
from tools.fault_cells import CELLS, SETTINGS, Cell
from tools.fault_page import matrix, put
from tools.fault_result import Result
from tools.fault_trials import run, sections


@click.command()
@click.option("--out", type=click.Path(path_type=Path), help="Page whose table is written anew.")
@click.option("--results", type=click.Path(path_type=Path), help="Where results are kept, as JSON.")
@click.option("--venue", "venues", multiple=True, type=click.Choice(VENUES), help="Default: all.")
@click.option("--fault", "faults", multiple=True, help="Names of cells or of the simulator's faults. Default: all.")
@click.option("--minutes", type=float, default=60.0, help="Begin nothing after so long.")
@click.option("--again", is_flag=True, help="Run what is in the results all the same.")
@click.option("--logs", type=click.Path(path_type=Path), help="Where the connectors' logs go, a file a cell.")
def main(
    *,
    out: Path | None,
    results: Path | None,
    venues: tuple[str, ...],
    faults: tuple[str, ...],
    minutes: float,
    again: bool,
    logs: Path | None,
) -> None:
    """Run the matrix."""
    cells = [cell for cell in CELLS if not faults or {cell.name, cell.fault} & set(faults)]
    known = load(results)
    asked = {(cell.name, venue) for cell in cells for venue in venues or VENUES}
    done = set() if again else set(known)
    base = Path(tempfile.mkdtemp(prefix="pf-", dir="/tmp"))
    if asked - done:
        for result in measure(base, cells, done, venues or VENUES, time.monotonic() + minutes * 60, logs):
            known[result.cell, result.venue] = result
            click.echo(line(result))
            if results is not None:
                results.write_bytes(msgspec.json.format(msgspec.json.encode(list(known.values()))))
    if out is not None:
        put(out, "matrix", matrix(known))
    shutil.rmtree(base, ignore_errors=True)


def measure(
    base: Path,
    cells: list[Cell],
    done: set[tuple[str, str]],
    venues: tuple[str, ...],
    until: float,
    logs: Path | None = None,
) -> Iterator[Result]:
    """Run cells on a plane of their own in ``base``; each result as soon as it is there."""
    plane = prepare(base, sim=True, settings=sections(venues, SETTINGS))
    plane.start()
    try:
        yield from run(plane, cells, done, venues=venues, until=until, logs=logs)
    finally:
        plane.stop()


def load(path: Path | None) -> dict[tuple[str, str], Result]:
    """Results of earlier runs."""
    if path is None or not path.exists():
        return {}
    return {(one.cell, one.venue): one for one in msgspec.json.decode(path.read_bytes(), type=list[Result])}


def line(result: Result) -> str:
    """One result for the terminal."""
    cell = next(cell for cell in CELLS if cell.name == result.cell)
    shown = {key: value for key, value in msgspec.to_builtins(result).items() if value not in (None, [], {}, 0, "")}
    for key in ("detected_ms", "away_ms", "after_ms", "recovered_ms", "wrong_ms"):
        if key in shown:
            shown[key] = round(shown[key])
    return f"{','.join(result.faults(cell)) or 'ok':14} {shown}"


if __name__ == "__main__":
    main()
