"""Keeps what a connector hands down to its successor in a small file of the run directory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bus.settings import Settings
from connectors.effects import Now
from connectors.past import Past, Unusable, decode, encode

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
MAX_BYTES: Final = 16 * 1024 * 1024


class Keeper:
    """Of one connector. Nothing here raises: what cannot be kept or read is said, and done without."""

    def __init__(self, settings: Settings, venue: str, log: FilteringBoundLogger) -> None:
        line, section = settings.run.line, settings.venues[venue]
        self._path = settings.run_dir / (f"{venue}.limits" if line == "a" else f"{venue}.{line}.limits")
        self._host = f"{section.ws_url} {section.rest_url}"
        self._log = log
        self._problem = ""
        try:
            self._boot = _BOOT.read_text(encoding="ascii").strip()
        except OSError:
            self._boot = ""

    def load(self, now: Now) -> Past:
        """What the process before this one handed down; an empty past when that was nothing usable."""
        try:
            with self._path.open("rb") as file:
                return decode(file.read(MAX_BYTES), self._boot, self._host, now)
        except FileNotFoundError:
            pass
        except (OSError, Unusable) as error:
            self._log.warning("limits_unusable", path=str(self._path), problem=str(error))
        return Past()

    def save(self, past: Past, now: Now) -> None:
        """Put this in place of what was there, whole or not at all.

        Not synchronised with the disk: it is to outlive the process, and a host that loses power is away for longer
        than most of what stands here.
        """
        new = self._path.with_suffix(".limits.new")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                data = encode(past, self._boot, self._host, now)
                if os.write(descriptor, data) < len(data):
                    raise OSError("no space for all of it")
            finally:
                os.close(descriptor)
            new.replace(self._path)
            problem = ""
        except OSError as error:
            problem = error.strerror or str(error)
            with suppress(OSError):
                new.unlink(missing_ok=True)
        if problem != self._problem:
            self._problem = problem
            if problem:
                self._log.warning("limits_not_kept", path=str(self._path), problem=problem)
            else:
                self._log.info("limits_kept", path=str(self._path))
