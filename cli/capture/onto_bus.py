"""A replay's events on a bus, as the connector would publish them, with the clocks of now."""

from __future__ import annotations

import os
import select
import time
from typing import Final

from bus import clock
from bus.counters import Counters
from bus.events import NO_MARKET, BusEvent
from bus.process import Pulse
from bus.settings import Settings
from bus.sockets import Producer
from connectors.effects import Now

TURN_S: Final = 0.02
PUBLISHER_S: Final = 5.0
"""How long a publisher is waited for."""


class Station:
    """One venue's producer. Call ``attend`` at least every ``TURN_S``."""

    def __init__(self, settings: Settings, venue: str, epoch: int) -> None:
        counters = Counters()
        self._producer = Producer(settings, venue, epoch, counters)
        self._pulse = Pulse(os.getpid(), epoch, counters)

    def publish(self, market: str, event: BusEvent, _: Now) -> None:
        """The payload is as it was; the times in the header are of now, or the event would count as old."""
        mono, wall = clock.now()
        self._producer.publish(market, event, wall, mono)

    def attend(self) -> None:
        """Hear the publisher, send what is due, and the heartbeat."""
        mono, wall = clock.now()
        if self._pulse.deadline <= mono:
            self._producer.publish(NO_MARKET, self._pulse.beat(clock.usage(), mono), wall, mono)
        self._producer.attend()

    def heard(self) -> bool:
        """Whether a publisher has come, waiting ``PUBLISHER_S`` for it."""
        until = time.monotonic() + PUBLISHER_S
        while not self._producer.outbox.subscribed and time.monotonic() < until:
            select.select([self._producer.link.fd], [], [], TURN_S)
            self._producer.attend()
        return self._producer.outbox.subscribed

    def close(self) -> None:
        """Send what waits, within two seconds, and leave."""
        until = time.monotonic() + 2.0
        while self._producer.outbox.deadline is not None and time.monotonic() < until:
            time.sleep(0.001)
            self._producer.attend()
        self._producer.close()
