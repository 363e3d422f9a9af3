"""What the page is told: everything at first, then the ages of every tick and the details once a second."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from dashboard.health import Health, health
from dashboard.history import Past
from dashboard.state import Now, Source, State
from dashboard.telemetry import System

_encode: Final = msgspec.json.Encoder().encode
RETRY_MS: Final = 500
"""After so long a page that lost its connection tries again."""


class Hello(msgspec.Struct, frozen=True):
    """The first message of a connection."""

    version: str
    now_ms: int
    stale_ms: dict[str, int]
    past: Past


class Tick(msgspec.Struct, frozen=True):
    """At least twice a second."""

    now_ms: int
    source: Source
    health: Health
    marks: list[Any]


class Detail(msgspec.Struct, frozen=True):
    """Once a second."""

    venues: dict[str, dict[str, Any]]
    markets: dict[str, dict[str, Any]]
    system: System | None
    headroom: dict[str, dict[str, float]]
    """Least share left of each venue's limits."""


def hello(state: State, now: Now, version: str) -> bytes:
    """Everything a page opens with."""
    told = Hello(version, now.wall_ms, state.plan.stale_ms, state.history.past(now.wall_ms))
    return b"retry: %d\n" % RETRY_MS + _message("hello", told)


def tick(state: State, now: Now, marked: int) -> bytes:
    """The ages, and the marks after number ``marked``."""
    return _message("tick", Tick(now.wall_ms, state.source(now), health(state, now), state.history.since(marked)))


def detail(state: State, now: Now) -> bytes:
    """Percentiles, prices, processes, delivery; nothing of these while there is no current telemetry."""
    if not state.source(now).ok:
        return _message("detail", Detail({}, {}, None, state.headroom(now)))
    return _message("detail", Detail(_venues(state), _markets(state), state.system, state.headroom(now)))


def _venues(state: State) -> dict[str, dict[str, Any]]:
    """What the page shows of each venue; histograms and what is of the whole run would be most of the message."""
    return {
        venue: {
            "age": {"window": of.age.window},
            "age_event": {"window": of.age_event.window},
            "hops_us": {"window": of.hops_us.window},
            "events_per_s": of.events_per_s,
            "reconnects": of.reconnects,
            "last_reconnect": of.last_reconnect,
        }
        for venue, of in state.venue_detail.items()
    }


def _markets(state: State) -> dict[str, dict[str, Any]]:
    """What the page shows of each market; the rest would be most of the message."""
    return {
        venue: {
            market: {
                "bid": of.bid,
                "ask": of.ask,
                "funding": of.funding,
                "stats": of.stats,
                "check": of.check,
                "rebuild": of.rebuild,
                "healing": of.healing,
                "age": of.age.window,
            }
            for market, of in markets.items()
        }
        for venue, markets in state.market_detail.items()
    }


def _message(event: str, body: msgspec.Struct) -> bytes:
    """One server-sent event. JSON holds no line break, so one data line is enough."""
    return b"event: %s\ndata: %s\n\n" % (event.encode(), _encode(body))
