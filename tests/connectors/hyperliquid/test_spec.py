"""Hyperliquid's promises hold together."""

from __future__ import annotations

from bus.settings import DEFAULT_VENUES
from connectors.hyperliquid import spec
from connectors.venue import load

VENUE_ENDS_AT_S = 10_002
PUSH_NS = 660_000_000


def test_the_venue_is_found_by_its_name() -> None:
    found, factory = load("hyperliquid")
    assert found is spec.SPEC
    assert callable(factory)


def test_a_connection_is_left_well_before_the_venue_ends_it() -> None:
    assert spec.SPEC.session_age_ns is not None
    assert spec.SPEC.session_age_ns <= 0.95 * VENUE_ENDS_AT_S * 1e9


def test_no_deadline_is_shorter_than_what_it_waits_for() -> None:
    assert spec.FIRST_NS > 3 * PUSH_NS
    assert spec.PROBE_MIN_NS > 3 * PUSH_NS
    assert spec.CHECK_DIVERGED_NS > 4 * PUSH_NS


def test_reading_three_markets_over_rest_stays_within_half_the_budget() -> None:
    budget = spec.SPEC.rest
    assert budget is not None
    markets = len(DEFAULT_VENUES["hyperliquid"].markets)
    a_minute = markets * spec.WEIGHT_BOOK * (60 * spec.SECOND // spec.REST_BOOK_NS) + spec.WEIGHT_OTHER
    assert a_minute <= budget.units / 2
