"""What all venues share: markets and their truths, sessions, limits, the HTTP application."""

from __future__ import annotations

import asyncio
import itertools
import re
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from simulator.clock import VenueClock
from simulator.decimals import encode
from simulator.frames import Answer, Connection, Hook
from simulator.limits import Ledger
from simulator.scheduler import Scheduler, Timer
from simulator.stats import Stats, first_stats, settled, step_funding, step_stats
from simulator.truth import OutsideHistoryError, Pace, Truth

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from decimal import Decimal

    from simulator.book import Book
    from simulator.session import Session
    from simulator.settings import Settings
    from simulator.truth import MarketSpec, Version

BORN_US = 2_000_000
MOST_MESSAGE_BYTES = 4 << 20


class UnknownSwitchError(LookupError):
    """The venue has no such switch."""


class Venue:
    """One venue on one port. Subclass, see the package docstring; everything here runs on the event loop's thread."""

    name = ""
    native_seq = True
    """Whether ``Version.seq`` is a number the venue prints; otherwise the truth is asked for by time."""
    first_seq = 1
    compress = False
    """Whether permessage-deflate is accepted when a client offers it."""
    ws_paths: tuple[str, ...] = ("/ws",)
    """What the ports file appends nothing to: informational, shown by ``GET /state``."""
    switches: Mapping[str, str] = {}
    """Where documents leave a behaviour open: name and default. ``--set venue.name=value``, ``PUT /switches``."""

    def __init__(self, settings: Settings, hook: Hook, ledger: Ledger, on_error: Callable[[Exception], None]) -> None:
        self.settings = settings
        self.hook = hook
        self.ledger = ledger
        self.clock = VenueClock()
        self.scheduler = Scheduler(on_error)
        self.on_error = on_error
        """Ends the whole simulator: a venue that is wrong must not look merely quiet."""
        self.sessions: dict[int, Session] = {}
        self.frames_sent = 0
        self.connections_total = 0
        self.slow_clients = 0
        self.set: dict[str, str] = dict(self.switches)
        for name, value in settings.switches_of(self.name).items():
            self.switch(name, value)
        self.specs: dict[str, MarketSpec] = {}
        """By our market id."""
        self.truths: dict[str, Truth] = {}
        self.stats: dict[str, Stats] = {}
        self.rng: dict[str, Random] = {}
        self.noise = Random(f"{settings.seed}:{self.name}")
        """For jitter and made-up ids: nothing that belongs to the truth."""
        self._numbers = itertools.count(1)
        self._timers: list[Timer] = []
        self._make_markets()

    # ---- to be implemented ----

    def spec(self, base: str) -> MarketSpec:
        """Describe the market of a base asset as this venue lists it."""
        raise NotImplementedError

    def install(self, app: web.Application) -> None:
        """Add routes."""
        raise NotImplementedError

    def open_session(self, connection: Connection, request: web.Request, ws: web.WebSocketResponse) -> Session:
        """Make the session of an accepted connection."""
        raise NotImplementedError

    def begin(self) -> None:
        """Start periodic work; called once every port listens."""

    def admit(self, request: web.Request) -> web.Response | None:
        """Refuse an upgrade (connection limits, missing headers, bad parameters); None accepts."""
        del request
        return None

    def counter(self) -> int | None:
        """Present value of an engine counter shared by all markets, else None."""
        return None

    # ---- markets ----

    def _make_markets(self) -> None:
        # A venue may publish with a lag, so the first book is older than the first frame.
        now = self.clock.now_us() - BORN_US
        for base in self.settings.markets:
            spec = self.spec(base)
            rng = Random(f"{self.settings.seed}:{self.name}:{spec.market}")
            truth = Truth(spec, rng, seq=self.first_seq, now_us=now, history=self.settings.history)
            self.specs[spec.market] = spec
            self.truths[spec.market] = truth
            self.rng[spec.market] = rng
            self.stats[spec.market] = first_stats(truth, rng)

    def market_of(self, symbol: str) -> str | None:
        """Our market id of a venue symbol, exactly as written."""
        return next((spec.market for spec in self.specs.values() if spec.symbol == symbol), None)

    def market_in(self, text: str) -> str | None:
        """Our id of the one market that a client's message or a request's path names: what market faults go by."""
        found = [market for market, spec in self.specs.items() if _names(text, spec.symbol)]
        return found[0] if len(found) == 1 else None

    def refusal(self, text: str) -> bytes | None:
        """This venue's error reply if the message subscribes to something; None for any other message."""
        value = subscribe_request(text)
        if value is None:
            return None
        error = {"code": -32600, "message": "Invalid request"}
        return encode({"jsonrpc": "2.0", "id": value.get("id"), "error": error})

    def step_stats(self, market: str) -> Stats:
        """Move mark, index and open interest a little."""
        stats = self.stats[market]
        step_stats(stats, self.truths[market], self.rng[market])
        return stats

    def step_funding(self, market: str) -> Stats:
        """Move the funding estimate a little."""
        stats = self.stats[market]
        step_funding(stats, self.rng[market])
        return stats

    def pace(self, pace: Pace) -> Pace:
        """The venue's usual liveliness under ``--rate``."""
        rate = self.settings.rate
        return Pace(
            max(1, round(pace.edits * rate)) if rate else 0, min(1.0, pace.move * rate), min(1.0, pace.trade * rate)
        )

    def book_period(self, documented_s: float) -> float:
        """Seconds between book frames of one market: the documented cadence, or the ``--frames-per-second`` setting."""
        wanted = self.settings.frames_per_second
        return documented_s if wanted is None else 1.0 / wanted

    def funding_hours(self, market: str) -> int:
        """Hours between settlements of funding, counted from midnight UTC."""
        del market
        return 1

    def settled(self, market: str, hour: int) -> Decimal:
        """The rate settled at ``hour`` (since the epoch), a fraction per hour, as finely as the venue prints it."""
        return settled(self.settings.seed, market, hour)

    def truth_at(self, market: str, seq: int | None, ts_us: int | None) -> tuple[Version, Book]:
        """Version and book as of a native sequence or a printed time; the newest when neither is given."""
        truth = self.truths[market]
        if seq is not None:
            if not self.native_seq:
                message = f"{self.name} has no sequence numbers; ask by ts_ms"
                raise OutsideHistoryError(message)
            return truth.as_of_seq(seq, newest=self.counter())
        if ts_us is not None:
            return truth.as_of_us(self.clock.true_us(ts_us))
        return truth.last, truth.book

    # ---- services ----

    def switch(self, name: str, value: str) -> None:
        """Set one of the venue's switches."""
        if name not in self.switches:
            message = f"{self.name} has no switch {name!r}, only {sorted(self.switches)}"
            raise UnknownSwitchError(message)
        self.set[name] = value

    def scaled(self, seconds: float) -> float:
        """A lifetime or keepalive period under ``--time-scale``."""
        return seconds * self.settings.time_scale

    def every(
        self, period: float | Callable[[], float], callback: Callable[[], object], *, first: float | None = None
    ) -> None:
        """Call until the venue ends."""
        self._timers.append(self.scheduler.every(period, callback, first=first))

    def violation(self, limit: str, detail: str = "") -> bool:
        """Count a client going over a documented limit; True when it shall also be punished for it."""
        self.ledger.record(self.name, limit, self.clock.now_ns(), detail)
        return self.settings.limits == "enforce"

    def note_slow_client(self, connection: Connection) -> None:
        """Count a client whose send queue overflowed."""
        self.slow_clients += 1
        self.violation("slow_client", f"connection {connection.number}")

    # ---- shell ----

    def application(self) -> web.Application:
        """The HTTP application with this venue's routes behind the hook."""
        app = web.Application(middlewares=[self._through_hook], client_max_size=1 << 20)
        self.install(app)
        return app

    @web.middleware
    async def _through_hook(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await self._hooked(request, handler)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception as error:
            self.on_error(error)
            raise

    async def _hooked(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self.hook.idle:
            return await handler(request)
        upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
        decide = self.hook.handshake if upgrade else self.hook.rest
        answer = decide(self.name, request.path_qs, self.clock.monotonic())
        return await handler(request) if answer is None else await self._answer(request, answer, handler)

    async def _answer(
        self, request: web.Request, answer: Answer, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        await asyncio.sleep(answer.delay_s)
        if answer.then_serve:
            return await handler(request)
        if not answer.status:
            if request.transport is not None:
                request.transport.close()
            return web.Response(status=500)
        headers = dict(answer.headers) | {"Content-Type": answer.content_type}
        return web.Response(status=answer.status, body=answer.body, headers=headers)

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        """Accept an upgrade and serve it until it ends: the handler to route WebSocket paths to."""
        refusal = self.admit(request)
        if refusal is not None:
            return refusal
        ws = web.WebSocketResponse(
            autoping=False, autoclose=False, compress=self.compress, max_msg_size=MOST_MESSAGE_BYTES
        )
        if not ws.can_prepare(request):
            return web.Response(status=400, text="WebSocket upgrade expected")
        await ws.prepare(request)
        number = next(self._numbers)
        connection = Connection(number, self.name, request.path_qs, request.remote or "", self.clock.monotonic())
        session = self.open_session(connection, request, ws)
        self.sessions[number] = session
        self.connections_total += 1
        try:
            await session.run()
        finally:
            del self.sessions[number]
        return ws

    def end(self) -> None:
        """Stop periodic work and drop every connection."""
        for timer in self._timers:
            timer.cancel()
        for session in list(self.sessions.values()):
            session.drop()

    def state(self) -> dict[str, Any]:
        """What ``GET /state`` shows of this venue."""
        now = self.clock.monotonic()
        connections = [
            {
                "number": number,
                "path": session.connection.path,
                "opened_ns": self.clock.now_ns() - round((now - session.connection.opened_at) * 1e9),
                "frames_sent": session.frames_sent,
            }
            | session.describe()
            for number, session in self.sessions.items()
        ]
        return {
            "connections": connections,
            "connections_total": self.connections_total,
            "frames_sent": self.frames_sent,
            "slow_clients": self.slow_clients,
            "skew_us": self.clock.skew_us,
            "switches": dict(self.set),
            "markets": {market: spec.symbol for market, spec in self.specs.items()},
        }


def _names(text: str, symbol: str) -> bool:
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(symbol)}(?![A-Za-z0-9])", text, re.IGNORECASE) is not None


def subscribe_request(text: str) -> dict[str, Any] | None:
    """The message as an object if its ``method`` or ``type`` is to subscribe."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return value if str(value.get("method") or value.get("type")).lower() == "subscribe" else None
