"""What a consumer of the bus sees of every market and venue, with times, for tests that ask what a fault did."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from bus.client import Subscriber
from bus.events import NO_MARKET, Book, Delta, Reconnect, State, Status, Trade, Trust
from bus.items import Healed, Lost, Message, TrustChanged, Why
from bus.settings import Settings

KINDS = ("book", "delta", "bbo", "trade", "status", "reconnect")


@dataclass
class Seen:
    """One market's book as it was told."""

    trusted: bool = False
    trust: Trust | None = None
    since: float = 0.0
    """When the book last became live."""
    lost: list[tuple[float, Trust | None]] = field(default_factory=list)
    """When it was taken back, and what was said of it."""
    confirmed: float = 0.0
    """When the newest live book event came."""

    @property
    def live(self) -> bool:
        """Whether the stream's own book may be used."""
        return self.trusted and self.trust is Trust.LIVE


@dataclass
class Leaving:
    """One reconnect."""

    at: float
    connection: str
    reason: str
    detail: str
    retry_in_ms: int


class Watcher:
    """A consumer that writes down. Call ``poll`` all the time; times are of the monotonic clock, in seconds."""

    def __init__(self, settings: Settings) -> None:
        self.markets = {
            (venue, market): Seen() for venue in settings.enabled for market in settings.venues[venue].markets
        }
        self.reconnects: dict[str, list[Leaving]] = {venue: [] for venue in settings.enabled}
        self.states: dict[str, State | None] = dict.fromkeys(settings.enabled)
        self.statuses: list[tuple[float, str, str, Status]] = []
        self.trades: dict[tuple[str, str], list[str | None]] = {}
        self.bus_losses = 0
        """Messages that the bus itself lost on the way here, restarts of senders aside: none is expected."""
        self.subscriber = Subscriber(settings, kinds=KINDS, name="watcher")

    def poll(self, timeout_s: float) -> None:
        """Take what comes."""
        for item in self.subscriber.poll(timeout_s):
            now = time.monotonic()
            match item:
                case Message():
                    self._message(item, now)
                case TrustChanged(kind="book"):
                    self._trust(item, now)
                case Lost(why=why) if why not in {Why.RESTART, Why.RECONNECT, Why.SILENT, Why.TAIL}:
                    self.bus_losses += max(1, item.count)
                case Lost() | Healed() | TrustChanged():
                    pass

    def live(self, venue: str, market: str | None = None) -> bool:
        """Whether the market's book, or every book of the venue, is live here."""
        return all(seen.live for (at, name), seen in self.markets.items() if at == venue and market in {None, name})

    def close(self) -> None:
        """Close the sockets."""
        self.subscriber.close()

    def _trust(self, item: TrustChanged, now: float) -> None:
        seen = self.markets.get((item.venue, item.market))
        if seen is None:
            return
        if seen.live and not item.trusted:
            seen.lost.append((now, item.trust))
        elif item.trusted and item.trust is Trust.LIVE and not seen.live:
            seen.since = now
        seen.trusted, seen.trust = item.trusted, item.trust

    def _message(self, item: Message, now: float) -> None:
        event, key = item.event, (item.venue, item.market)
        if isinstance(event, Book | Delta) and key in self.markets:
            seen = self.markets[key]
            if event.trust is Trust.LIVE:
                seen.confirmed = now
                if seen.trust is Trust.REST:
                    seen.since = now
            seen.trust = event.trust
        elif isinstance(event, Trade) and not event.history:
            self.trades.setdefault(key, []).append(event.trade_id)
        elif isinstance(event, Reconnect) and item.venue in self.reconnects:
            left = Leaving(now, event.connection, event.reason.value, event.detail, event.retry_in_ms)
            self.reconnects[item.venue].append(left)
        elif isinstance(event, Status):
            self.statuses.append((now, item.venue, item.market, event))
            if item.market == NO_MARKET and item.venue in self.states:
                self.states[item.venue] = event.state

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
