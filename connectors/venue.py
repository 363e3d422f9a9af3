"""What the engine knows of a venue, and what a venue protocol is built from."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Final, TypeAlias

import msgspec

from bus.settings import Venue as VenueSettings
from connectors.effects import VenueProtocol
from connectors.feed import Rebuilds, SeenTrades

HOLD_STATUSES: Final = {429: 10_000_000_000, 418: 120_000_000_000, 403: 10_000_000_000}
"""Statuses by which venues ask to be left alone, and for how many ns where they do not say (Aster: 418 from 2 min)."""


class Budget(msgspec.Struct, frozen=True):
    """So many units in any window of this length. The engine delays what would exceed it."""

    units: int
    per_ns: int


class VenueSpec(msgspec.Struct, frozen=True):
    """A venue's promises and limits that the engine acts on; each venue's ``spec.py`` has one with its sources."""

    venue: str
    session_age_ns: int | None
    """Age at which planned rotation leaves a connection, safely before the venue ends it; ``None``: no known end."""
    connects: Budget | None
    """Connection attempts per host (IP)."""
    messages: Budget | None
    """Client messages, see ``messages_per_connection``."""
    rest: Budget | None
    """REST weight per host (IP)."""
    messages_per_connection: bool = True
    """Whether ``messages`` counts each connection by itself or all of the host's together."""
    hold_statuses: dict[int, int] = msgspec.field(default_factory=lambda: dict(HOLD_STATUSES))
    """HTTP statuses after which the host is left alone, and for how many ns at least (``Retry-After`` may ask more)."""
    drift_ns: int = 5_000_000_000
    """Growth of (wall clock - venue time) over a connection's best beyond which the stream counts as falling behind."""


class Context(msgspec.Struct):
    """What the engine hands to a new protocol object. ``rebuilds`` and ``seen`` outlive any one of them."""

    settings: VenueSettings
    rebuilds: Rebuilds
    seen: SeenTrades


Factory: TypeAlias = Callable[[Context], VenueProtocol]


def load(venue: str) -> tuple[VenueSpec, Factory]:
    """The ``SPEC`` of ``connectors.<venue>.spec`` and the ``protocol`` function of ``connectors.<venue>.protocol``."""
    spec: VenueSpec = import_module(f"connectors.{venue}.spec").SPEC
    factory: Factory = import_module(f"connectors.{venue}.protocol").protocol
    return spec, factory
