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
from bus.events import NO_MARKET, Bbo, Book, Delta, Instrument, Reason, Reconnect, State, Status, Trade
from bus.settings import Venue as VenueSettings
from connectors import effects as fx
from connectors.backoff import HEALTHY_NS
from connectors.budget import Window
from connectors.drift import Drift
from connectors.effects import Effect, Effects, Fetch, Now, Refusal, Reply
from connectors.feed import Rebuilds, SeenTrades
from connectors.generation import Generation
from connectors.health import Health
from connectors.limits import Limits
from connectors.links import REJECT_LIMIT, Link, Phase
from connectors.ports import Ports
from connectors.venue import Budget, Context, Factory, VenueSpec

MS: Final = 1_000_000
REFRESH_NS: Final = 1 * MS
"""How stale the cached deadline may be while frames never pause."""
DOWN_AFTER: Final = 3
"""Failed attempts in a row after which a market without a live book is called down."""
JUDGE_NS: Final = 100 * MS  # between two looks at one market's lag: a look costs a microsecond, drift takes seconds
SAMPLES_PER_MINUTE: Final = 5
SAMPLE_BYTES: Final = 300
_PRICED: Final = (Book, Delta, Bbo)
TROUBLE: Final = frozenset({State.STALE, State.RECOVERING, State.DOWN})


class Engine:
    """One venue's connector without its I/O. All methods take the time and return nothing; ``deadline`` is next due."""

    def __init__(
        self, spec: VenueSpec, factory: Factory, settings: VenueSettings, ports: Ports, counters: Counters, rng: Random
    ) -> None:
        self.spec = spec
        self.settings = settings
        self.ports = ports
        self.counters = counters
        self.deadline: int | None = None
        self._factory = factory
        self._context = Context(settings, Rebuilds(), SeenTrades())
        self._rng = rng
        self._numbers = 0
        self.limits = Limits(spec)
        self._by_key: dict[str, tuple[Generation, Link]] = {}
        self._drift = Drift(spec.drift_ns)
        self._refreshed = 0
        self._samples = Window(Budget(SAMPLES_PER_MINUTE, HEALTHY_NS))
        self.active: Generation
        self.standby: Generation | None = None
        self.health: Health
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
            fx.Note: lambda _, effect, __: ports.log(effect.level, effect.event, effect.fields),
        }

    def start(self, now: Now) -> None:
        """Process start."""
        self.watch_at = now.mono
        self.health = Health(self.settings.markets, now)
        for market, status in self.health.all():
            self.ports.publish(market, status, now)
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
        self._log("info", "connected", conn=link.conn, url=link.url)
        if generation is self.active:
            self._move(self._not_live(), State.SYNCING, "connected", "", now)
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
            self._log("warning", "connects_held", status=refusal.status, wait_s=held / 1e9)
        self._plan(generation, link, refusal.reason, refusal.detail, now)
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
        elif link.failures and now.mono - link.first_data >= HEALTHY_NS:
            self._proven(link)
        rejects = link.rejects
        self._run(generation, link.conn, generation.protocol.received(link.conn, frame, binary, now), now)
        if rejects and link.rejects == rejects:
            link.rejects = 0
        if now.mono - self._refreshed >= REFRESH_NS:
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
            if held := self.limits.answered(reply, now):
                self._log("warning", "rest_held", status=reply.status, wait_s=held / 1e9, url=request.url)
        for generation in self.generations():
            if str(generation.number) == key:
                self._run(generation, None, generation.protocol.fetched(request, reply, now), now)
        self.refresh(now)

    def woken(self, now: Now) -> None:
        """``deadline`` has come (or may have)."""
        if step := self._drift.clock_step(now):
            self.counters.add(Counter.CLOCK_JUMPS)
            self._log("warning", "clock_jump", by_s=step / 1e9)
        for generation in self.generations():
            due = generation.protocol.deadline
            if due is not None and due <= now.mono:
                self._run(generation, None, generation.protocol.woken(now), now)
            for link in list(generation.links.values()):
                self._pump(generation, link, now)
                if link.phase is Phase.WAITING and link.retry_at <= now.mono:
                    self._attempt(generation, link, now)
        self._pump_rest(now)
        if self.watch is not None and self.watch_at <= now.mono:
            self.watch(self, now)
        self.refresh(now)

    def command_reconnect(self, now: Now) -> None:
        """An operator asks for fresh connections."""
        for generation in self.generations():
            for link in generation.open_links():
                self.give_up(generation, link, Reason.COMMANDED, "by an operator", now)
        self.refresh(now)

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
                self._statuses(self.health.book(market, event.trust, "takeover", now), now)

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

    def _run(self, generation: Generation, conn: str | None, effects: Effects, now: Now) -> None:
        for effect in effects:
            if type(effect) is fx.Emit:
                self._emit(generation, conn, effect, now)
            else:
                self._performers[type(effect)](generation, effect, now)

    def _emit(self, generation: Generation, conn: str | None, effect: fx.Emit, now: Now) -> None:
        market, event = effect.market, effect.event
        on_air = generation.cache is None
        if on_air or type(event) is Trade:
            self.ports.publish(market, event, now)
        if generation.cache is not None:
            generation.cache.absorb(market, event)
        if isinstance(event, _PRICED):
            view = generation.view(market)
            if not isinstance(event, Bbo) and view.turned(conn, event, now) and on_air:
                self._statuses(self.health.book(market, event.trust, "book", now), now)
            if conn is not None and now.mono >= view.judge_at and event.venue_ns is not None:
                view.judge_at = now.mono + JUDGE_NS
                self._judge_drift(generation, conn, market, event.venue_ns, now)
        elif isinstance(event, Instrument):
            generation.listed(market, event)

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
        elif link.url != wish.url or link.headers != wish.headers:
            link.url, link.headers = wish.url, wish.headers
            if link.phase is not Phase.WAITING:
                self.ports.drop(link.key)
                link.phase, link.retry_at = Phase.WAITING, now.mono

    def _reject(self, generation: Generation, effect: fx.Reject, now: Now) -> None:
        self.counters.add(Counter.BAD_FRAMES)
        if self._samples.wait_ns(now.mono) == 0:
            self._samples.take(now.mono)
            sample = effect.sample[:SAMPLE_BYTES].decode(errors="backslashreplace")
            self._log("warning", "bad_frame", conn=effect.conn, problem=effect.problem, sample=sample)
        link = generation.links.get(effect.conn)
        if link is not None:
            link.rejects += 1
            if link.rejects >= REJECT_LIMIT and link.phase is Phase.OPEN:
                detail = f"{link.rejects} bad frames in a row, last: {effect.problem}"
                self.give_up(generation, link, Reason.DECODE_FAIL_LOOP, detail, now)

    def _judge_drift(self, generation: Generation, conn: str, market: str, venue_ns: int, now: Now) -> None:
        link = generation.links.get(conn)
        if link is None:
            return
        behind = self._drift.observe(link.key, market, venue_ns, now)
        if behind is not None and link.phase is Phase.OPEN:
            self.give_up(generation, link, Reason.DRIFT, f"{market} fell {behind / 1e9:.1f} s behind", now)

    def _attempt(self, generation: Generation, link: Link, now: Now) -> None:
        start = self.limits.connect_at(now)
        if start > now.mono:
            link.retry_at = start
            self.counters.add(Counter.BUDGET_WAITS)
            return
        self.counters.add(Counter.CONNECTS)
        link.phase, link.opened_at = Phase.CONNECTING, now.mono
        if generation is self.active:
            self._move(self.settings.markets, State.CONNECTING, "start", "", now)
        self.ports.connect(link.key, link.url, link.headers)

    def give_up(self, generation: Generation, link: Link, reason: Reason, detail: str, now: Now) -> None:
        """Leave an open session for a counted reason and plan the next; the protocol hears ``closed`` at once."""
        self.ports.drop(link.key)
        self._drift.forget(link.key)
        self._plan(generation, link, reason, detail, now)
        self._run(generation, link.conn, generation.protocol.closed(link.conn, now), now)

    def _plan(self, generation: Generation, link: Link, reason: Reason, detail: str, now: Now) -> None:
        wait = link.lost(now, not_before=self.limits.connects_held_until)
        breaker = self.limits.breaker
        breaker.limit = 3 * max(2, len(generation.links))
        if link.failures > 1 and breaker.failed(now.mono):
            self.counters.add(Counter.BREAKER_OPENINGS)
            self._log("warning", "breaker_open", pause_s=((breaker.open_until or 0) - now.mono) / 1e9)
        count = self.counters.add_label(f"reconnect.{reason}")
        event = Reconnect(link.conn, reason, count, detail, wait // MS)
        self.ports.publish(NO_MARKET, event, now)
        self._log(
            "warning", "reconnect", conn=link.conn, reason=reason.value, count=count, detail=detail, wait_ms=wait // MS
        )
        if generation is self.active and link.failures >= DOWN_AFTER:
            self._move(self._not_live(), State.DOWN, reason, detail, now)

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

    def refresh(self, now: Now) -> None:
        """Work out ``deadline`` anew; the shell calls it before it waits."""
        self._refreshed = now.mono
        times = [self.watch_at if self.watch is not None else None, self.limits.deadline(now)]
        for generation in self.generations():
            times.extend(generation.deadlines(self.limits, now))
        self.deadline = min((time for time in times if time is not None), default=None)

    def call_down(self, now: Now) -> None:
        """Recovery has taken longer than its budget."""
        self._move(self._not_live(), State.DOWN, "recovery_budget", "", now)

    def _not_live(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.settings.markets) - self.active.live))

    def _move(self, markets: tuple[str, ...], state: State, reason: str, detail: str, now: Now) -> None:
        self._statuses(self.health.move(markets, state, reason, detail, now), now)

    def _statuses(self, found: list[tuple[str, Status]], now: Now) -> None:
        for market, status in found:
            self.ports.publish(market, status, now)
            fields = self.health.line(market, status)
            if fields is not None:
                self.ports.log("warning" if status.state in TROUBLE else "info", status.state.value, fields)

    def _log(self, level: str, event: str, **fields: object) -> None:
        self.ports.log(level, event, fields)
