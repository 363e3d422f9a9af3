"""The matrix of faults is complete, judges by its bounds, and its page shows every cell."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bus.settings import VENUES
from simulator.faults import CATALOGUE, read_request
from tools.fault_cells import CELLS
from tools.fault_page import entry, matrix, put
from tools.fault_result import Result

PAGE = Path(__file__).resolve().parents[2] / "docs/faults.md"
SERVED = {venue: {"BTC-PERP", "ETH-PERP", "SOL-PERP"} for venue in VENUES}
GAP = next(cell for cell in CELLS if cell.name == "gap")


def result(**changed: object) -> Result:
    found = Result(
        cell="gap",
        venue="aster",
        applied=1,
        detected_ms=120.0,
        threshold_ms=GAP.threshold_ms("aster"),
        reasons={"seq_gap": 0},
        counted={"resyncs": 1},
        lost=["BTC-PERP"],
        away_ms=80.0,
        after_ms=80.0,
        recovered_ms=80.0,
        held_by="",
        stood_in=0,
        wrong=0,
        wrong_ms=0.0,
        compared=3,
        equal=True,
        events_lost=0,
        violated={},
        disturbed=[],
    )
    return msgspec.structs.replace(found, **changed)


def test_every_fault_of_the_simulator_is_in_the_matrix() -> None:
    assert {cell.fault for cell in CELLS} == set(CATALOGUE)


@pytest.mark.parametrize("venue", VENUES)
def test_the_simulator_takes_every_cell_that_applies_to_a_venue(venue: str) -> None:
    for cell in CELLS:
        for fault in cell.request(venue):
            read_request(fault, SERVED)
    assert len({cell.name for cell in CELLS}) == len(CELLS)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, []),
        ({"detected_ms": None}, []),
        ({"detected_ms": 451.0}, ["found late"]),
        ({"recovered_ms": 501.0}, ["recovered late"]),
        ({"recovered_ms": 4_500.0, "counted": {"resyncs": 2}}, []),
        ({"recovered_ms": 4_501.0, "counted": {"resyncs": 2}}, ["recovered late"]),
        ({"equal": False}, ["book differs"]),
        ({"applied": 0}, ["did not happen"]),
        ({"events_lost": 1}, ["events lost"]),
        ({"violated": {"aster.rest_weight": 1}}, ["limit broken"]),
    ],
)
def test_a_cell_is_judged_by_its_bounds(changed: dict[str, object], words: list[str]) -> None:
    assert result(**changed).faults(GAP) == words


def test_rest_that_is_not_asked_is_no_fault() -> None:
    cell = next(cell for cell in CELLS if cell.fault == "rest_garbage")
    idle = result(cell=cell.name, applied=0, detected_ms=None, lost=[], recovered_ms=None)
    assert idle.faults(cell) == []
    assert entry(cell, "aster", {(cell.name, "aster"): idle}).startswith("no call was made")


def test_what_must_be_found_and_was_not_is_said() -> None:
    stall = next(cell for cell in CELLS if cell.name == "stall")
    assert result(detected_ms=None).faults(stall) == ["not found"]


def test_a_cell_tells_what_was_found_how_soon_and_why(tmp_path: Path) -> None:
    shown = entry(GAP, "aster", {("gap", "aster"): result()})
    assert shown == "120 ms (450 ms) | `seq_gap`, resyncs 1 | 80 ms | 80 ms | none other | ok"
    waited = result(after_ms=2_080.0, held_by="http_status", reasons={"http_status": 2}, violated={"x": 1})
    assert "after 2.0 s until the next attempt (http_status)" in entry(GAP, "aster", {("gap", "aster"): waited})
    assert entry(GAP, "aster", {}).startswith("not run")
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- matrix -->\nformer\n<!-- /matrix -->\nb\n")
    put(page, "matrix", matrix({("gap", "aster"): result()}))
    assert page.read_text().startswith("a\n<!-- matrix -->\nSettings of the run")
    assert "former" not in page.read_text()
    with pytest.raises(ValueError, match="no part flap"):
        put(page, "flap", "")


def test_the_page_shows_every_cell_of_every_venue() -> None:
    text = PAGE.read_text()
    for venue in VENUES:
        rows = text[text.index(f"### {venue}\n") :].split("\n### ")[0]
        for cell in CELLS:
            row = next(line for line in rows.splitlines() if line.startswith(f"| **{cell.name}**:"))
            assert "not run" not in row, (venue, cell.name)
