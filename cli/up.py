"""``paraphina up`` and ``down``: the whole plane under supervisord, started and stopped."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.live import Live

from bus.client import Subscriber
from bus.settings import Settings
from cli.board import Board, table
from cli.status import EXIT_SILENT, absorb, settings_or_exit
from cli.supervise import LIVE_CONF, ROOT, SIM_CONF, Supervisor, launch

SIM_SETTINGS: Final = ROOT / "paraphina.sim.toml"


@click.command()
@click.option("--sim", is_flag=True, help="With the simulated venues instead of the real ones.")
@click.option("--wait", default=60.0, show_default=True, help="Seconds to wait until every venue is live.")
def up(*, sim: bool, wait: float) -> None:
    """Start everything and wait until every venue is live. Exit code: 0 all live, 3 not in time."""
    conf = SIM_CONF if sim else LIVE_CONF
    if sim:
        os.environ.setdefault("PARAPHINA_CONFIG", str(SIM_SETTINGS))
    settings = settings_or_exit()
    supervisor = Supervisor(settings.run_dir)
    if supervisor.pid() is None:
        supervisor.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        supervisor.socket.unlink(missing_ok=True)
        problem = launch(conf)
        if problem is not None:
            click.echo(f"error: supervisord did not start: {problem}", err=True)
            sys.exit(EXIT_SILENT)
    else:
        supervisor.start_all()
    well = _wait_until_live(settings, wait)
    _next_commands(conf)
    sys.exit(0 if well else EXIT_SILENT)


@click.command()
@click.option("--wait", default=20.0, show_default=True, help="Seconds to wait until everything has ended.")
def down(*, wait: float) -> None:
    """Stop everything that `up` started. Exit code: 0 nothing runs any more, 3 something still does."""
    settings = settings_or_exit()
    supervisor = Supervisor(settings.run_dir)
    pid = supervisor.pid()
    if pid is None:
        click.echo("Nothing is running.")
        return
    supervisor.shutdown()
    until = time.monotonic() + wait
    while not ended(pid):
        if time.monotonic() > until:
            click.echo(f"error: supervisord (pid {pid}) is still there after {wait:g} s", err=True)
            sys.exit(EXIT_SILENT)
        time.sleep(0.02)
    click.echo("Stopped.")


def ended(pid: int) -> bool:
    """Whether a process is gone, or dead and only not reaped: in a container without an init nobody reaps a daemon."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def _wait_until_live(settings: Settings, wait: float) -> bool:
    """Show the table as it fills; True when every venue is live in time."""
    console, board = Console(), Board()
    until = time.monotonic() + wait
    with (
        Subscriber(settings, kinds=("telemetry",)) as subscriber,
        Live(console=console, auto_refresh=False, transient=True) as live,
    ):
        while time.monotonic() < until and not (board.complete and board.well):
            absorb(board, subscriber, 0.25)
            if console.is_terminal:
                live.update(table(board.rows()), refresh=True)
    console.print(table(board.rows()))
    if not board.well:
        click.echo(f"error: not every venue is live after {wait:g} s; the logs in {settings.run_dir} say why", err=True)
    return board.well


def _next_commands(conf: Path) -> None:
    binary = ROOT / ".venv" / "bin"
    control = f"{binary / 'supervisorctl'} -c {conf}"
    lines = (
        ("how old is every venue", f"{binary / 'paraphina'} status"),
        ("what is running", f"{control} status"),
        ("follow one connector's log", f"{control} tail -f connectors:hyperliquid"),
        ("kill one and watch it return", f"kill -9 $({control} pid connectors:hyperliquid)"),
        ("stop everything", "make stop"),
    )
    click.echo("\nNext:")
    for purpose, command in lines:
        click.echo(f"  {purpose:30} {_short(command)}")


def _short(command: str) -> str:
    """Paths relative to here when here is the checkout."""
    return command.replace(f"{ROOT}/", "") if Path.cwd() == ROOT else command
