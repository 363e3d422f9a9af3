"""``python -m cli.probe <venue>``: the venue's own connector until its first usable data, and how long each step took.

The doctor starts it; one JSON object on standard output is all it says.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from bus.errors import SettingsError
from bus.events import USABLE, Bbo, Book, BusEvent
from bus.log import LineWriter, configure
from bus.settings import load
from connectors.effects import Now
from connectors.shell import Shell


class Outcome(msgspec.Struct):
    """Times in ms since the first attempt began; ``None`` for what did not come about."""

    upgrade_ms: float | None = None
    data_ms: float | None = None
    skew_ms: float | None = None
    """Our clock minus the venue's at the first data, the way it took included."""
    market: str = ""
    url: str = ""
    problem: str = ""
    """The last that went wrong."""


class Seen(Exception):  # noqa: N818 - it ends the probe, it is no error
    """There is data."""


class Probe(Shell):
    """A connector that notes how far it comes and ends at the first usable data."""

    outcome: Outcome
    began: float = 0.0

    def connect(self, key: str, url: str, headers: Mapping[str, str]) -> None:
        """Start an attempt."""
        self.began = self.began or time.monotonic()
        self.outcome.url = url
        super().connect(key, url, headers)

    def publish(self, market: str, event: BusEvent, now: Now) -> None:
        """Look at an event; there is no bus."""
        if isinstance(event, Book | Bbo) and event.trust in USABLE:
            self.outcome.data_ms = self._elapsed()
            self.outcome.market = market
            if event.venue_ns is not None:
                self.outcome.skew_ms = round((now.wall - event.venue_ns) / 1e6, 1)
            raise Seen

    def log(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        """Note what the engine tells."""
        if event == "connected" and self.outcome.upgrade_ms is None:
            self.outcome.upgrade_ms = self._elapsed()
        elif level in {"warning", "error"}:
            told = fields.get("detail") or fields.get("problem") or fields.get("reason") or ""
            self.outcome.problem = f"{event}: {told}"

    def _elapsed(self) -> float:
        return round((time.monotonic() - self.began) * 1e3, 1)


class _Late(Exception):  # noqa: N818 - as Seen
    """Time is up."""


def _late(*_: object) -> None:
    raise _Late


LONGEST_S: Final = 3_600


def main(arguments: list[str]) -> int:
    """Probe the venue for at most so many seconds. Exit codes: 0 said what was found, 2 usage, 78 settings."""
    if len(arguments) != 2 or not arguments[1].isdigit():  # noqa: PLR2004 - venue and seconds
        sys.stderr.write("usage: python -m cli.probe <venue> <seconds>\n")
        return 2
    venue, seconds = arguments[0], min(int(arguments[1]), LONGEST_S)
    outcome = Outcome()
    try:
        probe = Probe(load(), venue, configure(f"probe:{venue}", venue, writer=LineWriter(2)))
    except SettingsError as error:
        outcome.problem = str(error)
    else:
        probe.outcome = outcome
        signal.signal(signal.SIGALRM, _late)
        signal.alarm(seconds)
        try:
            probe.run()
        except (Seen, _Late):
            signal.alarm(0)
    os.write(1, msgspec.json.encode(outcome))
    return 0


if __name__ == "__main__":
    # Workers may still wait for a venue that does not answer.
    os._exit(main(sys.argv[1:]))
