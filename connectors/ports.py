"""What the engine needs of the world outside, as an interface: the shell is one, a test's double another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bus.events import BusEvent
from connectors.effects import Fetch, Now


class Ports(Protocol):
    """Everything the engine can have done. No method waits."""

    def connect(self, key: str, url: str, headers: Mapping[str, str]) -> None:
        """Start an attempt; ``Engine.opened`` or ``Engine.refused`` follows."""
        ...

    def drop(self, key: str) -> None:
        """End the session or forget the attempt of this key; nothing more of it is reported."""
        ...

    def send(self, key: str, text: str) -> str | None:
        """Send a text frame now. What went wrong, or ``None``."""
        ...

    def ping(self, key: str) -> str | None:
        """Send a ping control frame now. What went wrong, or ``None``."""
        ...

    def fetch(self, key: str, request: Fetch) -> None:
        """Start a REST call; ``Engine.fetched`` with this key follows."""
        ...

    def publish(self, market: str, event: BusEvent, now: Now) -> None:
        """Hand an event to the bus; never blocks."""
        ...

    def log(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        """Write one log line."""
        ...
