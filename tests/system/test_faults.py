"""Faults of the network and of the venues, by real processes: what is asked of every cell of the matrix."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
import pytest

from bus.settings import VENUES
from cli.plane import prepare
from tests.system.conftest import Start
from tools.fault_cells import CELLS, SETTINGS, Cell
from tools.fault_matrix import measure
from tools.fault_storm import flap, weathered
from tools.fault_trials import run, sections

pytestmark = pytest.mark.slow

minutes = pytest.mark.skipif("PARAPHINA_LONG_TESTS" not in os.environ, reason="minutes: set PARAPHINA_LONG_TESTS")
LATE = {"found late", "recovered late"}
"""What a busy machine is to blame for."""


def brief(name: str, hold_s: float) -> Cell:
    """A cell of the matrix that does not last as long."""
    cell = next(cell for cell in CELLS if cell.name == name)
    return msgspec.structs.replace(cell, hold_s=hold_s)


def test_what_is_done_to_a_venue_is_found_and_mended_and_breaks_no_limit(start: Start) -> None:
    system = start(settings=sections(VENUES, SETTINGS))
    cells = [brief("gap", 0.8), brief("refuse", 1.0)]
    results = list(run(system.plane, cells, set(), venues=VENUES, until=time.monotonic() + 300, calm_s=0.3))
    assert len(results) == len(cells) * len(VENUES)
    by_name = {cell.name: cell for cell in cells}
    wrong = {(one.cell, one.venue): set(one.faults(by_name[one.cell])) - LATE for one in results}
    assert {place: found for place, found in wrong.items() if found} == {}
    assert all(one.detected_ms is not None for one in results if one.cell == "refuse")
    assert not [one for one in results if one.disturbed and one.venue in {"lighter", "extended", "aster"}]
    flapped = flap(system.plane, 2.0, seed=3, warm_s=0.0)
    assert flapped.violations == {}
    assert [word for word in flapped.broken() if "live" in word or "lost" in word or "reason" in word] == []


@minutes
def test_every_cell_of_the_matrix_keeps_its_bounds(run_dir: Path) -> None:
    by_name = {cell.name: cell for cell in CELLS}
    results = list(measure(run_dir, list(CELLS), set(), VENUES, time.monotonic() + 3_600))
    assert len(results) == sum(venue not in cell.never for cell in CELLS for venue in VENUES)
    wrong = {(one.cell, one.venue): one.faults(by_name[one.cell]) for one in results}
    assert {place: found for place, found in wrong.items() if found} == {}


@minutes
@pytest.mark.parametrize("seed", [1])
def test_a_network_that_flaps_for_minutes_breaks_no_limit(run_dir: Path, seed: int) -> None:
    assert weathered(run_dir, flap_s=180, random_s=0, seed=seed).broken() == []


@minutes
@pytest.mark.parametrize("seed", [7])
def test_after_ten_minutes_of_random_faults_every_venue_is_live_and_nothing_has_leaked(
    run_dir: Path, seed: int
) -> None:
    assert weathered(run_dir, flap_s=0, random_s=600, seed=seed).broken() == []


def test_a_plane_of_the_matrix_has_its_thresholds(run_dir: Path) -> None:
    plane = prepare(run_dir, sim=True, settings=sections(("aster",), SETTINGS))
    assert plane.settings.enabled == ("aster",)
    assert plane.settings.venues["aster"].stale_ms == SETTINGS["stale_ms"]
