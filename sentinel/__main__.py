"""``python -m sentinel``: supervisord's event listener; started by supervisord, not by hand."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys

from bus.clock import outlast_start
from bus.errors import SettingsError, TransportError
from bus.lease import hold
from bus.log import LineWriter, configure
from bus.settings import EXIT_SETTINGS, load
from sentinel.shell import Shell


def main() -> int:
    """Run until supervisord ends. Exit codes: 0 stopped, 1 another runs, 2 not started by supervisord, 78 settings."""
    faulthandler.register(signal.SIGUSR1, file=sys.stderr, all_threads=True)
    writer = LineWriter(2)
    log = configure("sentinel", writer=writer)
    server_url = os.environ.get("SUPERVISOR_SERVER_URL", "")
    if not server_url:
        log.error("not_under_supervisord", hint="supervisord starts this as an event listener, see supervisord.conf")
        return 2
    try:
        settings = load()
        log = configure("sentinel", settings=settings.log, writer=writer)
        lease = hold(settings, "sentinel", log)
        shell = Shell(settings, log, server_url)
    except TransportError as error:
        log.error("place_taken", problem=error.problem)  # noqa: TRY400 - no crash
        return 1
    except SettingsError as error:
        log.error("settings_refused", key=error.path, problem=error.problem, allowed=error.allowed)  # noqa: TRY400
        outlast_start()
        return EXIT_SETTINGS
    log.info("starting")
    shell.run()
    if lease is not None:
        lease.release()
    log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
