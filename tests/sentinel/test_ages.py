"""A connector is judged by its venue's age, or by that of a market whose silence nobody has noticed."""

from __future__ import annotations

import pytest

from sentinel.ages import oldest


def test_the_venue_speaks_for_markets_that_are_as_old() -> None:
    assert oldest({"silent_ms": 40, "markets": {"BTC-PERP": {"state": "live", "silent_ms": 40}}}) == (40, "venue")


def test_a_market_that_is_called_live_and_is_silent_speaks_for_itself() -> None:
    markets = {"BTC-PERP": {"state": "live", "silent_ms": 130_000}, "ETH-PERP": {"state": "live", "silent_ms": 40}}
    assert oldest({"silent_ms": 40, "markets": markets}) == (130_000, "BTC-PERP")


@pytest.mark.parametrize("state", ["stale", "recovering", "down", None])
def test_one_that_is_known_to_be_ill_is_being_mended(state: str | None) -> None:
    assert oldest({"silent_ms": 40, "markets": {"BTC-PERP": {"state": state, "silent_ms": 130_000}}}) == (40, "venue")


@pytest.mark.parametrize(
    "view",
    [
        None,
        [],
        {},
        {"silent_ms": None},
        {"silent_ms": "1"},
        {"markets": 3},
        {"markets": {"A": 1, "B": {"state": "live"}}},
    ],
)
def test_nothing_usable_is_no_age(view: object) -> None:
    assert oldest(view) is None
