"""The venues, by name."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.venue import Venue

VENUE_CLASSES: dict[str, str] = {
    "aster": "simulator.venues.aster.venue:Aster",
    "extended": "simulator.venues.extended.venue:Extended",
    "hyperliquid": "simulator.venues.hyperliquid.venue:Hyperliquid",
    "lighter": "simulator.venues.lighter.venue:Lighter",
    "paradex": "simulator.venues.paradex.venue:Paradex",
}
"""``module:class``, imported only for the venues of the run."""


def venue_class(name: str) -> type[Venue]:
    """Import a venue's class."""
    module, _, attribute = VENUE_CLASSES[name].partition(":")
    found: type[Venue] = getattr(importlib.import_module(module), attribute)
    return found
