"""What readiness needs comes from the settings, and what cannot be meant is refused."""

from __future__ import annotations

from typing import Any

import pytest

from bus.errors import SettingsError
from bus.settings import Settings, parse
from dashboard.plan import plan


def settings(*required: str) -> Settings:
    """Two enabled venues, one of them with a single market."""
    venues: dict[str, Any] = {name: {"enabled": False} for name in ("hyperliquid", "lighter", "extended")}
    venues["aster"] = {"markets": ["BTC-PERP"]}
    return parse({"venues": venues, "dashboard": {"required": list(required)}}, {}, base=".")


def test_only_enabled_venues_are_watched_each_with_its_own_markets_and_threshold() -> None:
    found = plan(settings(), same_host=True)
    assert found.markets == {"paradex": ("BTC-PERP", "ETH-PERP", "SOL-PERP"), "aster": ("BTC-PERP",)}
    assert found.stale_ms == {"paradex": 15_000, "aster": 10_000}


def test_without_a_setting_every_market_is_required() -> None:
    assert len(plan(settings(), same_host=True).required) == 4


def test_a_venue_stands_for_its_markets_and_a_pair_for_one() -> None:
    found = plan(settings("paradex/ETH-PERP", "aster"), same_host=True)
    assert found.required == {("paradex", "ETH-PERP"), ("aster", "BTC-PERP")}


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("lighter", "paradex, aster"), ("nowhere", "paradex, aster"), ("aster/ETH-PERP", "aster/BTC-PERP")],
)
def test_what_does_not_run_cannot_be_required(name: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as caught:
        plan(settings(name), same_host=True)
    assert caught.value.path == "dashboard.required"
    assert caught.value.allowed == allowed
