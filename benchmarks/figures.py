"""What was measured, as tables for people and JSON for programs."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table as RichTable

RESULTS: Final = Path(__file__).resolve().parent / "results"
Cell = str | int | float | None


class Aim(msgspec.Struct, frozen=True):
    """A figure that was promised, beside the one that was measured."""

    name: str
    unit: str
    measured: float | None
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool:
        """Whether it holds; a figure that could not be measured does not."""
        if self.measured is None:
            return False
        low = -float("inf") if self.at_least is None else self.at_least
        high = float("inf") if self.at_most is None else self.at_most
        return low <= self.measured <= high

    @property
    def bound(self) -> str:
        """The promise in words."""
        return f"≤ {self.at_most:g}" if self.at_most is not None else f"≥ {self.at_least:g}"


class Table(msgspec.Struct, frozen=True):
    """One table; numbers are rounded for people and whole in the JSON."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


class Section(msgspec.Struct, frozen=True):
    """Outcome of one part of the benchmark."""

    name: str
    tables: Sequence[Table]
    aims: Sequence[Aim]


def load() -> str:
    """The machine's load averages now: how much else was running."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def show(section: Section, console: Console, before: str) -> None:
    """Print the tables, then the aims."""
    for table in section.tables:
        shown = RichTable(title=table.title, caption=table.note or None, title_justify="left", caption_justify="left")
        for index, column in enumerate(table.columns):
            shown.add_column(column, justify="right" if index else "left")
        for row in table.rows:
            shown.add_row(*map(_text, row))
        console.print(shown)
    aims = RichTable(title=f"{section.name}: aims", title_justify="left")
    for column in ("aim", "bound", "measured", ""):
        aims.add_column(column)
    for aim in section.aims:
        verdict = "[green]met[/]" if aim.met else "[red]missed[/]"
        aims.add_row(aim.name, f"{aim.bound} {aim.unit}", f"{_text(aim.measured)} {aim.unit}", verdict)
    console.print(aims)
    console.print(f"load average before {before}, after {load()}; {os.cpu_count()} CPUs\n")


def write(section: Section, before: str) -> Path:
    """Write the section as JSON beside those of earlier runs (which it replaces). Returns the path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{section.name}.json"
    machine = {
        "taken_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "load_before": before,
        "load_after": load(),
    }
    aims = [{**msgspec.to_builtins(aim), "met": aim.met} for aim in section.aims]
    body = {"section": section.name, **machine, "tables": msgspec.to_builtins(section.tables), "aims": aims}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(body), indent=1) + b"\n")
    return path


def _text(cell: Cell) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:,.0f}" if abs(cell) >= 1_000 else f"{cell:.1f}" if abs(cell) >= 10 else f"{cell:.2f}"


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of them lies, for values already sorted."""
    return values[min(len(values) - 1, int(share * len(values)))]
