"""The runner's core: bus events in, and once a tick what is to be written. No I/O; clocks are arguments."""

from __future__ import annotations

from typing import assert_never

import msgspec

from bus.accounting import Ledger
from bus.events import (
    NO_MARKET,
    USABLE,
    Bbo,
    Book,
    BusEvent,
    Check,
    Delta,
    Funding,
    Gap,
    Heartbeat,
    Instrument,
    Process,
    Reconnect,
    Stats,
    Status,
    Telemetry,
    Trade,
)
from bus.items import Healed, Item, Lost, Message, TrustChanged
from bus.warden import Warden
from bus.wire import Header
from runner.audit import PRESSURE, Audit, Fields
from runner.freshness import LATE_NS, MS, WallSteps
from runner.losses import Losses
from runner.processes import Processes
from runner.rxstats import RxStats
from runner.venues import MarketView, Spans, VenueView


class Watched(msgspec.Struct, frozen=True):
    """One venue to watch."""

    venue: str
    markets: tuple[str, ...]
    stale_ms: int


class Plan(msgspec.Struct, frozen=True):
    """What the runner watches, and how. Venues in venue order."""

    venues: tuple[Watched, ...]
    processes: tuple[str, ...]
    tick_ms: int
    window_s: int
    same_host: bool
    """Whether the other processes' monotonic clock is ours."""
    heartbeat_ms: int = 5_000
    """Silence after which the sentinel hangs."""


class Engine:
    """State of everything that is watched. ``took`` is the hot path, ``tick`` runs a few times a second."""

    def __init__(self, plan: Plan, now_mono: int, now_wall: int) -> None:
        spans = Spans(now_mono, plan.window_s * 1_000 * MS, plan.tick_ms * MS)
        self.plan = plan
        self.born_mono = now_mono
        self.ticks = 0
        self.cap_hits = 0
        self.unexpected: dict[str, int] = {}
        """Events, by kind, of venues or markets that are not configured here: ignored."""
        self.gaps = 0
        self.gap_events = 0
        """Log-class events that senders announced as dropped."""
        self.late_tick_ms = 0
        """How late the worst tick was."""
        self.venues = {w.venue: VenueView(w.markets, w.stale_ms, spans) for w in plan.venues}
        self.warden = Warden(plan.heartbeat_ms * MS)
        self.processes = Processes(plan.processes, now_mono)
        self.steps = WallSteps()
        self.rx = RxStats()
        self.losses = Losses()
        self.ledger = Ledger()
        self._audit = Audit(now_mono)
        self._wall_offset = now_wall - now_mono

    def took(self, item: Item) -> None:
        """Take what the bus delivered."""
        self.ledger.take(item)
        match item:
            case Message():
                self.rx.raw[item.kind] = self.rx.raw.get(item.kind, 0) + 1
                self._message(item.venue, item.market, item.header, item.event, item.applied_ns)
            case TrustChanged():
                self._trust(item)
            case Lost():
                self.losses.lost(item)
                self._losing(item, lost=True)
            case Healed():
                self.losses.healed(item)
                self._losing(item, lost=False)
            case _:
                assert_never(item)

    def _message(self, sender: str, market: str, header: Header, event: BusEvent, now_mono: int) -> None:
        match event:
            case Delta() | Book() | Bbo():
                self._priced(sender, market, header, event, now_mono)
            case Trade() | Stats() | Funding() | Check() | Instrument():
                self._stated(sender, market, event)
            case Status():
                self._status(sender, market, event, now_mono)
            case Heartbeat():
                self.processes.beaten(sender, header, event, now_mono, self._cause(header))
                self.warden.heard(sender, event.pid, self._cause(header))
            case Reconnect():
                self._reconnect(sender, header, event)
            case Process():
                self.processes.noticed(event)
            case Gap():
                self.gaps += 1
                self.gap_events += event.count
            case Telemetry():
                pass
            case _:
                assert_never(event)

    def tick(self, now_mono: int, now_wall: int) -> bool:
        """Measure everything. Whether the wall clock was stepped since the last tick."""
        stepped = self.steps.tick(now_mono, now_wall)
        if stepped:
            # What was observed by the clock as it was says nothing of the venues any more.
            for venue in self.venues.values():
                venue.skew.clear()
        self._wall_offset = now_wall - now_mono
        for name, venue in self.venues.items():
            venue.tick(now_mono, now_wall)
            venue.judged(self.processes.gone(name, now_mono), now_mono, now_wall)
        self.ticks += 1
        return stepped

    def reconnects(self) -> dict[str, dict[str, int]]:
        """Reconnects by venue and reason, over all lines and runs of its connector that were heard of."""
        found: dict[str, dict[str, int]] = {venue: {} for venue in self.venues}
        for venue, reasons in found.items():
            for totals in self.processes.of(venue):
                for reason, count in totals.reconnects().items():
                    reasons[reason] = reasons.get(reason, 0) + count
        return found

    def pressure(self) -> dict[str, int]:
        """Counters of publishing under pressure over all processes."""
        return {label: self.processes.total(label) for label in PRESSURE}

    def audit(self, now_mono: int) -> list[Fields]:
        """Audit lines due now."""
        return self._audit.due(self.reconnects(), self.pressure(), now_mono)

    def _cause(self, header: Header) -> int:
        """When the cause was read from the socket, by our monotonic clock."""
        return header.mono_ns if self.plan.same_host else header.recv_ns - self._wall_offset

    def _market(self, sender: str, market: str) -> MarketView | None:
        venue = self.venues.get(sender)
        return None if venue is None else venue.markets.get(market)

    def _trust(self, change: TrustChanged) -> None:
        view = self._market(change.venue, change.market)
        if view is None:
            self._ignore("trust")
        elif change.kind == Bbo.kind:
            view.quote_trusted = change.trusted
        else:
            view.trusted = change.trusted

    def _losing(self, item: Lost | Healed, *, lost: bool) -> None:
        view = self._market(item.venue, item.market)
        if view is not None and item.kind == Book.kind:
            view.healing = lost

    def _ignore(self, kind: str) -> None:
        self.unexpected[kind] = self.unexpected.get(kind, 0) + 1

    def _priced(self, sender: str, market: str, header: Header, event: Book | Delta | Bbo, now_mono: int) -> None:
        venue = self.venues.get(sender)
        view = None if venue is None else venue.markets.get(market)
        if venue is None or view is None:
            self._ignore(event.kind)
            return
        if isinstance(event, Bbo):
            view.quoted(event)
        else:
            view.booked(event)
        self._count(venue, event.kind)
        if event.trust in USABLE:
            self._fresh(venue, view, header, event.venue_ns, now_mono)

    def _fresh(self, venue: VenueView, view: MarketView, header: Header, venue_ns: int | None, now_mono: int) -> None:
        cause = self._cause(header)
        venue.aging.fresh.applied(now_mono, cause, venue_ns)
        view.aging.fresh.applied(now_mono, cause, venue_ns)
        if now_mono - cause > LATE_NS:
            venue.late += 1
            return
        if venue_ns is not None:
            venue.skew.add(header.recv_ns - venue_ns)
        if self.plan.same_host:
            venue.hops.add(venue_ns, header.recv_ns, cause, header.pub_ns, now_mono)

    def _stated(self, sender: str, market: str, event: Trade | Stats | Funding | Check | Instrument) -> None:
        venue = self.venues.get(sender)
        view = None if venue is None else venue.markets.get(market)
        if venue is None or view is None:
            self._ignore(event.kind)
            return
        self._count(venue, event.kind)
        match event:
            case Stats():
                view.stats = event
            case Funding():
                view.funding = event
            case Check():
                view.check = event
            case Instrument():
                view.instrument = event
            case Trade():
                pass
            case _:
                assert_never(event)

    def _status(self, sender: str, market: str, event: Status, now_mono: int) -> None:
        venue = self.venues.get(sender)
        where = venue if market == NO_MARKET else self._market(sender, market)
        if venue is None or where is None:
            self._ignore(event.kind)
            return
        self._count(venue, event.kind)
        where.state.changed(event, now_mono)

    def _reconnect(self, sender: str, header: Header, event: Reconnect) -> None:
        venue = self.venues.get(sender)
        if venue is None:
            self._ignore(event.kind)
            return
        self._count(venue, event.kind)
        venue.last_reconnect = (event, header.recv_ns)
        self.processes.reconnected(sender, header, event)

    def _count(self, venue: VenueView, kind: str) -> None:
        counts = venue.rates.counts
        counts[kind] = counts.get(kind, 0) + 1
        out = self.rx.out
        out[kind] = out.get(kind, 0) + 1
