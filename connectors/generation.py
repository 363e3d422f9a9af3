"""One life of a venue protocol with its connections. Two run side by side while a planned rotation takes over."""

from __future__ import annotations

from bus.events import Book, Delta, Instrument, Trust
from bus.state import StateCache
from connectors.effects import Now, Rotate, VenueProtocol
from connectors.limits import LEAST_WAIT_NS, Limits
from connectors.links import Link, Phase


class MarketView:
    """One market's book as its events show it."""

    __slots__ = ("confirmed", "feeding", "judge_at", "position", "trust")

    def __init__(self) -> None:
        self.trust: Trust | None = None
        self.confirmed = 0
        """Monotonic ns of the last live book event."""
        self.position = 0
        """Newest venue time."""
        self.feeding: str | None = None
        """Connection that it last came by."""
        self.judge_at = 0
        """When its lag is next looked at."""

    def turned(self, conn: str | None, event: Book | Delta, now: Now) -> bool:
        """Note a book event; True when the market's trust changed by it."""
        trust = event.trust
        if trust is Trust.LIVE:
            self.confirmed = now.mono
            self.position = event.venue_ns or self.position
            self.feeding = conn or self.feeding
        if self.trust is trust:
            return False
        self.trust = trust
        return True


class Generation:
    """A protocol object, its links by connection name, and what has come of its markets."""

    def __init__(self, number: int, protocol: VenueProtocol, now: Now, *, standby: bool) -> None:
        self.number = number
        self.protocol = protocol
        self.links: dict[str, Link] = {}
        self.cache: StateCache | None = StateCache() if standby else None
        """What a standby has said so far; published when it takes over. ``None``: this one is on air."""
        self.rescue: frozenset[str] = frozenset()
        """Markets that this standby is to bring back; empty for a planned rotation."""
        self._announced: dict[str, tuple[int, str]] = {}
        self.born = now.mono
        self.known: set[str] = set()
        """Markets that the venue lists."""
        self.views: dict[str, MarketView] = {}
        """Markets that have shown a book."""

    @property
    def live(self) -> set[str]:
        """Markets whose book is live."""
        return {market for market, view in self.views.items() if view.trust is Trust.LIVE}

    def view(self, market: str) -> MarketView:
        """What has come of a market's book."""
        found = self.views.get(market)
        if found is None:
            found = self.views[market] = MarketView()
        return found

    def listed(self, market: str, _: Instrument) -> None:
        """The venue lists this market."""
        self.known.add(market)

    def open_links(self) -> list[Link]:
        """Links with a session."""
        return [link for link in self.links.values() if link.phase is Phase.OPEN]

    def oldest_open(self) -> int | None:
        """Monotonic ns when the oldest session began."""
        return min((link.opened_at for link in self.open_links()), default=None)

    def announced(self, effect: Rotate, now: Now) -> None:
        """The venue has said that it will end a connection."""
        self._announced[effect.conn] = now.mono, effect.detail

    def outgoing(self) -> str | None:
        """What the venue said of a connection that it will end and has not ended yet; ``None`` when it said nothing."""
        for link in self.open_links():
            when, detail = self._announced.get(link.conn, (0, ""))
            if link.opened_at <= when:
                return detail
        return None

    def let_in(self, soon: int) -> None:
        """Links that wait for longer try at this time."""
        for link in self.links.values():
            if link.phase is Phase.WAITING:
                link.retry_at = min(link.retry_at, soon)

    def deadlines(self, limits: Limits, now: Now) -> list[int | None]:
        """When a retry of it is due, or a send held back by the message budget."""
        times: list[int | None] = []
        for link in self.links.values():
            if link.phase is Phase.WAITING:
                times.append(link.retry_at)
            elif link.outgoing:
                times.append(now.mono + max(LEAST_WAIT_NS, limits.message_wait_ns(link, now)))
        return times

    def may_replace(self, other: Generation) -> bool:
        """Whether this standby holds every live market of ``other``, at least as far as it has come.

        One that is to bring markets back must have brought back one: else taking over would change nothing.
        """
        mine = self.live
        theirs = other.live
        return (
            bool(mine)
            and (not self.rescue or bool(self.rescue & mine))
            and theirs <= mine
            and all(self.views[market].position >= other.views[market].position for market in theirs)
        )
