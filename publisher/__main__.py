"""The publisher process: ``python -m publisher``."""

from __future__ import annotations

import faulthandler
import signal
import sys

from bus import log, settings
from bus.clock import outlast_start
from bus.errors import SettingsError, TransportError
from bus.lease import hold
from publisher.shell import NAME, Publisher

EXIT_UNREACHABLE = 3


def main() -> int:
    """Run until told to stop.

    Exit code 78 when settings cannot be used, 1 when another publisher is there, 3 when its endpoints were taken away.
    """
    # The sentinel asks for the stacks of all threads before it ends a process that hangs.
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    logger = log.configure(NAME)
    try:
        loaded = settings.load()
        logger = log.configure(NAME, settings=loaded.log)
        lease = hold(loaded, NAME, logger)
        publisher = Publisher(loaded, logger)
    except SettingsError as error:
        logger.error("bad settings", problem=str(error))  # noqa: TRY400  (the operator's, not a crash)
        outlast_start()
        return settings.EXIT_SETTINGS
    except TransportError as error:
        logger.error("cannot start", problem=str(error))  # noqa: TRY400  (as above)
        return 1
    publisher.stop_on_signals()
    stopped = publisher.run()
    if lease is not None:
        lease.release()
    return 0 if stopped else EXIT_UNREACHABLE


if __name__ == "__main__":
    sys.exit(main())
