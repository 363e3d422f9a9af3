"""The publisher process: ``python -m publisher``."""

from __future__ import annotations

import sys

from bus import log, settings
from bus.errors import SettingsError, TransportError
from publisher.shell import NAME, Publisher


def main() -> int:
    """Run until told to stop. Exit code 78 when settings cannot be used, 1 when another publisher is there."""
    logger = log.configure(NAME)
    try:
        loaded = settings.load()
        logger = log.configure(NAME, settings=loaded.log)
        publisher = Publisher(loaded, logger)
    except SettingsError as error:
        logger.error("bad settings", problem=str(error))  # noqa: TRY400  (the operator's, not a crash)
        return settings.EXIT_SETTINGS
    except TransportError as error:
        logger.error("cannot start", problem=str(error))  # noqa: TRY400  (as above)
        return 1
    publisher.stop_on_signals()
    publisher.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
