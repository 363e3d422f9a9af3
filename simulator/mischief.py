"""Puts faults in force and takes them out: ports, open connections, clocks, and the times of everything.

It owns no socket, clock or timer: what it acts upon is handed to it, by the interfaces below.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Protocol

from simulator.fault_hook import FaultHook, close_frame
from simulator.faults import Fault, FaultError, Register, Request, read_request
from simulator.frames import Frame, Op, Send

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping
    from random import Random

    from simulator.frames import Connection, Mode, Step
    from simulator.truth import Truth

SKEW_STEP_S = 0.25
"""A drifting clock is moved so often; printed times are exact in between."""
AGE_CHECK_S = 0.05


class Clock(Protocol):
    """Wall clock in nanoseconds, monotonic clock in seconds."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds for deadlines."""


class Skewable(Protocol):
    """A venue's own clock."""

    def set_skew(self, skew_us: int) -> None:
        """Print times shifted by so much."""


class Timer(Protocol):
    """Something that will be called."""

    def cancel(self) -> None:
        """Never call again."""


class Timers(Protocol):
    """Makes timers."""

    def after(self, seconds: float, callback: Callable[[], object], /) -> Timer:
        """Call once."""

    def every(self, period: float, callback: Callable[[], object], /, *, first: float | None = None) -> Timer:
        """Call again and again."""


class Session(Protocol):
    """An open connection."""

    @property
    def connection(self) -> Connection:
        """What is known of it."""

    def take(self, steps: tuple[Step, ...], /) -> None:
        """Send what is not the venue's own."""

    def drop(self, how: str, /) -> None:
        """End it by ``fin`` or ``rst``."""

    def faults_changed(self) -> None:
        """Let go of what a fault held back that is over."""


class Venue(Protocol):
    """One venue."""

    @property
    def name(self) -> str:
        """Its id."""

    @property
    def sessions(self) -> Mapping[int, Session]:
        """Open connections."""

    @property
    def truths(self) -> Mapping[str, Truth]:
        """Markets."""

    @property
    def clock(self) -> Skewable:
        """What it believes the time is."""

    def market_in(self, text: str, /) -> str | None:
        """The one market that a text names."""

    def refusal(self, text: str, /) -> bytes | None:
        """Its refusal of a subscription; None for other messages."""


class Port(Protocol):
    """Where a venue listens."""

    def switch(self, mode: Mode, /) -> Coroutine[Any, Any, None]:
        """Change what happens to connects."""


class Mischief:
    """The faults of a run. ``spawn`` runs a coroutine (ports open and close on the loop)."""

    def __init__(
        self, clock: Clock, timers: Timers, rng: Random, spawn: Callable[[Coroutine[Any, Any, None]], None]
    ) -> None:
        self.register = Register()
        self.hook = FaultHook(self.register, rng)
        self._clock = clock
        self._callbacks = timers
        self._spawn = spawn
        self._venues: Mapping[str, Venue] = {}
        self._listeners: Mapping[str, Port] = {}
        self._timers: dict[str, list[Timer]] = {}

    def attach(self, venues: Mapping[str, Venue], listeners: Mapping[str, Port]) -> None:
        """Learn what there is to spoil."""
        self._venues, self._listeners = venues, listeners
        self.hook.venues = {name: _VenueText(venue) for name, venue in venues.items()}
        books = ((name, market, truth.book) for name, venue in venues.items() for market, truth in venue.truths.items())
        self.hook.markets = {(name, market): book for name, market, book in books}

    @property
    def served(self) -> dict[str, set[str]]:
        """Venues and their markets."""
        return {name: set(venue.truths) for name, venue in self._venues.items()}

    def plan(self, value: object) -> list[Fault]:
        """Schedule what a client of the control API asked for: one fault or a list; all or none."""
        asked = value if isinstance(value, list) else [value]
        return self.schedule([read_request(one, self.served) for one in asked])

    def schedule(self, requests: list[Request]) -> list[Fault]:
        """Schedule faults; those due now are in force when this returns."""
        return [self._schedule(request) for request in requests]

    def _schedule(self, request: Request) -> Fault:
        fault = self.register.add(request, self._clock.now_ns())
        if request.at_s:
            self._timer(fault, self._callbacks.after(request.at_s, lambda: self._begin(fault)))
        else:
            self._begin(fault)
        return fault

    def remove(self, fault_id: str) -> Fault:
        """End a fault early, or before it began."""
        fault = self.register.find(fault_id)
        if fault is None:
            raise FaultError(f"no scheduled or active fault {fault_id}")
        self._end(fault)
        return fault

    def clear(self) -> int:
        """End everything."""
        faults = [*self.register.active.values(), *self.register.scheduled.values()]
        for fault in faults:
            self._end(fault)
        return len(faults)

    # ---- beginning and ending ----

    def _timer(self, fault: Fault, timer: Timer) -> None:
        self._timers.setdefault(fault.id, []).append(timer)

    def _begin(self, fault: Fault) -> None:
        self.register.begin(fault, self._clock.now_ns(), self._clock.monotonic())
        self._changed()
        self._act(fault)
        if not fault.kind.lasting:
            self._end(fault)
        elif fault.request.for_s is not None:
            self._timer(fault, self._callbacks.after(fault.request.for_s, lambda: self._end(fault)))

    def _end(self, fault: Fault) -> None:
        for timer in self._timers.pop(fault.id, []):
            timer.cancel()
        was_active = fault.id in self.register.active
        self.register.end(fault, self._clock.now_ns())
        self._changed()
        if was_active and fault.kind.where == "port":
            self._ports(fault)
        elif was_active and fault.kind.where == "clock":
            self._skew()

    def _changed(self) -> None:
        self.hook.refresh()
        for venue in self._venues.values():
            for session in list(venue.sessions.values()):
                session.faults_changed()

    def _act(self, fault: Fault) -> None:
        match fault.request.fault:
            case "close" | "fin" | "reset":
                self._end_sessions(fault, fault.request.fault)
            case "maintenance":
                self._end_sessions(fault, "close")
            case "lifetime":
                self._timer(fault, self._callbacks.every(AGE_CHECK_S, lambda: self._end_old(fault), first=0.0))
            case "ping_flood":
                self._repeat(fault, lambda number: Frame(str(number).encode(), "ping", op=Op.PING))
            case "inject":
                text = fault.text("text").encode()
                self._repeat(fault, lambda _: Frame(text, "control"))
            case "clock_skew":
                self._timer(fault, self._callbacks.every(SKEW_STEP_S, self._skew, first=0.0))
            case _:
                if fault.kind.where == "port":
                    self._ports(fault)

    # ---- ports ----

    def _ports(self, fault: Fault) -> None:
        if fault.id in self.register.active and fault.flag("drop"):
            self._end_sessions(fault, "fin")
        for name in self._names(fault):
            wanted = [other for other in self.register.on("port") if other.touches(name, None)]
            mode: Mode = wanted[-1].request.fault if wanted else "serve"  # type: ignore[assignment]
            self._spawn(self._listeners[name].switch(mode))

    def _names(self, fault: Fault) -> list[str]:
        return [name for name in self._venues if fault.touches(name, None)]

    # ---- open connections ----

    def _sessions(self, fault: Fault) -> Iterator[Session]:
        for venue in self._venues.values():
            for session in list(venue.sessions.values()):
                if fault.touches(venue.name, venue.market_in(session.connection.path)):
                    yield session

    def _end_sessions(self, fault: Fault, how: str) -> None:
        for session in self._sessions(fault):
            self._end_session(session, fault, how)

    def _end_session(self, session: Session, fault: Fault, how: str) -> None:
        fault.acted(self._clock.monotonic())
        if how == "close":
            session.take((Send(close_frame(fault)),))
        else:
            session.drop("rst" if how in {"reset", "rst"} else "fin")

    def _end_old(self, fault: Fault) -> None:
        now, limit = self._clock.monotonic(), fault.number("after_s")
        for session in self._sessions(fault):
            notes = session.connection.notes
            if now - session.connection.opened_at >= limit and fault.id not in notes:
                notes[fault.id] = True
                self._end_session(session, fault, fault.text("how"))

    def _repeat(self, fault: Fault, make: Callable[[int], Frame]) -> None:
        numbers = itertools.count(1)

        def once() -> None:
            frame = make(next(numbers))
            for session in self._sessions(fault):
                fault.acted(self._clock.monotonic())
                session.take((Send(frame),))

        rate = fault.number("per_s")
        if rate:
            self._timer(fault, self._callbacks.every(1 / rate, once, first=0.0))
        else:
            once()

    # ---- clocks ----

    def _skew(self) -> None:
        now = self._clock.monotonic()
        skews = self.register.on("clock")
        for name, venue in self._venues.items():
            total = sum(
                fault.number("offset_s") + fault.number("drift") * (now - fault.began)
                for fault in skews
                if fault.touches(name, None)
            )
            venue.clock.set_skew(round(total * 1e6))


class _VenueText:
    """Finds markets in what clients send, and refuses subscriptions in the venue's words."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def market_in(self, message: str | bytes) -> str | None:
        """Our id of the one market whose symbol the text names."""
        text = message if isinstance(message, str) else message.decode(errors="replace")
        return self._venue.market_in(text)

    def refusal(self, message: str | bytes) -> bytes | None:
        """The venue's refusal of a subscription."""
        text = message if isinstance(message, str) else message.decode(errors="replace")
        return self._venue.refusal(text)
