"""``paraphina``: the operator's command. Each subcommand lives in its own module and is imported when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

COMMANDS: Final = {
    "up": "cli.up:up",
    "down": "cli.up:down",
    "status": "cli.status:status",
    "top": "cli.top:top",
    "tail": "cli.tail:tail",
    "book": "cli.book:book",
    "doctor": "cli.doctor:doctor",
    "soak": "cli.soak:soak",
    "report": "cli.report:report",
    "compare": "cli.compare:compare",
    "chaos": "cli.chaos:chaos",
    "replay": "cli.capture.replay:replay",
    "capture": "cli.capture.command:capture",
}
"""Subcommand to ``module:function``; a missing import costs nothing until somebody asks for it."""


class _Lazy(click.Group):
    """Start-up time matters also to who types: only the command in use is imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        target = COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, name = target.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="paraphina-connectivity")
def main() -> None:
    """Market data of five perpetual-futures venues: never stale unnoticed, never silently wrong."""
