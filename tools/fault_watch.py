"""What happens on the bus and in the simulator while something is done to a venue, written down."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import requests

from bus.client import Subscriber
from bus.events import Gap, Heartbeat, Trust
from bus.items import Message, TrustChanged
from cli.plane import Plane
from tests.system.watcher import KINDS, Watcher


class Observer(Watcher):
    """Writes down counts and losses as well, by venue.

    Times are those at which a connector handed the news to the bus: who looks here is busy with five venues.
    """

    def __init__(self, plane: Plane) -> None:
        super().__init__(plane.settings)
        self.subscriber.close()
        self.subscriber = Subscriber(plane.settings, kinds=(*KINDS, "gap", "heartbeat"), name="faults")
        self.counters: dict[str, dict[str, int]] = {}
        self.events_lost = Counter[str]()
        self.rest = Counter[str]()
        self._said: dict[tuple[str, str], float] = {}
        self._taken_back: set[tuple[str, str]] = set()

    def _trust(self, item: TrustChanged, now: float) -> None:
        key = item.venue, item.market
        if item.trusted:
            super()._trust(item, self._said.get(key, now))
        else:
            before = len(self.markets[key].lost) if key in self.markets else 0
            super()._trust(item, now)
            if key in self.markets and len(self.markets[key].lost) > before:
                # The message that says so comes next, with its time.
                self._taken_back.add(key)

    def _message(self, item: Message, now: float) -> None:
        key, now = (item.venue, item.market), item.header.pub_ns / 1e9
        if item.kind in {"book", "delta"}:
            self._said[key] = now
            if key in self._taken_back:
                self._taken_back.discard(key)
                lost = self.markets[key].lost
                lost[-1:] = [(now, lost[-1][1])] if lost else []
        super()._message(item, now)
        match item.event:
            case Heartbeat(counters=counters):
                self.counters[item.venue] = counters
            case Gap(count=count):
                self.events_lost[item.venue] += count
            case _:
                if getattr(item.event, "trust", None) is Trust.REST:
                    self.rest[item.venue] += 1


class Control:
    """The simulator's control API. ``offset_ns`` takes its wall clock to our monotonic one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self.offset_ns = time.time_ns() - time.monotonic_ns()

    def ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """The answer's JSON. Raises for a refusal."""
        answer = self._session.request(method, f"{self.url}{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def when(self, wall_ns: int) -> float:
        """A wall-clock time of the simulator's as monotonic seconds."""
        return (wall_ns - self.offset_ns) / 1e9

    def violations(self, venue: str) -> dict[str, int]:
        """Counts so far, by limit."""
        counts: dict[str, int] = self.ask("GET", "/state")["violations"]["counts"]
        return {name: count for name, count in counts.items() if name.startswith(f"{venue}.")}
