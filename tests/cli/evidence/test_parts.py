"""What several readers find of their venues is what one would have found of all."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.evidence import parts, scan
from cli.evidence.build import Inputs, facts
from cli.evidence.parts import joined
from cli.evidence.scan import Scan
from tests.cli.evidence.runs import detail, lines, system, tick, venue

VENUES = ("hyperliquid", "lighter", "aster")
AGES = st.none() | st.integers(0, 40_000)


@st.composite
def ticks(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A run in which everything happens that is told as a moment, often in one tick."""
    found, number = [], 0
    for at in range(draw(st.integers(1, 25))):
        number = 0 if draw(st.integers(0, 9)) == 0 else number + 1
        shown = VENUES if draw(st.integers(0, 9)) else VENUES[1:]
        states = {name: draw(st.sampled_from(["live", "live", "stale"])) for name in shown}
        one = tick(number, {name: venue(draw(AGES), state=state) for name, state in states.items()})
        one["treasury_guidance"]["as_of_ms"] += 250 * (at - number)
        one["clock_jumps"] = draw(st.integers(0, 2))
        one["cap_hits"] = at // 3
        if draw(st.booleans()):
            one["venue_detail"] = {name: detail({"ws_closed": draw(st.integers(0, 3))}, at) for name in VENUES}
            one["market_detail"] = {name: {"BTC-PERP": {"rebuild": at, "check": None}} for name in VENUES}
            one["system"] = system(restarts=draw(st.integers(0, 2)), pid=draw(st.integers(1, 3)))
        found.append(one)
    return found


def scanned(run: list[dict[str, Any]], part: tuple[int, int] = (0, 1)) -> Scan:
    found = Scan(whole_run=True, part=part)
    found.feed(lines(run))
    return found


def everything(found: Scan) -> bytes:
    return msgspec.json.encode(facts(Inputs(found)))


@given(ticks(), st.integers(2, 4))
def test_parts_joined_are_the_whole(run: list[dict[str, Any]], count: int) -> None:
    whole = scanned(run)
    found = joined([scanned(run, (part, count)) for part in range(count)])
    assert list(found.venues) == list(whole.venues)
    assert found.moments == whole.moments
    assert everything(found) == everything(whole)


def test_no_more_moments_are_kept_than_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "MAX_MOMENTS", 3)
    monkeypatch.setattr(parts, "MAX_MOMENTS", 3)
    run = [
        tick(t, {name: venue(20, state="live" if (t + at) % 2 else "stale") for at, name in enumerate(VENUES)})
        for t in range(6)
    ]
    whole = scanned(run)
    found = joined([scanned(run, (part, 2)) for part in (0, 1)])
    assert (found.moments, found.left_out) == (whole.moments, whole.left_out)
    assert found.left_out > 0
