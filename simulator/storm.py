"""A storm: random faults on all venues at once, the same for the same seed (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.faults import CATALOGUE, Request, Value

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

CALM_S = 20.0
"""Nothing begins in the first seconds, and everything is over so long before the end."""
PAUSE_S = 15.0
"""Mean time between two faults of one venue."""
LASTS_S = (0.5, 8.0)
OF_ONE_MARKET = 0.5
"""Chance that a fault that can be limited to one market is."""

GUSTS: dict[str, tuple[int, Mapping[str, Value]]] = {
    "stall": (3, {}),
    "gap": (3, {"kinds": "delta+snapshot"}),
    "duplicate": (2, {"kinds": "delta+snapshot"}),
    "reorder": (2, {}),
    "replay": (1, {}),
    "crossed": (2, {}),
    "emptied": (1, {}),
    "truncated": (2, {}),
    "half_frame": (1, {}),
    "garbage": (2, {}),
    "wrong_types": (2, {}),
    "giant": (1, {"megabytes": 4.0}),
    "drip": (1, {}),
    "delay": (1, {}),
    "burst": (1, {}),
    "backlog": (2, {}),
    "no_pong": (1, {}),
    "no_ack": (1, {}),
    "late_snapshot": (1, {}),
    "error_reply": (1, {}),
    "deaf": (1, {}),
    "close": (3, {}),
    "fin": (2, {}),
    "reset": (3, {}),
    "refuse": (2, {"drop": True}),
    "blackhole": (1, {"drop": True}),
    "accept_close": (1, {"drop": True}),
    "greet_close": (1, {}),
    "handshake": (1, {"status": 503}),
    "rest_error": (2, {"status": 502}),
    "rest_slow": (1, {}),
    "rest_garbage": (1, {}),
    "rest_timeout": (1, {"hold_s": 10.0}),
    "clock_skew": (1, {}),
    "ping_flood": (1, {}),
    "maintenance": (1, {}),
}
"""How likely each is, and its parameters where they are not the catalogue's."""


def storm(rng: Random, venues: Mapping[str, set[str]], seconds: float) -> list[Request]:
    """Faults for a run of so many seconds, in the order of their beginning."""
    found = [gust for venue, markets in venues.items() for gust in _of(rng, venue, sorted(markets), seconds - CALM_S)]
    return sorted(found, key=lambda request: request.at_s)


def _of(rng: Random, venue: str, markets: list[str], until: float) -> list[Request]:
    found = []
    at = CALM_S + rng.expovariate(1 / PAUSE_S)
    while at < until:
        name = rng.choices(list(GUSTS), [weight for weight, _ in GUSTS.values()])[0]
        lasts = min(rng.uniform(*LASTS_S), until - at)
        market = rng.choice(markets) if _can_be_of_one(name) and rng.random() < OF_ONE_MARKET else None
        params = dict(CATALOGUE[name].params) | dict(GUSTS[name][1])
        found.append(Request(name, venue, market, params, round(at, 3), round(lasts, 3)))
        at += rng.expovariate(1 / PAUSE_S)
    return found


def _can_be_of_one(name: str) -> bool:
    # Controls name no market on most venues, so only market data is limited to one.
    kind = CATALOGUE[name]
    return kind.where == "frames" and "delta" in kind.frames
