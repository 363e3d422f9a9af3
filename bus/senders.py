"""Which run of its sender each chain follows: who takes over from whom, who is silent, who is heard again."""

from __future__ import annotations

from collections.abc import Mapping

from bus.asking import Asking
from bus.chains import Chain, Sync
from bus.items import Why
from bus.losses import Losses
from bus.runs import Run, Runs, takes_over


class Senders:
    """``beat`` counts the publisher's heartbeats, which are this consumer's seconds."""

    def __init__(self, chains: Mapping[str, Chain], losses: Losses, asking: Asking) -> None:
        self.beat = 0
        self._chains = chains
        self._losses = losses
        self._asking = asking
        self._runs = Runs()

    def run(self, chain: Chain, epoch: int) -> Run:
        """The run of this chain's sender with this epoch, made when new."""
        return self._runs.get(chain.venue, epoch, self.beat)

    def takes_over(self, run: Run, chain: Chain, now: int) -> bool:
        """Whether the chain may go on with this run. If so, everything of the run before it is forgotten."""
        old = chain.run
        if not takes_over(run, old, self.beat):
            return False
        if old is not None and old is not run:
            for other in self._chains.values():
                if other.run is old:
                    self._losses.restarted(other, now)
        return True

    def second(self, now: int) -> None:
        """A heartbeat of the publisher: whoever said nothing for some of them is silent, and so is what it sent."""
        self.beat += 1
        for silent in self._runs.silent(self.beat):
            for other in self._chains.values():
                if other.run is silent:
                    self._losses.suspect(other, Why.SILENT, now)

    def resumed(self, run: Run, now: int) -> None:
        """A silent run is heard again: what is suspected of it can be asked for."""
        run.silent = False
        for other in self._chains.values():
            if other.run is run and other.sync is Sync.SUSPECT:
                self._asking.need(other, now)
