"""Lighter's promises hold together."""

from __future__ import annotations

from bus.settings import DEFAULT_VENUES
from connectors.lighter import spec
from connectors.venue import load

IDLE_CLOSE_MS = 120_000
DAY_NS = 24 * spec.HOUR


def test_the_venue_is_found_by_its_name() -> None:
    found, factory = load("lighter")
    assert found is spec.SPEC
    assert callable(factory)


def test_a_connection_is_left_before_the_day_is_over() -> None:
    assert spec.SPEC.session_age_ns is not None
    assert spec.SPEC.session_age_ns < DAY_NS


def test_pings_come_well_within_the_two_minutes_that_the_venue_waits_for_any_frame() -> None:
    assert DEFAULT_VENUES["lighter"].ping_interval_ms <= IDLE_CLOSE_MS / 4


def test_no_more_requests_are_in_flight_than_half_of_fifty_and_a_bit() -> None:
    assert spec.FEWEST_IN_FLIGHT < spec.IN_FLIGHT < 50


def test_rest_books_and_discovery_together_stay_within_the_budget() -> None:
    budget = spec.SPEC.rest
    assert budget is not None
    books_a_minute = 60 * spec.SECOND / spec.REST_SHARE_NS
    assert books_a_minute + 60 * spec.SECOND / spec.UNLISTED_NS <= 0.7 * budget.units
