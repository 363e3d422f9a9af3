"""One life of a venue protocol with its connections. Two run side by side while a planned rotation takes over."""

from __future__ import annotations

from bus.state import StateCache

from bus.events import Book, Delta, Instrument, Trust
from connectors.effects import Now, VenueProtocol
from connectors.limits import LEAST_WAIT_NS, Limits
from connectors.links import Link, Phase


class Generation:
    """A protocol object, its links by connection name, and what has come of its markets."""

    def __init__(self, number: int, protocol: VenueProtocol, now: Now, *, standby: bool) -> None:
        self.number = number
        self.protocol = protocol
        self.links: dict[str, Link] = {}
        self.cache: StateCache | None = StateCache() if standby else None
        """What a standby has said so far; published when it takes over. ``None``: this one is on air."""
        self.born = now.mono
        self.trusts: dict[str, Trust] = {}
        self.known: set[str] = set()
        """Markets that the venue lists."""
        self.positions: dict[str, int] = {}
        """Newest venue time of each market's book."""
        self.confirmed: dict[str, int] = {}
        """Monotonic ns of the last live book event of each market."""
        self.feeding: dict[str, str] = {}
        """Connection that each market's book last came by."""

    @property
    def live(self) -> set[str]:
        """Markets whose book is live."""
        return {market for market, trust in self.trusts.items() if trust is Trust.LIVE}

    def book(self, conn: str | None, market: str, event: Book | Delta, now: Now) -> bool:
        """Note a book event; True when the market's trust changed by it."""
        trust = event.trust
        if trust is Trust.LIVE:
            self.confirmed[market] = now.mono
            if event.venue_ns is not None:
                self.positions[market] = event.venue_ns
            if conn is not None:
                self.feeding[market] = conn
        changed = self.trusts.get(market) is not trust
        if changed:
            self.trusts[market] = trust
        return changed

    def listed(self, market: str, _: Instrument) -> None:
        """The venue lists this market."""
        self.known.add(market)

    def open_links(self) -> list[Link]:
        """Links with a session."""
        return [link for link in self.links.values() if link.phase is Phase.OPEN]

    def oldest_open(self) -> int | None:
        """Monotonic ns when the oldest session began."""
        return min((link.opened_at for link in self.open_links()), default=None)

    def deadlines(self, limits: Limits, now: Now) -> list[int | None]:
        """When anything of it is next due: the protocol, retries, sends held back by the message budget."""
        times = [self.protocol.deadline]
        for link in self.links.values():
            if link.phase is Phase.WAITING:
                times.append(link.retry_at)
            elif link.outgoing:
                times.append(now.mono + max(LEAST_WAIT_NS, limits.message_wait_ns(link, now)))
        return times

    def may_replace(self, other: Generation) -> bool:
        """Whether this standby holds every live market of ``other``, at least as far as it has come."""
        mine = self.live
        theirs = other.live
        return (
            bool(mine)
            and theirs <= mine
            and all(self.positions.get(market, 0) >= other.positions.get(market, 0) for market in theirs)
        )
