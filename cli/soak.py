"""``paraphina soak``: run the plane for so long, watch it, and leave evidence behind."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.console import Console

from bus.settings import ENVIRONMENT, Settings
from cli.checks import Check, table, well
from cli.manifest import Order
from cli.report import Names
from cli.soak_watch import Watch
from cli.status import settings_or_exit

EXIT_REFUSED: Final = 2
EXIT_INTERRUPTED: Final = 130


@click.command()
@click.option("--minutes", required=True, type=click.FloatRange(0, min_open=True), help="How long.")
@click.option("--out-dir", required=True, type=click.Path(path_type=Path), help="Where the evidence goes.")
@click.option("--sim/--live", default=None, help="Simulated venues, or the real ones; in a plane of its own.")
@click.option("--attach", is_flag=True, help="Watch the plane that is running instead of starting one.")
@click.option("--connectors", type=Names(), help="Venues to run; default: the enabled ones.")
@click.option("--scenario", default="", help="With --sim: a TOML file of faults, or the word storm.")
@click.option("--label", default="", help="Name of the run in reports.")
def soak(
    *,
    minutes: float,
    out_dir: Path,
    sim: bool | None,
    attach: bool,
    connectors: tuple[str, ...] | None,
    scenario: str,
    label: str,
) -> None:
    """Soak. Exit code: 0 gate passes, 1 it fails, 2 refused, 3 the run did not end as planned, 130 interrupted."""
    if attach == (sim is not None):
        raise click.UsageError("one of --sim, --live and --attach is needed")
    mode = "attach" if attach else "sim" if sim else "live"
    if scenario and mode != "sim":
        raise click.UsageError("--scenario needs --sim: real venues take no faults")
    settings = settings_or_exit()
    order = Order(
        out_dir=str(out_dir.resolve()),
        minutes=minutes,
        mode=mode,
        connectors=connectors or settings.enabled,
        settings=operator_settings(settings, mode),
        label=label,
        scenario=str(Path(scenario).resolve()) if scenario and scenario != "storm" else scenario,
        command=tuple(sys.argv),
    )
    sys.exit(run(order, settings))


def run(order: Order, settings: Settings) -> int:
    """The doctor, then the run; the exit code."""
    console = Console()
    checks = examined(order, settings)
    if not well(checks):
        console.print(table(check for check in checks if check.outcome != "ok"))
        failed = sum(check.outcome == "fail" for check in checks)
        click.echo(f"error: refused to start: {failed} of {len(checks)} checks fail", err=True)
        return EXIT_REFUSED
    for check in checks:
        if check.outcome == "warn":
            click.echo(f"warning: {check.name}: {check.found}", err=True)
    order = msgspec.structs.replace(
        order, doctor=tuple(msgspec.to_builtins(check) for check in checks if check.outcome != "ok")
    )
    folder = Path(order.out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    watch = Watch(order, console)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, watch.stop)
    return watch.run(_environment())


def examined(order: Order, settings: Settings) -> list[Check]:
    """What the doctor says of a run that is about to start."""
    from cli.doctor import for_soak

    return for_soak(order, settings)


def operator_settings(settings: Settings, mode: str) -> dict[str, Any]:
    """The settings in use, as an order carries them."""
    tree: dict[str, Any] = msgspec.to_builtins(settings)
    if mode == "attach":
        # The keeper finds the running plane by where its directories are, wherever it is itself.
        tree["run"]["dir"] = str(settings.run_dir)
        tree["runner"]["out_dir"] = str(settings.out_dir)
        tree.pop("base")
    return tree


def _environment() -> Mapping[str, str]:
    """Ours without what overrides settings: that is in the order already, and the run has directories of its own."""
    return {name: value for name, value in os.environ.items() if name not in {*ENVIRONMENT, "PARAPHINA_CONFIG"}}
