"""``python -m connectors <venue>``: one venue's connector, in the foreground, until SIGTERM."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bus.settings import VENUES, Settings
from bus.start import EXIT_USAGE, NotWanted, Work, run
from connectors.shell import Shell

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


def _make(venue: str, settings: Settings, log: FilteringBoundLogger) -> Work:
    if not settings.venues[venue].enabled:
        raise NotWanted(f"venues.{venue}.enabled")
    shell = Shell(settings, venue, log)
    log.info("starting", config=str(Path(settings.base)), markets=",".join(settings.venues[venue].markets))
    return shell.run


def main(arguments: list[str]) -> int:
    """Run the connector named in the arguments. Exit codes: 2 usage, otherwise as ``bus.start.run``."""
    if len(arguments) != 1 or arguments[0] not in VENUES:
        sys.stderr.write(f"usage: python -m connectors <{'|'.join(VENUES)}>\n")
        return EXIT_USAGE
    venue = arguments[0]
    return run(venue, partial(_make, venue), venue=venue)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
