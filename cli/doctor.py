"""``paraphina doctor``: everything that can ruin a run, tested before it starts."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console

from bus.settings import Settings
from cli import doctor_disk as disk
from cli import doctor_host as host
from cli import doctor_plane as plane
from cli.checks import Check, table, well
from cli.doctor_venue import venues
from cli.keeper import PREFIX, temporary_base
from cli.manifest import Order

EXIT_UNWELL: Final = 1
DEFAULT_MINUTES: Final = 10.0


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Everything, for machines.")
@click.option(
    "--out-dir", type=click.Path(path_type=Path), help="Directory of a run to come; default: that of the settings."
)
@click.option("--offline", is_flag=True, help="Leave out the venues.")
def doctor(*, as_json: bool, out_dir: Path | None, offline: bool) -> None:
    """Test everything that can ruin a run. Exit code: 0 nothing fails, 1 something does."""
    settings, first = plane.configuration(os.environ)
    checks = [*machine(), first]
    skews: dict[str, float] = {}
    if settings is not None:
        checks += directories(settings, out_dir or settings.out_dir, DEFAULT_MINUTES)
        if out_dir is not None:
            checks.append(disk.empty(out_dir))
        checks += running(settings)
        if not offline:
            found, skews = venues(settings, settings.enabled)
            checks += found
    checks.append(host.clock(host.kernel_clock(), skews))
    if as_json:
        click.echo(json.dumps({"well": well(checks), "checks": msgspec.to_builtins(checks)}))
    else:
        Console().print(table(checks))
    sys.exit(0 if well(checks) else EXIT_UNWELL)


def for_soak(order: Order, settings: Settings) -> list[Check]:
    """The same for a run that is about to start."""
    folder = Path(order.out_dir)
    checks = [*machine(), *directories(settings, folder, order.minutes), disk.empty(folder)]
    checks += [disk.socket_paths("socket paths of the run", temporary_base() / f"{PREFIX}12345678" / "run")]
    checks += [disk.hard_link("hard link of the run", temporary_base(), needed=True)]
    skews: dict[str, float] = {}
    if order.mode == "attach":
        checks.append(plane.attachable(settings))
    else:
        checks += [*running(settings), plane.free(sim=order.mode == "sim")]
    if order.mode == "live":
        found, skews = venues(settings, order.connectors)
        checks += found
    if order.scenario:
        checks.append(plane.scenario(order, settings))
    return [*checks, host.clock(host.kernel_clock(), skews)]


def machine() -> list[Check]:
    """What does not depend on settings."""
    return [host.interpreter(), host.packages(), host.open_files(), host.processes(), host.load()]


def directories(settings: Settings, out_dir: Path, minutes: float) -> list[Check]:
    """Run directory and output directory."""
    run_dir = settings.run_dir
    return [
        disk.writable("run directory", run_dir),
        disk.writable("output directory", out_dir),
        *disk.space("output", out_dir, minutes),
        disk.temporary(out_dir, os.environ.get("TMPDIR")),
        disk.rename("rename", out_dir),
        disk.hard_link("hard link", out_dir),
        disk.hard_link("hard link in the run directory", run_dir, needed=True),
        disk.socket_paths("socket paths", run_dir),
    ]


def running(settings: Settings) -> list[Check]:
    """What is there already."""
    return [*plane.supervisor(settings), plane.sockets(settings), *plane.ports(settings), plane.instances(settings)]
