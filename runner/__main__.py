"""``python -m runner``: watches the bus and writes telemetry, in the foreground, until SIGTERM."""

from __future__ import annotations

import faulthandler
import gc
import signal
import sys

from bus.clock import outlast_start
from bus.errors import SettingsError, TransportError
from bus.lease import hold
from bus.log import configure
from bus.settings import EXIT_SETTINGS, load
from runner.shell import Shell


def main(arguments: list[str]) -> int:
    """Run. Exit codes: 0 stopped, 1 another runs, 2 usage, 78 settings."""
    if arguments:
        sys.stderr.write("usage: python -m runner\n")
        return 2
    # The sentinel asks for the stacks of all threads before it ends a process that hangs.
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    log = configure("runner")
    try:
        settings = load()
        log = configure("runner", settings=settings.log)
        lease = hold(settings, "runner", log)
        shell = Shell(settings, log)
    except TransportError as error:
        log.error("place_taken", problem=error.problem)  # noqa: TRY400 - no crash
        return 1
    except SettingsError as error:
        log.error("settings_refused", key=error.path, problem=error.problem, allowed=error.allowed)  # noqa: TRY400
        outlast_start()
        return EXIT_SETTINGS
    log.info("starting", venues=",".join(settings.enabled), out_dir=str(settings.out_dir))
    # What is loaded by now stays for ever; without this every full collection walks it.
    gc.freeze()
    shell.run()
    if lease is not None:
        lease.release()
    log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
