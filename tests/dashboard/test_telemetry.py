"""Telemetry is read as documented, or refused with the reason."""

from __future__ import annotations

from dashboard.telemetry import Tick, read
from tests.dashboard.samples import BTC, WALL_MS, body, whole


def test_a_tick_is_read_with_the_parts_that_came_with_it() -> None:
    found = read(body())
    assert isinstance(found, Tick)
    assert found.as_of_ms == WALL_MS
    assert found.venue_detail is None
    found = read(whole())
    assert isinstance(found, Tick)
    assert found.market_detail is not None
    assert found.market_detail["aster"][BTC].bid == (100.0, 1.0)


def test_another_version_is_refused_by_name() -> None:
    assert read({**body(), "schema": 2}) == "the runner speaks version 2 of telemetry, this program understands 1"


def test_what_is_not_as_documented_is_refused_with_its_place() -> None:
    found = read({**body(), "venues": {"aster": {}}})
    assert isinstance(found, str)
    assert "age_ms" in found
