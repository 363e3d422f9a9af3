"""The telemetry object of a tick, from the engine's state. Field by field in ``docs/telemetry.md``.

Unknown is ``None`` everywhere. Times that are points are wall clock ms, times that are lengths are ms (or as named).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from bus.events import Check, Funding, Reconnect, Stats
from runner import accounts
from runner.engine import Engine
from runner.freshness import MS, to_ms
from runner.hops import BOUNDS_US
from runner.percentiles import Summary
from runner.states import StateTime
from runner.venues import Aging, MarketView, VenueView

Body: TypeAlias = dict[str, object]

DETAIL_MS: Final = 1_000
"""Each part of the details is told once in so long."""
PARTS: Final = ("venue_detail", "market_detail", "system")
LAST_PARTS: Final = frozenset({"venue_detail", "system"})
"""What the last tick of a run carries: all that is counted."""
SCHEMA: Final = 1
"""Version of the object. New fields do not change it; a field that goes or changes its meaning does."""


def body(engine: Engine, now_mono: int, now_wall: int) -> Body:
    """What every tick carries: the ages, and who is in what state."""
    names = list(engine.venues)
    aging = [venue.aging for venue in engine.venues.values()]
    return {
        "t": engine.ticks - 1,
        "venue_age_ms": [ages.age_ms for ages in aging],
        "venue_age_event_ms": [ages.event_age_ms for ages in aging],
        "treasury_guidance": {
            "as_of_ms": now_wall // MS,
            "venues": [{"venue_index": index, "venue_id": name} for index, name in enumerate(names)],
        },
        "schema": SCHEMA,
        "up_ms": to_ms(now_mono - engine.born_mono),
        "cap_hits": engine.cap_hits,
        "clock_jumps": engine.steps.count,
        "venues": {name: _venue(venue) for name, venue in engine.venues.items()},
    }


def parts_due(tick: int, tick_ms: int) -> frozenset[str]:
    """Which of ``PARTS`` tick number ``tick`` carries besides: each once a second, spread over the ticks of it."""
    every = max(1, round(DETAIL_MS / tick_ms))
    return frozenset(part for index, part in enumerate(PARTS) if tick % every == index * every // len(PARTS))


def venue_detail(engine: Engine, now_mono: int) -> Body:
    """Percentiles, latencies, rates and reconnects of each venue."""
    reconnects = engine.reconnects()
    return {name: _venue_detail(venue, reconnects[name], now_mono) for name, venue in engine.venues.items()}


def market_detail(engine: Engine, now_mono: int, now_wall: int) -> Body:
    """Prices, percentiles and checks of each market, by venue."""
    return {
        name: {market: _market_detail(view, now_mono, now_wall) for market, view in venue.markets.items()}
        for name, venue in engine.venues.items()
    }


def system(engine: Engine, now_mono: int, now_wall: int, runner: Body) -> Body:
    """Processes, delivery and the runner itself; ``runner`` is added to what the engine knows of that."""
    return {
        "window_ms": engine.plan.window_s * 1_000,
        "processes": engine.processes.told(now_mono, now_wall),
        "delivery": {
            "pressure": engine.pressure(),
            "gaps": engine.gaps,
            "gap_events": engine.gap_events,
            "lost": engine.losses.by_venue(),
            "heals": engine.losses.heals,
            "slowest_heal_ms": engine.losses.slowest_heal_ms,
            "accounts": accounts.told(engine.ledger.balances()),
        },
        "runner": {
            "unexpected": dict(engine.unexpected),
            "clock_step_ms": engine.steps.last_step_ms,
            "late_tick_ms": engine.late_tick_ms,
            **runner,
        },
    }


def _venue(venue: VenueView) -> Body:
    return {
        **_ages(venue.aging, venue.stale_ms),
        **_state(venue.state),
        "trusted": all(market.trusted for market in venue.markets.values()),
        "skew_ms": venue.skew.lowest_ms(),
        "markets": {name: _market(market, venue.stale_ms) for name, market in venue.markets.items()},
    }


def _market(market: MarketView, stale_ms: int) -> Body:
    return {
        **_ages(market.aging, stale_ms),
        "state": market.state.state,
        "trust": market.book_trust,
        "trusted": market.trusted,
    }


def _ages(aging: Aging, stale_ms: int) -> Body:
    return {
        "age_ms": aging.age_ms,
        "age_event_ms": aging.event_age_ms,
        "silent_ms": aging.silent_ms,
        "fresh": aging.age_ms is not None and aging.age_ms <= stale_ms,
    }


def _state(state: StateTime) -> Body:
    last = state.last
    if last is None:
        return {"state": None, "since_ms": None, "reason": None}
    return {"state": last.state, "since_ms": last.since_ns // MS, "reason": last.reason}


def _venue_detail(venue: VenueView, reconnects: Mapping[str, int], now_mono: int) -> Body:
    venue.rates.turn(now_mono)
    return {
        "stale_ms": venue.stale_ms,
        **_measured(venue.aging),
        "time_in_state_ms": venue.state.spent_ms(now_mono),
        "state_changes": venue.state.changes,
        "hops_us": {
            "window": {hop: _summary(summary) for hop, summary in venue.hops.windows().items()},
            "run": {hop: _summary(summary) for hop, summary in venue.hops.runs().items()},
            "bounds": BOUNDS_US,
            "counts": venue.hops.counts(),
            "sums": venue.hops.sums_us(),
        },
        "events": dict(venue.rates.counts),
        "events_per_s": venue.rates.per_second(now_mono),
        "late": venue.late,
        "reconnects": dict(reconnects),
        "last_reconnect": _reconnect(venue.last_reconnect),
    }


def _market_detail(market: MarketView, now_mono: int, now_wall: int) -> Body:
    state = market.state.last
    return {
        "since_ms": None if state is None else state.since_ns // MS,
        "reason": None if state is None else state.reason,
        "rebuild": market.rebuild,
        "healing": market.healing,
        "bid": market.bid,
        "ask": market.ask,
        "funding": _funding(market.funding),
        "stats": _stats(market.stats),
        "check": _check(market.check, now_wall),
        **_measured(market.aging),
        "time_in_state_ms": market.state.spent_ms(now_mono),
    }


def _measured(aging: Aging) -> Body:
    return {
        "age": {"window": _summary(aging.ages.window()), "run": _summary(aging.ages.run())},
        "age_event": {"window": _summary(aging.event_ages.window()), "run": _summary(aging.event_ages.run())},
        "plateaus": {
            str(threshold): [plateau.count, plateau.ticks, plateau.longest_ms, plateau.present]
            for threshold, plateau in aging.plateaus.items()
        },
    }


def _summary(summary: Summary | None) -> list[int] | None:
    return None if summary is None else list(msgspec.structs.astuple(summary))


def _reconnect(last: tuple[Reconnect, int] | None) -> Body | None:
    if last is None:
        return None
    event, wall_ns = last
    return {"at_ms": wall_ns // MS, "reason": event.reason, "connection": event.connection, "detail": event.detail}


def _funding(funding: Funding | None) -> Body | None:
    if funding is None:
        return None
    return {
        "rate_hourly": funding.rate_hourly,
        "settled": funding.settled,
        "next_ms": None if funding.next_ns is None else funding.next_ns // MS,
    }


def _stats(stats: Stats | None) -> Body | None:
    if stats is None:
        return None
    return {"mark": stats.mark_px, "index": stats.index_px, "open_interest": stats.open_interest}


def _check(check: Check | None, now_wall: int) -> Body | None:
    if check is None:
        return None
    return {
        "against": check.against,
        "compared": check.compared,
        "diverged": check.diverged,
        "divergence": check.divergence,
        "for_ms": None if check.since_ns is None else to_ms(now_wall - check.since_ns),
    }
