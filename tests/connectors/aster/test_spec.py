"""The budgets that the constants promise add up."""

from __future__ import annotations

import pytest

from connectors.aster import spec


@pytest.mark.parametrize("markets", [1, 3, 4, 50, 200])
def test_snapshots_and_checks_stay_well_within_the_rest_budget(markets: int) -> None:
    minute = 60 * spec.SECOND
    resyncs = markets * spec.WEIGHT_SNAPSHOT * minute / spec.snapshot_every_ns(markets)
    checks = markets * spec.WEIGHT_SNAPSHOT * minute / spec.check_every_ns(markets)
    assert resyncs <= 1_200
    assert checks <= 600
    assert spec.SPEC.rest is not None
    assert spec.SPEC.rest.units <= 2_400


def test_waits_for_a_fitting_snapshot_grow_and_stop_growing() -> None:
    waits = [spec.misfit_ns(count) for count in range(8)]
    assert waits[:4] == [250 * spec.MS, 250 * spec.MS, spec.SECOND, 4 * spec.SECOND]
    assert waits[-1] == 4 * spec.SECOND


def test_a_connection_is_left_before_the_venue_ends_it_and_holds_no_more_streams_than_allowed() -> None:
    assert spec.SPEC.session_age_ns is not None
    assert spec.SPEC.session_age_ns < 24 * spec.HOUR
    assert spec.MARKETS_PER_CONNECTION * len(spec.STREAMS) <= 200
