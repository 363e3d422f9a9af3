"""``python -m sentinel``: supervisord's event listener; started by supervisord, not by hand."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from bus.log import LineWriter, configure
from bus.settings import Settings
from bus.start import EXIT_USAGE, Work, run
from sentinel.shell import Shell

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

SERVER = "SUPERVISOR_SERVER_URL"
"""Set by supervisord in the environment of what it starts."""


def _make(settings: Settings, log: FilteringBoundLogger) -> Work:
    shell = Shell(settings, log, os.environ[SERVER])
    log.info("starting")
    return shell.run


def main() -> int:
    """Run until supervisord ends. Exit codes: 2 not started by supervisord, otherwise as ``bus.start.run``."""
    writer = LineWriter(2)
    if not os.environ.get(SERVER):
        log = configure("sentinel", writer=writer)
        log.error("not_under_supervisord", hint="supervisord starts this as an event listener, see supervisord.conf")
        return EXIT_USAGE
    return run("sentinel", _make, writer=writer)


if __name__ == "__main__":
    sys.exit(main())
