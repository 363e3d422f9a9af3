"""Which run of a sender a message belongs to, and whether that run is over.

A killed process's last messages may still be on their way when its successor already sends. They are told apart by the
epoch: the greater one is newer. Because a wall clock may be set back between two starts, a lower epoch is believed too,
once the higher one has been silent for ``PATIENCE`` beats (every living process sends a heartbeat each second).
"""

from __future__ import annotations

from typing import Final

PATIENCE: Final = 4
"""Beats (seconds) without a word after which a sender counts as silent."""

KEPT: Final = 256
"""Runs remembered at most."""


class Run:
    """One life of a sending process. ``seen`` is the beat of its last message; whoever receives one sets it."""

    __slots__ = ("by", "epoch", "followed", "seen", "sender", "silent")

    def __init__(self, sender: str, epoch: int, beat: int) -> None:
        self.sender = sender
        """Venue part of the topics it sends on."""
        self.epoch = epoch
        self.seen = beat
        self.silent = False
        self.by: Run | None = None
        """The run that took over from it, ``None`` while it is in force."""
        self.followed = False
        """Whether the reader knows all its chains (from a heartbeat), so that a new one must begin with 1."""


class Runs:
    """All runs heard of lately."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, int], Run] = {}

    def get(self, sender: str, epoch: int, beat: int) -> Run:
        """The run of this sender with this epoch, made when new.

        By sender, so that one message that came under another's name does not set their runs against each other.
        """
        run = self._runs.get((sender, epoch))
        if run is None:
            if len(self._runs) >= KEPT:
                oldest = min(self._runs.values(), key=lambda known: known.seen)
                del self._runs[oldest.sender, oldest.epoch]
            run = self._runs[sender, epoch] = Run(sender, epoch, beat)
        return run

    def silent(self, beat: int) -> list[Run]:
        """Runs in force that have become silent by now, each once a silence."""
        found = [
            run for run in self._runs.values() if run.by is None and not run.silent and beat - run.seen >= PATIENCE
        ]
        for run in found:
            run.silent = True
        return found


def takes_over(run: Run, current: Run | None, beat: int) -> bool:
    """Whether a message of ``run`` counts on a chain that was last carried on by ``current``.

    If so, every other claimant is over. If not, the message is a late one of a dead process and must be dropped.
    """
    rivals = [rival for rival in (current, run.by) if rival is not None and rival is not run]
    if any(run.epoch < rival.epoch and beat - rival.seen < PATIENCE for rival in rivals):
        return False
    run.by = None
    for rival in rivals:
        rival.by = run
    return True
