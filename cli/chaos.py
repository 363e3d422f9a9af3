"""``paraphina chaos SCENARIO``: scripted faults against a simulated run, and what came of each."""

from __future__ import annotations

import sys
import tomllib
from math import ceil
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.artefacts import ArtefactError, read
from cli.evidence.build import facts
from cli.evidence.document import duration
from cli.evidence.facts import FaultFacts
from cli.manifest import Order
from cli.report import Names
from cli.soak import operator_settings, run
from cli.status import settings_or_exit

EXIT_LEFT: Final = 1
EXIT_NOT_ENDED: Final = 3
AFTER_S: Final = 40.0
"""To detect and recover: the slowest threshold is 30 s of silence."""
UNTIL_DELETED_S: Final = 60.0
"""A fault that would last for ever is watched for so long."""
STORM_MINUTES: Final = 10.0
LONGEST: Final = 60
"""Of the words by which a fault was detected, in the terminal."""
WIDE: Final = 200
"""Columns where there is no terminal that has a width."""


@click.command()
@click.argument("scenario")
@click.option("--out-dir", required=True, type=click.Path(path_type=Path), help="Where the evidence goes.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="How long; default: the scenario and 40 s.")
@click.option("--connectors", type=Names(), help="Venues to run; default: the enabled ones.")
@click.option("--label", default="", help="Name of the run in reports.")
def chaos(
    *, scenario: str, out_dir: Path, minutes: float | None, connectors: tuple[str, ...] | None, label: str
) -> None:
    """Run SCENARIO (a TOML file of faults, or the word storm) against simulated venues.

    Exit code: 0 the venues were well again after every fault, 1 not, 2 refused, 3 or 130 the run ended early.
    """
    settings = settings_or_exit()
    path = scenario if scenario == "storm" else str(Path(scenario).resolve())
    order = Order(
        out_dir=str(out_dir.resolve()),
        minutes=minutes or length(path),
        mode="sim",
        connectors=connectors or settings.enabled,
        settings=operator_settings(settings, "sim"),
        label=label or f"chaos {Path(scenario).stem}",
        scenario=path,
        command=tuple(sys.argv),
    )
    code = run(order, settings)
    # The gate is no judge of a run that was broken on purpose.
    if code not in {0, 1}:
        sys.exit(code)
    try:
        faults = facts(read(out_dir)).faults
    except ArtefactError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(EXIT_NOT_ENDED)
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    console.print(table(faults))
    console.print(summary(faults), highlight=False)
    left = [fault for fault in faults if fault.detected_ms is not None and fault.recovered_ms is None]
    sys.exit(EXIT_LEFT if left else 0)


def length(scenario: str) -> float:
    """Minutes that a scenario needs. A file that cannot be read takes none: the doctor tells of it."""
    if scenario == "storm":
        return STORM_MINUTES
    try:
        entries = tomllib.loads(Path(scenario).read_text(encoding="utf-8")).get("fault", [])
        end_s = max((_end_s(entry) for entry in entries), default=0.0)
    except (OSError, ValueError, AttributeError, TypeError):
        return 1.0
    return ceil(end_s + AFTER_S) / 60


def _end_s(entry: dict[str, Any]) -> float:
    return float(entry.get("at_s", 0)) + float(entry.get("for_s", UNTIL_DELETED_S))


def summary(faults: list[FaultFacts]) -> str:
    """All of them in one line."""
    detected = sum(fault.detected_ms is not None for fault in faults)
    recovered = sum(fault.recovered_ms is not None for fault in faults)
    unseen = len(faults) - detected
    return f"{len(faults)} faults: {detected} detected, {recovered} of those recovered; {unseen} without effect"


def table(faults: list[FaultFacts]) -> Table:
    """What came of each fault."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("fault", "venue", "market", "detected after", "by", "well again after"):
        shown.add_column(heading, overflow="fold")
    for fault in faults:
        detected = "-" if fault.detected_ms is None else duration(fault.detected_ms - fault.began_ms)
        shown.add_row(
            fault.fault,
            fault.venue,
            fault.market or "all",
            detected,
            Text(fault.detected_by[:LONGEST]) if fault.detected_ms is not None else Text(fault.why, "dim"),
            _again(fault),
        )
    return shown


def _again(fault: FaultFacts) -> Text:
    if fault.detected_ms is None:
        return Text("without effect", "dim")
    if fault.recovered_ms is None:
        return Text("NOT RECOVERED", "bold red")
    return Text(duration(fault.recovered_ms - fault.began_ms), "green")
