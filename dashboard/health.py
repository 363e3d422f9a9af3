"""Health and readiness, as ``docs/dashboard.md`` documents them. Unknown is ``None``, times are ms."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from dashboard.plan import Plan
from dashboard.state import Now, Source, State
from dashboard.telemetry import LastReconnect, MarketDetail, MarketTick, VenueTick

UNKNOWN = "unknown: there is no telemetry"
UNHEARD = "the runner does not know it"
_TRUST_WORDS: Final = {
    None: "there is no book yet",
    "live": "messages of the book are missing",
    "rest": "messages of the book are missing",
}
"""What an untrusted book's own word means; all others are told as they are."""

Problems: TypeAlias = dict[str, str]
"""What is wrong, by kind: ``state``, ``age``, ``trust``."""


class MarketHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One market of one venue."""

    healthy: bool
    """Live, fresh and trusted."""
    ready: bool
    """Fresh and trusted."""
    required: bool
    problems: list[str]
    state: str | None = None
    since_ms: int | None = None
    reason: str | None = None
    age_ms: int | None = None
    age_event_ms: int | None = None
    silent_ms: int | None = None
    fresh: bool | None = None
    trust: str | None = None
    trusted: bool | None = None


class ProcessHealth(msgspec.Struct, frozen=True):
    """The connector's process."""

    pid: int | None
    uptime_ms: int | None
    restarts: int
    missing: bool


class VenueHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One venue and its markets."""

    healthy: bool
    ready: bool
    """Every required market is fresh and trusted; true when none is required."""
    required: bool
    problems: list[str]
    state: str | None = None
    since_ms: int | None = None
    reason: str | None = None
    age_ms: int | None = None
    age_event_ms: int | None = None
    silent_ms: int | None = None
    stale_ms: int
    fresh: bool | None = None
    trusted: bool | None = None
    skew_ms: int | None = None
    reconnects: dict[str, int] | None = None
    last_reconnect: LastReconnect | None = None
    process: ProcessHealth | None = None
    markets: dict[str, MarketHealth]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The whole plane."""

    healthy: bool
    ready: bool
    problems: list[str]
    as_of_ms: int | None
    source: Source
    venues: dict[str, VenueHealth]


class Ready(msgspec.Struct, frozen=True):
    """Whether whoever trades on this data may."""

    ready: bool
    problems: list[str]


def health(state: State, now: Now) -> Health:
    """Judge everything."""
    source = state.source(now)
    venues = {venue: _venue(state, venue, source) for venue in state.plan.markets}
    problems = [] if source.problem is None else [source.problem]
    if source.ok:
        problems = [f"{name}: {problem}" for name, venue in venues.items() for problem in venue.problems]
    return Health(
        healthy=source.ok and all(venue.healthy for venue in venues.values()),
        ready=source.ok and all(venue.ready for venue in venues.values()),
        problems=problems,
        as_of_ms=source.last_ms,
        source=source,
        venues=venues,
    )


def ready(report: Health) -> Ready:
    """What ``/ready`` says: only what keeps it from being ready."""
    if report.source.problem is not None:
        return Ready(ready=False, problems=[report.source.problem])
    problems = [
        f"{name}/{market}: {problem}"
        for name, venue in report.venues.items()
        for market, of in venue.markets.items()
        if of.required and not of.ready
        for problem in of.problems
    ]
    return Ready(ready=report.ready, problems=problems)


def _venue(state: State, name: str, source: Source) -> VenueHealth:
    plan = state.plan
    tick = state.tick.venues.get(name) if state.tick is not None and source.ok else None
    if tick is None:
        return _unknown(plan, name, UNHEARD if source.ok else UNKNOWN)
    detail = state.venue_detail.get(name)
    details = state.market_detail.get(name, {})
    told: dict[str, Problems] = {}
    markets = {}
    for market in plan.markets[name]:
        of, more = tick.markets.get(market), details.get(market)
        told[market] = {"state": UNHEARD} if of is None else _market_problems(of, None if more is None else more.reason)
        markets[market] = _market(of, more, list(told[market].values()), required=(name, market) in plan.required)
    process = _process(state, name)
    problems = _venue_problems(name, tick, told, plan.stale_ms[name], process)
    return VenueHealth(
        healthy=not problems,
        ready=all(market.ready for market in markets.values() if market.required),
        required=any(market.required for market in markets.values()),
        problems=problems,
        state=tick.state,
        since_ms=tick.since_ms,
        reason=tick.reason,
        age_ms=tick.age_ms,
        age_event_ms=tick.age_event_ms,
        silent_ms=tick.silent_ms,
        stale_ms=plan.stale_ms[name],
        fresh=tick.fresh,
        trusted=tick.trusted,
        skew_ms=tick.skew_ms,
        reconnects=None if detail is None else detail.reconnects,
        last_reconnect=None if detail is None else detail.last_reconnect,
        process=process,
        markets=markets,
    )


def _unknown(plan: Plan, name: str, why: str) -> VenueHealth:
    markets = {
        market: _market(None, None, [why], required=(name, market) in plan.required) for market in plan.markets[name]
    }
    required = any(market.required for market in markets.values())
    return VenueHealth(
        healthy=False,
        ready=not required,
        required=required,
        problems=[why],
        stale_ms=plan.stale_ms[name],
        markets=markets,
    )


def _market(
    tick: MarketTick | None, detail: MarketDetail | None, problems: list[str], *, required: bool
) -> MarketHealth:
    if tick is None:
        return MarketHealth(healthy=False, ready=False, required=required, problems=problems)
    return MarketHealth(
        healthy=not problems,
        ready=tick.fresh and tick.trusted,
        required=required,
        problems=problems,
        state=tick.state,
        since_ms=None if detail is None else detail.since_ms,
        reason=None if detail is None else detail.reason,
        age_ms=tick.age_ms,
        age_event_ms=tick.age_event_ms,
        silent_ms=tick.silent_ms,
        fresh=tick.fresh,
        trust=tick.trust,
        trusted=tick.trusted,
    )


def _venue_problems(
    name: str, tick: VenueTick, told: dict[str, Problems], stale_ms: int, process: ProcessHealth | None
) -> list[str]:
    """What is wrong with the venue, then what is wrong with its markets beyond that."""
    own = _problems(tick.state, tick.reason, fresh=tick.fresh, silent_ms=tick.silent_ms)
    if "age" in own:
        own["age"] += f" (limit {stale_ms / 1_000:.1f} s)"
    missing = [f"no heartbeat of process {name}"] if process is not None and process.missing else []
    by_text: dict[str, list[str]] = {}
    for market, problems in told.items():
        for kind, text in problems.items():
            same_state = kind == "state" and market in tick.markets and tick.markets[market].state == tick.state
            if not same_state and not (kind == "age" and "age" in own):
                by_text.setdefault(text, []).append(market)
    return [*missing, *own.values(), *(f"{', '.join(markets)}: {text}" for text, markets in by_text.items())]


def _market_problems(tick: MarketTick, reason: str | None) -> Problems:
    problems = _problems(tick.state, reason, fresh=tick.fresh, silent_ms=tick.silent_ms)
    if not tick.trusted:
        problems["trust"] = _TRUST_WORDS.get(tick.trust, f"the book must not be used ({tick.trust})")
    return problems


def _problems(state: str | None, reason: str | None, *, fresh: bool, silent_ms: int) -> Problems:
    problems: Problems = {}
    if state is None:
        problems["state"] = "its state is not known"
    elif state != "live":
        problems["state"] = f"{state} ({reason})" if reason else state
    if not fresh:
        problems["age"] = f"no usable book or quote for {silent_ms / 1_000:.1f} s"
    return problems


def _process(state: State, name: str) -> ProcessHealth | None:
    process = None if state.system is None else state.system.processes.get(name)
    if process is None:
        return None
    return ProcessHealth(process.pid, process.uptime_ms, process.restarts, process.missing)
