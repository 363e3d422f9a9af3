"""The part of a connector that is the same for every venue: connections kept open, limits kept, recovery, status.

It has no I/O of its own: the shell calls it with what happened and the time, and it acts through ``Ports``. Recovery by
layers: the protocol's own deadlines first; then this engine's watch over every market (``stale_watchdog``) and over
every recovery (a fresh generation from nothing); above them the sentinel and supervisord.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final

from bus.counters import Counter, Counters
from bus.events import Bbo, Book, Delta, Instrument, Reason, Reconnect, State, Trade, Trust
from bus.settings import Venue as VenueSettings
from connectors import effects as fx
from connectors.backoff import CAP_NS, FIRST_NS, HEALTHY_NS
from connectors.drift import Drift
from connectors.effects import Effect, Effects, Fetch, Now, Refusal, Reply
from connectors.feed import Rebuilds, SeenTrades
from connectors.generation import Generation
from connectors.limits import Limits
from connectors.links import Link, Phase
from connectors.past import Past
from connectors.ports import Ports
from connectors.teller import Teller, Why, cause
from connectors.venue import Context, Factory, VenueSpec

MS: Final = 1_000_000
REFRESH_NS: Final = 1 * MS  # how stale the cached deadline may be while frames never pause
DOWN_AFTER: Final = 3  # failed attempts in a row after which a market without a live book is called down
JUDGE_NS: Final = 100 * MS  # between two looks at one market's lag: a look costs a microsecond, drift takes seconds
_PRICED: Final = (Book, Delta, Bbo)


class Engine:
    """One venue's connector without its I/O. All methods take the time and return nothing; ``deadline`` is next due."""

    def __init__(
        self, spec: VenueSpec, factory: Factory, settings: VenueSettings, ports: Ports, counters: Counters, rng: Random
    ) -> None:
        self.spec, self.settings = spec, settings
        self.ports, self.counters = ports, counters
        self.deadline: int | None = None
        self._factory, self._rng = factory, rng
        self._context = Context(settings, Rebuilds(), SeenTrades())
        self._numbers = self._let_in_at = 0
        self.limits = Limits(spec)
        self._by_key: dict[str, tuple[Generation, Link]] = {}
        self._drift = Drift(spec.drift_ns)
        self._refreshed, self._aged = 0, False  # when the deadline was worked out, and whether frames have come since
        self.active: Generation
        self.standby: Generation | None = None
        self.teller: Teller
        self.heeds_protocol = True  # its own deadlines count; off only to prove that the layers above do their work
        self.watch: Callable[[Engine, Now], None] | None = None
        """Periodic supervision, see ``connectors/watch.py``; without it only the protocol's own deadlines act."""
        self.watch_at = 0
        self._performers: dict[type[Effect], Callable[[Generation, Any, Now], object]] = {
            fx.Open: self._open,
            fx.Close: self._close,
            fx.Send: self._send,
            fx.Ping: self._ping,
            fx.Fetch: self._fetch,
            fx.Reconnect: self._reconnect,
            fx.Reject: self._reject,
            fx.Count: lambda _, effect, __: counters.add_label(effect.label, effect.amount),
            fx.Rotate: lambda made, effect, now: made.announced(effect, now),
            fx.Note: lambda _, effect, __: ports.log(effect.level, effect.event, effect.fields),
        }

    def start(self, now: Now, past: Past | None = None) -> None:
        """Process start. ``past``: what the process before this one spent of the limits."""
        self.limits.recall(past or Past())
        self.watch_at = now.mono
        self.teller = Teller(self.ports, self.settings.markets, now)
        self.active = self.new_generation(now, standby=False)
        self._run(self.active, None, self.active.protocol.start(now), now)
        self.refresh(now)

    def opened(self, key: str, now: Now) -> None:
        """The attempt of this link succeeded."""
        found = self._by_key.get(key)
        if found is None:
            return
        generation, link = found
        link.opened(now, self.limits.session_budget())
        self.teller.line("info", "connected", now, conn=link.conn, url=link.url)
        if generation is self.active:
            self.teller.move(self.not_live(), State.SYNCING, "connected", "", now)
        self._run(generation, link.conn, generation.protocol.opened(link.conn, now), now)
        self.refresh(now)

    def refused(self, key: str, refusal: Refusal, now: Now) -> None:
        """The attempt of this link failed."""
        found = self._by_key.get(key)
        if found is None:
            return
        generation, link = found
        self.counters.add(Counter.CONNECT_FAILURES)
        if held := self.limits.refused(refusal.status, refusal.headers, now):
            self.ports.log("warning", "connects_held", {"status": refusal.status, "wait_s": held / 1e9})
        wait = link.lost(now, not_before=self.limits.connects_held_until)
        self._left(generation, link, refusal.reason, refusal.detail, wait, now)
        self._run(generation, link.conn, generation.protocol.refused(link.conn, refusal, now), now)
        self.refresh(now)

    def lost(self, key: str, reason: Reason, detail: str, now: Now) -> None:
        """The session of this link ended without our doing."""
        found = self._by_key.get(key)
        if found is not None:
            self.give_up(*found, reason, detail, now)
            self.refresh(now)

    def received(self, key: str, frame: bytes, binary: bool, now: Now) -> None:  # noqa: FBT001
        """One frame. The hot path."""
        found = self._by_key.get(key)
        if found is None:
            return
        generation, link = found
        link.last_rx = now.mono
        if link.first_data is None:
            link.first_data = now.mono
            self.limits.breaker.answered()
            if link.failures:
                self._let_in(now)
        elif link.failures and now.mono - link.first_data >= HEALTHY_NS:
            self._proven(link)
        rejects = link.rejects
        self._run(generation, link.conn, generation.protocol.received(link.conn, frame, binary, now), now)
        if rejects and link.rejects == rejects:
            link.rejects = 0
        self._aged = now.mono - self._refreshed < REFRESH_NS
        if not self._aged:
            self.refresh(now)

    def ponged(self, key: str, now: Now) -> None:
        """A ping or pong control frame."""
        found = self._by_key.get(key)
        if found is not None:
            generation, link = found
            link.last_rx = now.mono
            self._run(generation, link.conn, generation.protocol.ponged(link.conn, now), now)

    def fetched(self, key: str, request: Fetch, reply: Reply, now: Now) -> None:
        """A REST call ended."""
        if not reply.ok:
            self.counters.add(Counter.REST_FAILURES)
            if held := self.limits.answered(reply, now) / 1e9:
                self.ports.log("warning", "rest_held", {"status": reply.status, "wait_s": held, "url": request.url})
        for generation in self.generations():
            if str(generation.number) == key:
                self._run(generation, None, generation.protocol.fetched(request, reply, now), now)
        self.refresh(now)

    def woken(self, now: Now) -> None:
        """``deadline`` has come (or may have)."""
        if step := self._drift.clock_step(now):
            self.counters.add(Counter.CLOCK_JUMPS)
            self.ports.log("warning", "clock_jump", {"by_s": step / 1e9})
        for generation in self.generations():
            due = generation.protocol.deadline
            if due is not None and due <= now.mono and self.heeds_protocol:
                self._run(generation, None, generation.protocol.woken(now), now)
            for link in list(generation.links.values()):
                self._pump(generation, link, now)
                if link.phase is Phase.WAITING and link.retry_at <= now.mono:
                    self._attempt(generation, link, now)
        self._pump_rest(now)
        self.teller.flush(now)
        if self.watch is not None and self.watch_at <= now.mono:
            self.watch(self, now)
        self.refresh(now)

    def command_reconnect(self, now: Now) -> None:
        """An operator asks for fresh connections."""
        for generation in self.generations():
            for link in generation.open_links():
                self.give_up(generation, link, Reason.COMMANDED, "by an operator", now)
        self.refresh(now)

    def stop(self, now: Now) -> None:
        """Take back what is live: nobody will confirm it any more."""
        for link in self.active.open_links():
            closed = self.active.protocol.closed(link.conn, now)
            self._run(self.active, link.conn, closed, now, ("stopped", "by an operator"))

    def generations(self) -> list[Generation]:
        """The one on air, and the standby if there is one."""
        return [self.active] if self.standby is None else [self.active, self.standby]

    def new_generation(self, now: Now, *, standby: bool) -> Generation:
        """A protocol from nothing, not started."""
        self._numbers += 1
        return Generation(self._numbers, self._factory(self._context), now, standby=standby)

    def begin_standby(self, now: Now, rescue: frozenset[str] = frozenset()) -> None:
        """Start a second generation beside the one on air."""
        self.standby = self.new_generation(now, standby=True)
        self.standby.rescue = rescue
        self._run(self.standby, None, self.standby.protocol.start(now), now)

    def end_standby(self) -> None:
        """Give the standby up."""
        if self.standby is not None:
            self._end(self.standby)
            self.standby = None

    def take_over(self, now: Now) -> None:
        """Put the standby on air: the old generation's connections are left, its own whole state is published."""
        if self.standby is None or self.standby.cache is None:
            return
        cache, self.standby.cache = self.standby.cache, None
        self._end(self.active)
        self.active, self.standby = self.standby, None
        for market, event in cache.full():
            self.ports.publish(market, event, now)
            if isinstance(event, Book):
                self.teller.book(market, event.trust, ("takeover", ""), now)

    def replace_active(self, now: Now) -> None:
        """Start again from nothing: for when nothing of the generation on air is worth keeping."""
        self._end(self.active)
        self.active = self.new_generation(now, standby=False)
        self._run(self.active, None, self.active.protocol.start(now), now)

    def _end(self, generation: Generation) -> None:
        for link in generation.links.values():
            self._forget(link)
        generation.links.clear()

    def _forget(self, link: Link) -> None:
        self.ports.drop(link.key)
        self._drift.forget(link.key)
        self._by_key.pop(link.key, None)

    def _run(self, made: Generation, conn: str | None, effects: Effects, now: Now, why: Why | None = None) -> None:
        for effect in effects:
            if type(effect) is not fx.Emit:
                self._performers[type(effect)](made, effect, now)
            elif self._emit(made, conn, effect, now):
                self._turned(made, conn, effect, why or cause(effects, effect), now)

    def _emit(self, generation: Generation, conn: str | None, effect: fx.Emit, now: Now) -> bool:
        """Publish, or hold back. Whether it turned the trust of a market's book."""
        market, event = effect.market, effect.event
        if type(event) is Trade:
            beside = generation.cache is not None and not generation.rescue
            self.ports.publish(market, self._context.seen.placed(market, event, beside=beside), now)
            return False
        if generation.cache is None:
            self.ports.publish(market, event, now)
        else:
            generation.cache.absorb(market, event)
        if isinstance(event, _PRICED):
            view = generation.views.get(market) or generation.view(market)
            turned = not isinstance(event, Bbo) and view.turned(conn, event, now)
            if conn is not None and now.mono >= view.judge_at and event.venue_ns is not None:
                view.judge_at = now.mono + JUDGE_NS
                self._judge_drift(generation, conn, market, event.venue_ns, now)
            return turned
        if isinstance(event, Instrument):
            generation.listed(market, event)
        return False

    def _turned(self, generation: Generation, conn: str | None, effect: fx.Emit, why: Why, now: Now) -> None:
        trust = generation.view(effect.market).trust
        if trust is Trust.LIVE and (link := generation.links.get(conn or "")) is not None:
            link.fruitless = 0
        if trust is not None and generation.cache is None:
            self.teller.book(effect.market, trust, why, now)

    def _send(self, generation: Generation, effect: fx.Send, now: Now) -> None:
        link = generation.links.get(effect.conn)
        if link is not None and link.phase is Phase.OPEN:
            link.outgoing.append(effect.text)
            self._pump(generation, link, now)

    def _ping(self, generation: Generation, effect: fx.Ping, now: Now) -> None:
        link = generation.links.get(effect.conn)
        if link is not None and link.phase is Phase.OPEN and (problem := self.ports.ping(link.key)):
            self.give_up(generation, link, Reason.PING_SEND_FAIL, problem, now)

    def _close(self, generation: Generation, effect: fx.Close, _: Now) -> None:
        if (link := generation.links.pop(effect.conn, None)) is not None:
            self._forget(link)

    def _fetch(self, generation: Generation, effect: Fetch, now: Now) -> None:
        self.limits.queue(str(generation.number), effect)
        self._pump_rest(now)

    def _reconnect(self, generation: Generation, effect: fx.Reconnect, now: Now) -> None:
        link = generation.links.get(effect.conn)
        if link is not None and link.phase is Phase.OPEN:
            self.give_up(generation, link, effect.reason, effect.detail, now)

    def _open(self, generation: Generation, wish: fx.Open, now: Now) -> None:
        link = generation.links.get(wish.conn)
        if link is None:
            link = Link(f"{generation.number}/{wish.conn}", wish.conn, wish.url, wish.headers, self._rng)
            link.retry_at = now.mono
            generation.links[wish.conn] = link
            self._by_key[link.key] = (generation, link)
            self._attempt(generation, link, now)
        elif link.redirected(wish.url, wish.headers, now):
            self.ports.drop(link.key)

    def _reject(self, generation: Generation, effect: fx.Reject, now: Now) -> None:
        self.counters.add(Counter.BAD_FRAMES)
        self.teller.rejected(effect, now)
        link = generation.links.get(effect.conn)
        if link is not None and (detail := link.rejected(effect.problem)):
            self.give_up(generation, link, Reason.DECODE_FAIL_LOOP, detail, now)

    def _judge_drift(self, generation: Generation, conn: str, market: str, venue_ns: int, now: Now) -> None:
        link = generation.links.get(conn)
        behind = None if link is None else self._drift.observe(link.key, market, venue_ns, now)
        if link is not None and behind is not None and link.phase is Phase.OPEN:
            self.give_up(generation, link, Reason.DRIFT, f"{market} fell {behind / 1e9:.1f} s behind", now)

    def _attempt(self, generation: Generation, link: Link, now: Now) -> None:
        start = self.limits.connect_at(now)
        if start > now.mono:
            link.retry_at = start
            self.counters.add(Counter.BUDGET_WAITS)
            self.teller.line("warning", "connect_waits", now, conn=link.conn, wait_s=(start - now.mono) / 1e9)
            return
        self.counters.add(Counter.CONNECTS)
        link.phase, link.opened_at = Phase.CONNECTING, now.mono
        if generation is self.active:
            self.teller.move(self.settings.markets, State.CONNECTING, "start", "", now)
        self.ports.connect(link.key, link.url, link.headers)

    def give_up(self, generation: Generation, link: Link, reason: Reason, detail: str, now: Now) -> None:
        """Leave an open session for a counted reason and plan the next; the protocol hears ``closed`` at once."""
        self.ports.drop(link.key)
        self._drift.forget(link.key)
        wait = link.lost(now, not_before=self.limits.connects_held_until)
        # First what may not be used any more, then why.
        self._run(generation, link.conn, generation.protocol.closed(link.conn, now), now, (reason.value, detail))
        self._left(generation, link, reason, detail, wait, now)

    def _left(self, generation: Generation, link: Link, reason: Reason, detail: str, wait: int, now: Now) -> None:
        if link.failures > 1 and (pause := self.limits.failed(len(generation.links), now)):
            self.counters.add(Counter.BREAKER_OPENINGS)
            self.ports.log("warning", "breaker_open", {"pause_s": pause / 1e9})
        count = self.counters.add_label(f"reconnect.{reason}")
        self.teller.left(Reconnect(link.conn, reason, count, detail, wait // MS), now)
        if generation is self.active and link.fruitless >= DOWN_AFTER:
            fed = [market for market in self.not_live() if generation.view(market).feeding in {None, link.conn}]
            self.teller.move(tuple(fed), State.DOWN, reason, detail, now)

    def _let_in(self, now: Now) -> None:
        """A venue that was away sends data again: the other links need not wait. Not often, for it may keep failing."""
        if now.mono < self._let_in_at:
            return
        self._let_in_at = now.mono + CAP_NS
        soon = max(self.limits.connects_held_until, now.mono + int(self._rng.uniform(0.0, FIRST_NS)))
        for generation in self.generations():
            generation.let_in(soon)

    def _proven(self, link: Link) -> None:
        link.failures = 0
        link.backoff.reset()
        self.limits.breaker.succeeded()

    def _pump(self, generation: Generation, link: Link, now: Now) -> None:
        """Send what the message budget lets through."""
        while link.outgoing and link.phase is Phase.OPEN:
            if self.limits.message_wait_ns(link, now) > 0:
                self.counters.add(Counter.BUDGET_WAITS)
                return
            self.limits.message_taken(link, now)
            problem = self.ports.send(link.key, link.outgoing.popleft())
            if problem is not None:
                self.give_up(generation, link, Reason.PING_SEND_FAIL, problem, now)

    def _pump_rest(self, now: Now) -> None:
        while (call := self.limits.due_call(now)) is not None:
            self.counters.add(Counter.REST_CALLS)
            self.ports.fetch(*call)

    def settle(self, now: Now) -> None:
        """Make ``deadline`` exact; the shell calls it before it waits."""
        if self._aged:
            self.refresh(now)

    def refresh(self, now: Now) -> None:
        """Work out ``deadline`` anew."""
        self._refreshed, self._aged = now.mono, False
        times = [self.watch_at if self.watch is not None else None, self.limits.deadline(now), self.teller.deadline]
        for generation in self.generations():
            times.extend(generation.deadlines(self.limits, now))
            times.append(generation.protocol.deadline if self.heeds_protocol else None)
        self.deadline = min((time for time in times if time is not None), default=None)

    def not_live(self) -> tuple[str, ...]:
        """Markets without a live book, in an order that a replay meets again."""
        return tuple(sorted(set(self.settings.markets) - self.active.live))
