"""Compares what a subscriber holds with what the simulator says is true, at the same sequence or time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import requests

from bus.client import Subscriber
from bus.events import Book, Delta, Trust
from bus.items import Message
from bus.settings import Settings

BY_TIME = {"hyperliquid", "extended"}
"""Venues whose books are placed by time: Hyperliquid has no sequence, Extended's counts frames of a connection."""
DEPTH = {"hyperliquid": 5}
"""Levels a side that the venue shows."""

Levels = tuple[list[float], list[float], list[float], list[float]]


@dataclass
class Checker:
    """Takes a sample of every market's book each ``every_s`` and compares it level by level."""

    settings: Settings
    control: str
    every_s: float = 0.25
    compared: dict[tuple[str, str], int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    unplaced: int = 0
    """Samples older than the simulator's history, or of a version it does not know."""

    def run(self, subscriber: Subscriber, seconds: float) -> None:
        """Check for so long."""
        until = time.monotonic() + seconds
        due: dict[tuple[str, str], float] = {}
        while time.monotonic() < until:
            for item in subscriber.poll(0.1):
                if not isinstance(item, Message) or not isinstance(item.event, Book | Delta):
                    continue
                key = (item.venue, item.market)
                if item.event.trust is not Trust.LIVE or time.monotonic() < due.get(key, 0.0):
                    continue
                due[key] = time.monotonic() + self.every_s
                self.compare(subscriber, *key)

    def compare(self, subscriber: Subscriber, venue: str, market: str) -> None:
        """Compare the subscriber's present book."""
        view = subscriber.book(venue, market)
        if view is None or not view.trusted or view.venue_ns is None:
            return
        place = f"ts_ms={view.venue_ns // 1_000_000}" if venue in BY_TIME else f"seq={view.venue_seq}"
        held: Levels = view.levels.levels()
        answer = requests.get(f"{self.control}/truth/{venue}/{market}?{place}", timeout=10)
        if answer.status_code == 404:
            self.unplaced += 1
            return
        true = answer.json()
        depth = DEPTH.get(venue)
        expected = (
            [float(price) for price, _ in true["bids"][:depth]],
            [float(size) for _, size in true["bids"][:depth]],
            [float(price) for price, _ in true["asks"][:depth]],
            [float(size) for _, size in true["asks"][:depth]],
        )
        self.compared[venue, market] = self.compared.get((venue, market), 0) + 1
        if held != expected:
            self.wrong.append(f"{venue} {market} at {place}: held {held}, true {expected}")
