"""``python -m connectors <venue>``: one venue's connector, in the foreground, until SIGTERM."""

from __future__ import annotations

import faulthandler
import gc
import signal
import sys
from pathlib import Path

from bus.clock import outlast_start
from bus.errors import SettingsError, TransportError
from bus.lease import hold
from bus.log import configure
from bus.settings import EXIT_SETTINGS, VENUES, load
from connectors.shell import Shell


def main(arguments: list[str]) -> int:
    """Run the connector named in the arguments. Exit codes: 0 stopped, 1 another runs, 2 usage, 78 settings."""
    if len(arguments) != 1 or arguments[0] not in VENUES:
        sys.stderr.write(f"usage: python -m connectors <{'|'.join(VENUES)}>\n")
        return 2
    venue = arguments[0]
    # The sentinel asks for the stacks of all threads before it ends a process that hangs.
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    log = configure(f"connectors:{venue}", venue)
    try:
        settings = load()
        log = configure(f"connectors:{venue}", venue, settings.log)
        if not settings.venues[venue].enabled:
            log.info("disabled", setting=f"venues.{venue}.enabled")
            outlast_start()
            return EXIT_SETTINGS
        lease = hold(settings, venue, log)
        shell = Shell(settings, venue, log)
    except TransportError as error:
        log.error("place_taken", problem=error.problem)  # noqa: TRY400 - no crash
        return 1
    except SettingsError as error:
        log.error("settings_refused", key=error.path, problem=error.problem, allowed=error.allowed)  # noqa: TRY400
        outlast_start()
        return EXIT_SETTINGS
    log.info("starting", config=str(Path(settings.base)), markets=",".join(settings.venues[venue].markets))
    # What is loaded by now stays for ever; without this every full collection walks it: a pause of tens of ms.
    gc.freeze()
    shell.run()
    if lease is not None:
        lease.release()
    log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
