"""The publisher process: ``python -m publisher``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bus.settings import Settings
from bus.start import Work, run
from publisher.shell import NAME, Publisher

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


def _make(settings: Settings, log: FilteringBoundLogger) -> Work:
    publisher = Publisher(settings, log)
    publisher.stop_on_signals()
    return publisher.run


def main() -> int:
    """Run until told to stop. Exit codes as ``bus.start.run``; 3 when its endpoints were taken away."""
    return run(NAME, _make)


if __name__ == "__main__":
    sys.exit(main())
