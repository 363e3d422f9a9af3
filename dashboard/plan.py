"""What is watched and what readiness needs, from the settings."""

from __future__ import annotations

import msgspec

from bus.errors import SettingsError
from bus.settings import Settings


class Plan(msgspec.Struct, frozen=True):
    """Venues in venue order with their markets and thresholds, and which markets are required."""

    markets: dict[str, tuple[str, ...]]
    stale_ms: dict[str, int]
    required: frozenset[tuple[str, str]]
    """Pairs of venue and market that ``/ready`` needs."""
    same_host: bool
    """Whether the other processes' monotonic clock is ours."""


def plan(settings: Settings, *, same_host: bool) -> Plan:
    """Raises SettingsError when ``dashboard.required`` names what does not run."""
    markets = {venue: settings.venues[venue].markets for venue in settings.enabled}
    return Plan(
        markets,
        {venue: settings.venues[venue].stale_ms for venue in settings.enabled},
        _required(settings.dashboard.required, markets),
        same_host,
    )


def _required(names: tuple[str, ...], markets: dict[str, tuple[str, ...]]) -> frozenset[tuple[str, str]]:
    everything = {venue: {(venue, market) for market in names} for venue, names in markets.items()}
    if not names:
        return frozenset().union(*everything.values())
    found: set[tuple[str, str]] = set()
    for name in names:
        venue, slash, market = name.partition("/")
        if venue not in everything:
            raise SettingsError("dashboard.required", f"{name!r} is not an enabled venue", ", ".join(markets))
        if slash and (venue, market) not in everything[venue]:
            raise SettingsError(
                "dashboard.required",
                f"{name!r} is not followed",
                ", ".join(f"{venue}/{name}" for name in markets[venue]),
            )
        found |= {(venue, market)} if slash else everything[venue]
    return frozenset(found)
