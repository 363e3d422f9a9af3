"""``python -m dashboard``: the live page, health and metrics, in the foreground, until SIGTERM."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from bus.settings import Settings
from bus.start import EXIT_USAGE, Work, run
from dashboard.shell import NAME, Shell

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


def _make(settings: Settings, log: FilteringBoundLogger) -> Work:
    shell = Shell(settings, log)
    log.info("serving", url=shell.url)
    return lambda: asyncio.run(shell.run())


def main(arguments: list[str]) -> int:
    """Run. Exit codes: 2 usage, otherwise as ``bus.start.run``; a taken port is a taken place."""
    if arguments:
        sys.stderr.write("usage: python -m dashboard\n")
        return EXIT_USAGE
    return run(NAME, _make)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
