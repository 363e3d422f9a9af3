"""Pictures of a run."""

from __future__ import annotations

import re
import sys
from xml.etree import ElementTree as ET

import pytest

from cli.evidence.build import Inputs, facts
from cli.evidence.pictures import pictures
from cli.evidence.recovery import Log, Told
from cli.evidence.scan import Scan
from tests.cli.evidence.runs import BEGIN_MS, calm, detail, lines, system, tick, venue


def drawn(ticks: list[dict[str, object]], faults: Log | None = None) -> list[tuple[str, str]]:
    scan = Scan(whole_run=True)
    scan.feed(lines(ticks))
    return pictures(scan, facts(Inputs(scan, faults=faults)))


def eventful() -> list[tuple[str, str]]:
    ticks = calm(200)
    for t in range(40, 60):
        ticks[t]["venue_age_ms"][1] = (t - 40) * 250
        ticks[t]["venues"]["aster"] = venue((t - 40) * 250, state="stale")
    ticks[60]["venue_detail"]["aster"] = detail({"stale_watchdog": 1})
    began = round((BEGIN_MS + 10_000) * 1e6)
    stall = Told("stall", "aster", began_ns=began, ended_ns=began + 5 * 10**9, applied=1)
    return drawn(ticks, Log(log=[stall, Told("gap", "aster", began_ns=began + 10**8, applied=1)]))


def test_ages_distribution_hops_and_processes_are_drawn() -> None:
    found = eventful()
    assert len(found) == 4
    for _, svg in found:
        assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    ages = found[0][1]
    for words in (">stall<", ">gap<", "aster", "hyperliquid"):
        assert words in ages


def test_pictures_of_one_page_share_no_id_and_load_nothing() -> None:
    ids: list[str] = []
    for _, svg in eventful():
        ids += re.findall(r'\bid="([^"]+)"', svg)
        own = set(re.findall(r'\bid="([^"]+)"', svg))
        assert set(re.findall(r'href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg)) <= own
        assert not re.search(r'(href|src)="(?!#)', svg)
        assert "<metadata" not in svg
        assert "<!DOCTYPE" not in svg
    assert len(ids) == len(set(ids))


def test_the_same_run_gives_the_same_pictures() -> None:
    assert eventful() == eventful()


def test_a_run_without_any_age_can_be_drawn() -> None:
    nothing = [tick(t, {"aster": venue(None)}, system=system()) for t in range(3)]
    assert len(drawn(nothing)) == 3


def test_without_matplotlib_there_are_no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert drawn(calm(3)) == []
