"""Counters of other processes, added up across their restarts."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

REMEMBERED_EPOCHS: Final = 16
RECONNECT: Final = "reconnect."
"""Prefix of a counter that counts reconnects by reason."""


class Totals:
    """Counters of one source (a process by its name and line). Each run of it counts from nothing; these do not.

    Counts of a run that ended unheard are lost with it: what is told is a lower bound, complete up to its last word.
    """

    __slots__ = ("_before", "_ended", "_epoch", "_present", "restarts")

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._ended: deque[int] = deque(maxlen=REMEMBERED_EPOCHS)
        self._before: dict[str, int] = {}
        self._present: dict[str, int] = {}
        self.restarts = 0
        """Changes of epoch seen."""

    def heard(self, epoch: int, counters: Mapping[str, int]) -> bool:
        """Take the counters of a run, all or some of them; ``False`` when that run is known to have ended."""
        if epoch in self._ended:
            return False
        if epoch != self._epoch:
            self._turn(epoch)
        present = self._present
        for label, count in counters.items():
            if count > present.get(label, 0):
                present[label] = count
        return True

    def get(self, label: str) -> int:
        """One counter over all runs, 0 when never told."""
        return self._before.get(label, 0) + self._present.get(label, 0)

    def all(self) -> dict[str, int]:
        """Every counter over all runs."""
        return {label: self.get(label) for label in sorted(self._before.keys() | self._present.keys())}

    def reconnects(self) -> dict[str, int]:
        """Reconnects by reason."""
        return {label.removeprefix(RECONNECT): n for label, n in self.all().items() if label.startswith(RECONNECT)}

    def _turn(self, epoch: int) -> None:
        if self._epoch is not None:
            self._ended.append(self._epoch)
            self.restarts += 1
            self._before = self.all()
        self._epoch, self._present = epoch, {}
