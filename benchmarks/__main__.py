"""``python -m benchmarks [SECTION ...] [--quick]``: measure, print, and write ``benchmarks/results/*.json``."""

from __future__ import annotations

import signal
import sys
import time
from importlib import import_module
from typing import Final

import click
from rich.console import Console

from benchmarks import figures

SECTIONS: Final = ("frames", "latency", "startup", "resources")
MORE: Final = ("books", "dashboard", "publisher", "record", "load")
"""Measured only when named: the four above already take minutes."""


@click.command()
@click.argument("sections", nargs=-1, type=click.Choice(SECTIONS + MORE))
@click.option(
    "--quick",
    is_flag=True,
    help="What the aims are about alone, with fewer rounds and runs: within a minute, and rougher.",
)
def main(sections: tuple[str, ...], *, quick: bool) -> None:
    """Measure these SECTIONS (the first four when none is named) on loopback, beside neighbours and aims."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    console = Console(width=None if sys.stdout.isatty() else 140)
    started = time.monotonic()
    for name in sections or SECTIONS:
        before = figures.load()
        section: figures.Section = import_module(f"benchmarks.{name}").measure(quick=quick)
        figures.show(section, console, before)
        path = figures.write(section, before)
        console.print(f"[dim]{path}; {time.monotonic() - started:.0f} s so far[/]\n")


if __name__ == "__main__":
    main()
