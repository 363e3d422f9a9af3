"""How every process of the plane starts and ends: settings, log, its place, its work, and a code that says why."""

from __future__ import annotations

import faulthandler
import gc
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from bus.clock import outlast_start
from bus.errors import SettingsError, TransportError
from bus.lease import hold
from bus.log import LineWriter, configure
from bus.settings import EXIT_SETTINGS, Settings, load

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

EXIT_TAKEN: Final = 1
"""Another process has this one's place, or its endpoint."""
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3
"""What others reach it by was taken away while it ran."""

Work: TypeAlias = Callable[[], bool | None]
"""All of a process's life; ``False`` when it ended because nobody could reach it any more."""


class NotWanted(Exception):  # noqa: N818 - nothing is wrong
    """The settings say that this process has nothing to do. ``args`` is the setting's key."""


def run(
    name: str,
    make: Callable[[Settings, FilteringBoundLogger], Work],
    *,
    venue: str | None = None,
    writer: LineWriter | None = None,
) -> int:
    """Load the settings, take the place of ``name`` in the run directory, do the work that ``make`` gives.

    ``make`` may raise SettingsError, TransportError and NotWanted. The value is the exit code: 0 stopped, 1 the place
    is taken, 3 unreachable, 78 the settings cannot be used or want no such process.
    """
    # The sentinel asks for the stacks of all threads before it ends a process that hangs.
    faulthandler.register(signal.SIGUSR1, file=sys.stderr, all_threads=True)
    process = name if venue is None else f"connectors:{venue}"
    log = configure(process, venue, writer=writer)
    try:
        settings = load()
        log = configure(process, venue, settings.log, writer)
        lease = hold(settings, name, log)
        work = make(settings, log)
    except TransportError as error:
        log.error("cannot_start", problem=str(error))  # noqa: TRY400 - no crash
        return EXIT_TAKEN
    except SettingsError as error:
        log.error("settings_refused", key=error.path, problem=error.problem, allowed=error.allowed)  # noqa: TRY400
        outlast_start()
        return EXIT_SETTINGS
    except NotWanted as reason:
        log.info("disabled", setting=str(reason))
        outlast_start()
        return EXIT_SETTINGS
    # What is loaded by now stays for ever; without this every full collection walks it: a pause of tens of ms.
    gc.freeze()
    reachable = work()
    if lease is not None:
        lease.release()
    log.info("stopped")
    return EXIT_UNREACHABLE if reachable is False else 0
