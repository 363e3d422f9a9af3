"""A report as headings and tables, Markdown and HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from cli.evidence import html, markdown
from cli.evidence.build import Inputs, facts
from cli.evidence.document import Document, clock, document, duration, number, share, venue_line, verdict
from cli.evidence.facts import Facts
from cli.evidence.gate import Limits, judge
from cli.evidence.logs import LogScan, RxScan
from cli.evidence.recovery import Log, Told
from cli.evidence.scan import Scan
from tests.cli.evidence.runs import BEGIN_MS, VENUES, calm, detail, lines, tick, venue

MANIFEST = {
    "label": "<b>tighter | stale</b>",
    "mode": "sim",
    "connectors": list(VENUES),
    "status": "interrupted",
    "why": "it was stopped by hand",
    "versions": {"paraphina-connectivity": "0.1.0", "python": "3.11.7"},
    "host": {"name": "desk1", "cpus": 2, "system": "Linux"},
    "git": {"revision": "abc", "changed": True},
}


def told() -> Facts:
    ticks = calm(12)
    ticks[9]["venues"]["aster"] = venue(20, state="stale")
    ticks[8]["venue_detail"]["aster"] = detail({"seq_gap": 2})
    scan = Scan(whole_run=True)
    scan.feed([*lines(ticks), b'{"t'])
    log = LogScan(whole_run=True)
    log.feed([b"time=2026-11-22T00:15:53.119Z process=publisher | Traceback (most recent call last):\n"])
    began = round((BEGIN_MS + 2_000) * 1e6)
    faults = Log(
        log=[
            Told("stall", "aster", "BTC-PERP", began_ns=began, ended_ns=began + 10**8, applied=3),
            Told("duplicate", "hyperliquid", began_ns=began, applied=1),
        ]
    )
    return facts(Inputs(scan, log, RxScan(whole_run=True), faults, MANIFEST, ["faults.json"]))


def page() -> Document:
    found = told()
    return document(found, judge(found, [*VENUES, "paradex"], Limits(), require_event_age=True))


def test_markdown_has_every_section_and_what_matters() -> None:
    text = markdown.render(page())
    for words in (
        "# Soak report: <b>tighter | stale</b>",
        "**FAIL: 1 of ",
        "| samples | paradex | 0 | >= 1 | FAIL | no age was ever known |",
        "telemetry.jsonl: the last line (13) is cut off and was left out.",
        "faults.json is missing",
        "The run did not end as planned: it was stopped by hand.",
        "run.log has 1 tracebacks.",
        "| aster | seq_gap | 2 |",
        "| aster | socket_to_apply | 500 | 900 | 1,500 | 9,000 | 100 |",
        "| 2.0 s | stall | aster | BTC-PERP | 100 ms | 3 | 250 ms | stale (because) | 500 ms |",
        "| 2.0 s | duplicate | hyperliquid | all | to the end | 1 | - | without effect: ",
        "2 faults: 1 detected, 1 of those recovered; 1 without effect.",
        "| revision | abc with changes |",
    ):
        assert words in text


def test_tables_of_markdown_are_whole() -> None:
    for block in re.findall(r"(?:^\|.*\n)+", markdown.render(page()), re.MULTILINE):
        rows = [re.sub(r"\\\|", "", row).count("|") for row in block.splitlines()]
        assert len(set(rows)) == 1, block


class Reader(HTMLParser):
    """What a browser would load, and whether tags are balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.marks: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "data", "action"}]
        self.marks += [value or "" for name, value in attrs if name == "class"]
        assert tag != "script"
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_one_file_that_loads_nothing_and_escapes_everything() -> None:
    text = html.render(page(), [("words & more", "<svg></svg>")])
    reader = Reader()
    reader.feed(text)
    assert (reader.open, reader.addresses) == ([], [])
    assert "<b>tighter" not in text
    assert "&lt;b&gt;tighter" in text
    assert "words &amp; more" in text
    assert {"verdict bad", "good", "bad"} <= set(reader.marks)


def test_html_says_when_all_is_well_and_when_nothing_was_asked() -> None:
    assert 'class="verdict good"' in html.render(Document("t", "v", good=True, sections=[]), [])
    assert 'class="verdict"' in html.render(Document("t", "v", good=None, sections=[]), [])


def test_without_a_gate_there_is_no_verdict() -> None:
    assert verdict(None) == "No gate was asked for."
    assert "## Gate" not in markdown.render(document(told(), None))


def test_a_gate_that_holds_says_so() -> None:
    found = told()
    gate = judge(found, VENUES, Limits(), require_event_age=True)
    assert [criterion.name for criterion in gate.failures] == []
    assert verdict(gate).startswith("PASS: all ")


def test_a_venue_in_one_line() -> None:
    aster = next(about for about in told().venues if about.venue == "aster")
    assert venue_line(aster) == "aster: age p50 20 p99 20 max 20 ms, reconnects: seq_gap 2"
    scan = Scan(whole_run=True)
    scan.feed(lines([tick(0, {"aster": venue(None)})]))
    assert venue_line(facts(Inputs(scan)).venues[0]) == "aster: no age was ever known"


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "-"), (0, "0"), (1234567, "1,234,567"), (2.5, "2.50"), (1234.5, "1,234"), (-3, "-3")],
)
def test_numbers(value: float | None, words: str) -> None:
    assert number(value) == words


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_500, "1.5 s"),
        (121_000, "2 min 01 s"),
        (86_400_000, "24 h 00 min"),
        (-5, "-5 ms"),
    ],
)
def test_durations(ms: float, words: str) -> None:
    assert duration(ms) == words


@pytest.mark.parametrize(("value", "words"), [(None, "-"), (1.0, "100 %"), (0.99999, "99.99 %"), (0.5, "50.00 %")])
def test_a_share_is_never_rounded_up_to_all(value: float | None, words: str) -> None:
    assert share(value) == words


def test_times_are_utc() -> None:
    assert clock(1_795_306_495_509) == "2026-11-22 00:14:55.509 UTC"
    assert clock(None) == "-"
