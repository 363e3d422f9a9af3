"""Two runs side by side: noise is no news, a slower feed is."""

from __future__ import annotations

import os
from math import exp, sqrt
from random import Random
from typing import Any

import msgspec
import pytest

from cli.evidence import html, markdown
from cli.evidence.blocks import BlockScan
from cli.evidence.build import Inputs, facts
from cli.evidence.comparison import Comparison, Side, compare
from cli.evidence.pair import page, verdict
from cli.evidence.ticks import Tick
from tests.cli.evidence.runs import detail, lines, tick, venue

VENUES = ("hyperliquid", "paradex", "lighter", "extended", "aster")
GAPS_MS = {"hyperliquid": 90.0, "paradex": 110.0, "lighter": 50.0, "extended": 60.0, "aster": 140.0}
"""Mean time between two events of a venue."""
TICKS = 2_400
"""Ten minutes."""


class Feed:
    """A venue whose events come at random, in bursts, and now and then late: each run of it is another."""

    def __init__(self, rng: Random, gap_ms: float) -> None:
        self._rng = rng
        self._gap_ms = gap_ms
        self._phase = rng.uniform(0, 250)
        self._mood = rng.gauss(0, 1)
        self._exact = 0.0
        self.events = 0
        self.reconnects = 0
        self._outage = 0

    def tick(self) -> tuple[int, int, bool]:
        """Age, event age and whether all is well."""
        # What loads the host or the venue changes slowly: a minute, not a tick.
        self._mood = 0.99 * self._mood + sqrt(1 - 0.99**2) * self._rng.gauss(0, 1)
        gap = self._gap_ms * exp(0.05 * self._mood)
        if self._outage:
            self._outage -= 1
            return 250 * (9 - self._outage), 250 * (9 - self._outage) + 5, False
        if self._rng.random() < 0.0005:
            self._outage = 8
            self.reconnects += 1
        self._exact += 250 / gap * self._rng.uniform(0.7, 1.3)
        self.events = int(self._exact)
        age = self._rng.expovariate(1 / gap)
        return round(age), round(age + 5 + self._rng.uniform(0, 10)), True


def run(rng: Random, slower: dict[str, float] | None = None, count: int = TICKS) -> Side:
    """One run; ``slower``: factor on the time between two events of a venue."""
    feeds = {name: Feed(rng, gap * (slower or {}).get(name, 1.0)) for name, gap in GAPS_MS.items()}
    scan = BlockScan(whole_run=True)
    for t in range(count):
        told: dict[str, Any] = {}
        for name, feed in feeds.items():
            age, event_age, well = feed.tick()
            told[name] = venue(age, state="live" if well else "stale", markets={}) | {"age_event_ms": event_age}
        details = {name: detail({"stream_ended": feed.reconnects}, feed.events) for name, feed in feeds.items()}
        scan.take(msgspec.convert(tick(t, told, venue_detail=details if t % 4 == 0 else None), Tick))
    return Side(scan, facts(Inputs(scan)))


def test_runs_that_differ_in_nothing_but_noise_are_no_difference_in_19_of_20_tries() -> None:
    rng = Random(11)
    news = [verdict(found) for _ in range(20) if (found := compare(run(rng), run(rng))).news]
    assert len(news) <= 1, news


def test_a_venue_slowed_by_20_percent_is_flagged_and_no_other() -> None:
    rng = Random(12)
    for name in VENUES:
        found = compare(run(rng), run(rng, {name: 1.25}))
        assert {difference.venue for difference in found.news} == {name}, verdict(found)
        assert found.worse
        rate = next(d for d in found.differences if (d.venue, d.metric) == (name, "events"))
        assert rate.verdict == "worse"
        assert rate.relative == pytest.approx(-0.2, abs=0.06)


@pytest.mark.slow
@pytest.mark.skipif("PARAPHINA_LONG_TESTS" not in os.environ, reason="minutes: set PARAPHINA_LONG_TESTS")
def test_over_many_pairs_noise_is_hardly_ever_news_and_a_slower_feed_nearly_always() -> None:
    rng = Random(5)
    alarms, missed, wrong = 0, [], []
    for number in range(60):
        alarms += bool(compare(run(rng), run(rng)).news)
        slowed = VENUES[number % len(VENUES)]
        found = compare(run(rng), run(rng, {slowed: 1.25}))
        if slowed not in {difference.venue for difference in found.news}:
            missed.append([d for d in found.differences if (d.venue, d.metric) == (slowed, "events")])
        wrong += [d for d in found.news if d.venue != slowed]
    assert alarms <= 3
    assert len(missed) <= 3, missed
    assert len(wrong) <= 3, wrong


def test_a_venue_that_became_faster_is_better() -> None:
    rng = Random(13)
    found = compare(run(rng, {"aster": 1.4}), run(rng))
    assert {(difference.venue, difference.verdict) for difference in found.news} == {("aster", "better")}
    assert not found.worse


def test_runs_that_are_too_short_say_so() -> None:
    rng = Random(14)
    found = compare(run(rng, count=150), run(rng, {"aster": 4.0}, count=150))
    assert {difference.verdict for difference in found.differences if difference.metric == "age"} == {"unknown"}
    assert "too few samples" in markdown.render(page(found, ("a", "b")))


def side(seconds: int, manifest: dict[str, Any] | None, names: tuple[str, ...] = ("aster",)) -> Side:
    scan = BlockScan(whole_run=True)
    scan.feed(lines([tick(t, {name: venue() for name in names}) for t in range(seconds * 4)]))
    return Side(scan, facts(Inputs(scan, manifest=manifest or {})))


MANIFEST = {
    "mode": "sim",
    "connectors": ["aster"],
    "scenario": "",
    "settings": {"venues": {"aster": {"stale_ms": 10_000, "markets": ["BTC-PERP"], "ws_url": "ws://127.0.0.1:1"}}},
    "versions": {"python": "3.11.7"},
    "host": {"name": "desk", "load": [1]},
}


def changed(**keys: Any) -> dict[str, Any]:  # noqa: ANN401
    return {**MANIFEST, **keys}


def test_settings_and_versions_that_differ_are_listed() -> None:
    venues = {"aster": {"stale_ms": 8_000, "markets": ["BTC-PERP"], "ws_url": "ws://127.0.0.1:2"}}
    after = changed(settings={"venues": venues}, versions={"python": "3.12.1"}, host={"name": "desk", "load": [9]})
    found = compare(side(30, MANIFEST), side(30, after))
    assert [(c.what, c.before, c.after) for c in found.settings] == [("venues.aster.stale_ms", "10000", "8000")]
    assert [(c.what, c.before, c.after) for c in found.versions] == [("python", "3.11.7", "3.12.1")]
    assert found.unlike == []


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (side(30, changed(mode="live")), "mode differs: sim and live"),
        (side(30, changed(scenario="storm")), "scenario differs: - and storm"),
        (side(30, None), "only one of them has a manifest"),
        (side(70, MANIFEST), "one is 2.3 times as long as the other"),
        (side(30, MANIFEST, ("aster", "lighter")), "the venues differ: aster and aster, lighter"),
        (side(30, changed(settings={"venues": {"aster": {"markets": ["ETH-PERP"]}}})), "the markets differ"),
    ],
)
def test_runs_that_are_not_alike_say_why(after: Side, why: str) -> None:
    assert compare(side(30, MANIFEST), after).unlike == [why]


def test_runs_of_no_manifest_at_all_can_be_compared() -> None:
    assert compare(side(30, None), side(30, None)).unlike == []


def test_the_page_tells_before_after_change_and_verdict() -> None:
    rng = Random(15)
    found = compare(run(rng), run(rng, {"aster": 1.5}))
    text = markdown.render(page(found, ("one", "two")))
    assert "# Before one, after two" in text
    assert "| aster | events (/s) |" in text
    assert "worse" in text
    assert 'class="verdict bad"' in html.render(page(found, ("one", "two")), [])
    none = Comparison([], [], [], ["the markets differ"])
    assert "These runs are not alike" in markdown.render(page(none, ("one", "two")))
    assert verdict(none).startswith("No difference")
