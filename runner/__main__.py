"""``python -m runner``: watches the bus and writes telemetry, in the foreground, until SIGTERM."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bus.settings import Settings
from bus.start import EXIT_USAGE, Work, run
from runner.shell import Shell

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


def _make(settings: Settings, log: FilteringBoundLogger) -> Work:
    shell = Shell(settings, log)
    log.info("starting", venues=",".join(settings.enabled), out_dir=str(settings.out_dir))
    return shell.run


def main(arguments: list[str]) -> int:
    """Run. Exit codes: 2 usage, otherwise as ``bus.start.run``."""
    if arguments:
        sys.stderr.write("usage: python -m runner\n")
        return EXIT_USAGE
    return run("runner", _make)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
