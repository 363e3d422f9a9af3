"""``paraphina status``: one look, and an exit code for scripts."""

from __future__ import annotations

import json
import sys
import time
from typing import Final

import click
from rich.console import Console

from bus.client import Subscriber
from bus.errors import SettingsError
from bus.events import Telemetry
from bus.items import Message
from bus.settings import EXIT_SETTINGS, Settings, load
from cli.board import Board, table

EXIT_UNWELL: Final = 1
EXIT_SILENT: Final = 3
"""Nothing is running, or nothing is heard of it."""


def settings_or_exit() -> Settings:
    """The settings, or their problem on stderr and exit code 78."""
    try:
        return load()
    except SettingsError as error:
        click.echo(f"error: setting {error}", err=True)
        sys.exit(EXIT_SETTINGS)


def watch(settings: Settings, board: Board, *, until: float) -> bool:
    """Fill the board from the bus until it is complete; False when nothing complete came before monotonic ``until``."""
    with Subscriber(settings, kinds=("telemetry",)) as subscriber:
        while time.monotonic() < until:
            absorb(board, subscriber, 0.25)
            if board.complete:
                return True
    return False


def absorb(board: Board, subscriber: Subscriber, timeout_s: float) -> None:
    """Take what comes within the time."""
    for item in subscriber.poll(timeout_s):
        if isinstance(item, Message) and isinstance(item.event, Telemetry):
            board.absorb(item.event.body)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Everything, for machines.")
@click.option("--wait", default=3.0, show_default=True, help="Seconds to wait for the runner to speak.")
def status(*, as_json: bool, wait: float) -> None:
    """How old every venue is. Exit code: 0 all well, 1 not, 3 nothing is heard."""
    settings = settings_or_exit()
    board = Board()
    if not watch(settings, board, until=time.monotonic() + wait):
        click.echo(f"error: no telemetry on {settings.endpoint('market_out')} within {wait:g} s", err=True)
        click.echo("Is it running? `make run` starts it; PARAPHINA_CONFIG names the settings in use.", err=True)
        sys.exit(EXIT_SILENT)
    if as_json:
        click.echo(json.dumps(board.as_json()))
    else:
        Console().print(table(board.rows()))
    sys.exit(0 if board.well else EXIT_UNWELL)
