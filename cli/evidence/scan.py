"""One pass over the lines of ``telemetry.jsonl``: everything that a report tells of them, in bounded memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from cli.evidence.counts import Increase
from cli.evidence.series import Plateau, Series, Span, Spans
from cli.evidence.tally import EXACT_BELOW, Tally, whole
from cli.evidence.ticks import (
    SCHEMA,
    Check,
    Hops,
    Market,
    MarketDetail,
    Process,
    System,
    Tick,
    Venue,
    VenueDetail,
    decode,
)

PLATEAUS_MS: Final = (10_000, 30_000)
HOLE_MS: Final = 1_500
"""Ticks further apart than this, or than five ticks, leave a hole: nobody watched then."""
MAX_TORN_SHARE: Final = 0.01
MAX_MOMENTS: Final = 50_000
UNKNOWN: Final = "unknown"


class BrokenLineError(ValueError):
    """A line that is not telemetry. ``number`` counts from 1."""

    def __init__(self, number: int, problem: str) -> None:
        self.number = number
        self.problem = problem
        super().__init__(f"line {number}: {problem}")


class Moment(msgspec.Struct, frozen=True, gc=False):
    """Something that happened at a time (wall clock ms), to a venue or process, of one market or of all (``None``)."""

    at_ms: float
    who: str
    what: str
    words: str = ""
    market: str | None = None


def _count(counts: dict[int, int], value: float) -> None:
    """``Tally.add``, for the hot path: most ages are small whole numbers already."""
    counts[value if value.__class__ is int and -EXACT_BELOW < value < EXACT_BELOW else whole(value)] += 1


class MarketScan:
    """One market over the run."""

    __slots__ = ("age", "check", "event_age", "plateaus", "rebuilds", "state_ms", "trouble", "trusted_ms")

    def __init__(self, *, whole_run: bool) -> None:
        self.age = Tally()
        self.event_age = Tally()
        self.state_ms: dict[str, float] = defaultdict(float)
        self.trusted_ms = 0.0
        self.rebuilds = Increase(whole=whole_run)
        self.check: Check | None = None

    def tick(self, market: Market, dt_ms: float) -> None:
        """One tick that lasted so long."""
        if market.age_ms is not None:
            _count(self.age.counts, market.age_ms)
        if market.age_event_ms is not None:
            _count(self.event_age.counts, market.age_event_ms)
        self.state_ms[market.state or UNKNOWN] += dt_ms
        if market.trusted:
            self.trusted_ms += dt_ms

    def detail(self, detail: MarketDetail) -> None:
        """The part of once a second."""
        self.check = detail.check or self.check
        if detail.rebuild is not None:
            self.rebuilds.take({"rebuilds": detail.rebuild})


class VenueScan:
    """One venue over the run."""

    def __init__(self, *, whole_run: bool) -> None:
        self._whole_run = whole_run
        self.age = Tally()
        self.event_age = Tally()
        self.series = Series()
        self.plateaus = {threshold: Plateau(threshold) for threshold in PLATEAUS_MS}
        self.state_ms: dict[str, float] = defaultdict(float)
        self.well_ms = 0.0
        self.trouble = Spans()
        self.skew = Series()
        self.hops = Hops()
        self.stale_ms: float | None = None
        self.reconnects = Increase(whole=whole_run)
        self.events = Increase(whole=whole_run)
        self.late = Increase(whole=whole_run)
        self.markets: dict[str, MarketScan] = {}
        self._silent = False

    def ages(self, age: float | None, event_age: float | None, at_ms: float) -> None:
        """Both ages of one tick."""
        if age is not None:
            _count(self.age.counts, age)
            self.series.add(at_ms, age)
        if event_age is not None:
            _count(self.event_age.counts, event_age)

    def silence(self, silent_ms: float | None) -> None:
        """Time without news at this tick; an unknown one is no silence yet."""
        if silent_ms is None:
            return
        if silent_ms < PLATEAUS_MS[0] and not self._silent:
            return
        self._silent = silent_ms >= PLATEAUS_MS[0]
        for plateau in self.plateaus.values():
            plateau.tick(silent_ms)

    def state(self, venue: Venue, at_ms: float, wall_ms: float, dt_ms: float) -> str:
        """What the venue is at this tick. Gives what is wrong with it, empty when nothing is."""
        state = venue.state or UNKNOWN
        self.state_ms[state] += dt_ms
        wrong = ""
        if state == "live" and venue.fresh and venue.trusted:
            self.well_ms += dt_ms
        else:
            wrong = _wrong(venue, state)
        self.trouble.set(wrong, wall_ms)
        if venue.skew_ms is not None and venue.skew_ms != self.skew.last:
            self.skew.add(at_ms, venue.skew_ms)
        for name, market in venue.markets.items():
            scan = self.markets.get(name)
            if scan is None:
                scan = self.markets[name] = MarketScan(whole_run=self._whole_run)
            scan.tick(market, dt_ms)
        return wrong

    def detail(self, detail: VenueDetail) -> dict[str, int]:
        """The part of once a second; gives reconnects that are new, by reason."""
        self.stale_ms = detail.stale_ms
        self.hops = detail.hops_us
        self.events.take(detail.events)
        self.late.take({"late": detail.late})
        return self.reconnects.take(detail.reconnects)

    def market_details(self, markets: Mapping[str, MarketDetail]) -> None:
        """The same of its markets."""
        for name, detail in markets.items():
            if name in self.markets:
                self.markets[name].detail(detail)


def _wrong(venue: Venue, state: str) -> str:
    if state != "live":
        return f"{state} ({venue.reason})" if venue.reason else state
    words = [] if venue.fresh else ["not fresh"]
    words += [f"{name} not trusted" for name, market in venue.markets.items() if not market.trusted]
    return ", ".join(words) or "not trusted"


class ProcessScan:
    """One process over the run."""

    def __init__(self, *, whole_run: bool) -> None:
        self.rss = Series()
        self.cpu = Series()
        self.restarts = Increase(whole=whole_run)
        self.worst_loop_lag_ms: float | None = None
        self.missing = Spans()
        self.pid: int | None = None

    def told(self, process: Process, at_ms: float, wall_ms: float) -> bool:
        """What telemetry says of it now; whether it is another run than before."""
        if process.rss_bytes is not None:
            self.rss.add(at_ms, process.rss_bytes)
        if process.cpu_percent is not None:
            self.cpu.add(at_ms, process.cpu_percent)
        lags = (self.worst_loop_lag_ms, process.worst_loop_lag_ms)
        self.worst_loop_lag_ms = max((lag for lag in lags if lag is not None), default=None)
        self.missing.set("missing" if process.missing else "", wall_ms)
        self.restarts.take({"restarts": process.restarts})
        before, self.pid = self.pid, process.pid or self.pid
        return before is not None and self.pid != before


class Scan:
    """Everything about one run. Feed it lines in order, then look at it."""

    def __init__(self, *, whole_run: bool, tick_ms: int = 250, part: tuple[int, int] = (0, 1)) -> None:
        """``whole_run``: the processes began with the run, so that what counters first show belongs to it.

        ``part``: which of how many shares of the venues to look at; the first has what belongs to no venue, too. See
        ``cli.evidence.parts``.
        """
        self.whole_run = whole_run
        self.places: dict[str, int] = {}
        """Venues in the order in which they first appeared, those of other parts included."""
        self._part, self._parts = part
        self.venues: dict[str, VenueScan] = {}
        self.processes: dict[str, ProcessScan] = {}
        self.lines = 0
        self.ticks = 0
        self.runners = 0
        """Lives of the runner: its tick numbers begin anew with each."""
        self.torn: list[int] = []
        """Numbers of lines that are no whole line: torn by a kill or a full disk."""
        self.begin_ms: float | None = None
        self.end_ms: float | None = None
        self.seen_ms = 0.0
        """Time that ticks cover."""
        self.holes: list[Span] = []
        self.moments: list[Moment] = []
        self.ranks: list[tuple[int, ...]] = []
        """Place of each moment among those of all parts."""
        self.left_out = 0
        """Moments beyond ``MAX_MOMENTS``."""
        self.cap_hits = Increase(whole=whole_run)
        self.clock_jumps = Increase(whole=whole_run)
        self.pressure = Increase(whole=whole_run)
        self.delivery = Increase(whole=whole_run)
        self.runner = Increase(whole=whole_run)
        self.system: System | None = None
        self.worst_imbalance: int | None = None
        self.slowest_heal_ms: float | None = None
        self.late_tick_ms: float | None = None
        self._hole_ms = max(HOLE_MS, 5 * tick_ms)
        self._last: Tick | None = None
        self._counters: tuple[int | None, int | None] = (None, None)

    def feed(self, lines: Iterable[bytes]) -> None:
        """Take all lines. Raises BrokenLineError when this is not telemetry."""
        for line in lines:
            self.lines += 1
            try:
                tick = decode(line)
            except msgspec.ValidationError as error:
                raise BrokenLineError(self.lines, str(error)) from None
            except msgspec.DecodeError as error:
                self.torn.append(self.lines)
                if len(self.torn) > 1 + MAX_TORN_SHARE * self.lines:
                    raise BrokenLineError(self.torn[0], str(error)) from None
                continue
            self.take(tick)

    @property
    def torn_end(self) -> bool:
        """Whether the last line is not whole."""
        return bool(self.torn) and self.torn[-1] == self.lines

    def take(self, tick: Tick) -> None:
        """One tick."""
        order = tick.order
        if tick.schema > SCHEMA:
            raise BrokenLineError(self.lines, f"schema {tick.schema} is newer than this program understands ({SCHEMA})")
        if len(tick.venue_age_ms) != len(order):
            raise BrokenLineError(self.lines, f"{len(tick.venue_age_ms)} ages of {len(order)} venues")
        wall_ms = tick.treasury_guidance.as_of_ms
        if self.begin_ms is None:
            self.begin_ms = wall_ms
        at_ms = wall_ms - self.begin_ms
        self.ticks += 1
        dt_ms = self._elapsed(tick, wall_ms)
        self.seen_ms += dt_ms
        for index, name in enumerate(order):
            if self._has(name):
                self._venue(tick, index, name, (at_ms, wall_ms, dt_ms))
        first = not self._part
        if first:
            self._host(tick, wall_ms)
        self._details(tick, wall_ms)
        if first and tick.system is not None:
            self._system(tick.system, at_ms, wall_ms)
        self.end_ms = wall_ms
        self._last = tick

    def _venue(self, tick: Tick, index: int, name: str, when: tuple[float, float, float]) -> None:
        scan = self._of(name)
        at_ms, wall_ms, dt_ms = when
        age = tick.venue_age_ms[index]
        events = tick.venue_age_event_ms
        scan.ages(age, events[index] if index < len(events) else None, at_ms)
        venue = tick.venues.get(name)
        if venue is None:
            scan.silence(age)
            return
        scan.silence(venue.silent_ms)
        before = scan.trouble.present
        was = "" if before is None else before.why
        wrong = scan.state(venue, at_ms, wall_ms, dt_ms)
        if bool(was) != bool(wrong):
            self._moment(Moment(wall_ms, name, "trouble" if wrong else "well", wrong), 1, index)

    def _has(self, name: str) -> bool:
        """Whether a venue is of this part."""
        place = self.places.get(name)
        if place is None:
            place = self.places[name] = len(self.places)
        return place % self._parts == self._part

    def _of(self, name: str) -> VenueScan:
        scan = self.venues.get(name)
        if scan is None:
            scan = self.venues[name] = VenueScan(whole_run=self.whole_run)
        return scan

    def _elapsed(self, tick: Tick, wall_ms: float) -> float:
        """Time since the last tick; none after a hole, which is noted."""
        last = self._last
        if last is None:
            self.runners += 1
            return 0.0
        before_ms = last.treasury_guidance.as_of_ms
        elapsed = wall_ms - before_ms
        if tick.t <= last.t:
            self.runners += 1
            if not self._part:
                self._moment(Moment(wall_ms, "runner", "restarted"), 0)
            for scan in self.venues.values():
                scan.silence(0)
        elif tick.up_ms is not None and last.up_ms is not None:
            # Monotonic: a step of the wall clock is no hole.
            elapsed = tick.up_ms - last.up_ms
        if elapsed > self._hole_ms:
            self.holes.append(Span(before_ms, wall_ms, "no telemetry"))
            return 0.0
        return max(0.0, elapsed)

    def _details(self, tick: Tick, wall_ms: float) -> None:
        for index, (name, venue_detail) in enumerate((tick.venue_detail or {}).items()):
            if self._has(name):
                for reason, count in self._of(name).detail(venue_detail).items():
                    words = reason if count == 1 else f"{reason} ×{count}"
                    self._moment(Moment(wall_ms, name, "reconnect", words), 3, index)
        for name, markets in (tick.market_detail or {}).items():
            if self._has(name):
                self._of(name).market_details(markets)

    def _host(self, tick: Tick, wall_ms: float) -> None:
        """Two counters that every tick has, and that hardly ever change."""
        if (tick.cap_hits, tick.clock_jumps) == self._counters:
            return
        self._counters = (tick.cap_hits, tick.clock_jumps)
        if tick.cap_hits is not None:
            self.cap_hits.take({"cap_hits": tick.cap_hits})
        if tick.clock_jumps is not None and self.clock_jumps.take({"clock_jumps": tick.clock_jumps}):
            self._moment(Moment(wall_ms, "host", "clock stepped"), 2)

    def _system(self, system: System, at_ms: float, wall_ms: float) -> None:
        self.system = system
        for name, process in system.processes.items():
            scan = self.processes.get(name)
            if scan is None:
                scan = self.processes[name] = ProcessScan(whole_run=self.whole_run)
            if scan.told(process, at_ms, wall_ms):
                self._moment(Moment(wall_ms, name, "process restarted", f"pid {process.pid}"), 4)
        delivery, runner = system.delivery, system.runner
        self.pressure.take(delivery.pressure)
        self.delivery.take({"gaps": delivery.gaps, "gap_events": delivery.gap_events, "heals": delivery.heals})
        self.runner.take({"missed_ticks": runner.missed_ticks, "telemetry_failures": runner.telemetry_failures})
        imbalance = delivery.accounts.imbalance
        if self.worst_imbalance is None or abs(imbalance) > abs(self.worst_imbalance):
            self.worst_imbalance = imbalance
        self.slowest_heal_ms = _larger(self.slowest_heal_ms, delivery.slowest_heal_ms)
        self.late_tick_ms = _larger(self.late_tick_ms, runner.late_tick_ms)

    def _moment(self, moment: Moment, *rank: int) -> None:
        """``rank``: among those of one tick."""
        if len(self.moments) < MAX_MOMENTS:
            self.moments.append(moment)
            self.ranks.append((self.ticks, *rank))
        else:
            self.left_out += 1


def _larger(one: float | None, other: float | None) -> float | None:
    return max((value for value in (one, other) if value is not None), default=None)
