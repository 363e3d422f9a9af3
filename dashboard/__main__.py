"""``python -m dashboard``: the live page, health and metrics, in the foreground, until SIGTERM."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import signal
import sys

from bus.clock import outlast_start
from bus.errors import SettingsError, TransportError
from bus.lease import hold
from bus.log import configure
from bus.settings import EXIT_SETTINGS, load
from dashboard.shell import NAME, Shell


def main(arguments: list[str]) -> int:
    """Run. Exit codes: 0 stopped, 1 its port is taken, 2 usage, 78 settings."""
    if arguments:
        sys.stderr.write("usage: python -m dashboard\n")
        return 2
    # The sentinel asks for the stacks of all threads before it ends a process that hangs.
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    log = configure(NAME)
    try:
        settings = load()
        log = configure(NAME, settings=settings.log)
        lease = hold(settings, NAME, log)
        shell = Shell(settings, log)
    except SettingsError as error:
        log.error("settings_refused", key=error.path, problem=error.problem, allowed=error.allowed)  # noqa: TRY400
        outlast_start()
        return EXIT_SETTINGS
    except TransportError as error:
        log.error("cannot_start", problem=str(error))  # noqa: TRY400
        return 1
    log.info("serving", url=shell.url)
    # What is loaded by now stays for ever; without this every full collection walks it.
    gc.freeze()
    asyncio.run(shell.run())
    if lease is not None:
        lease.release()
    log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
