"""Fault, detection, recovery."""

from __future__ import annotations

from typing import Any

from cli.evidence.logs import Word
from cli.evidence.recovery import HARMLESS, NOTHING_MET, Log, Told, decode, follow
from cli.evidence.scan import Scan
from simulator.faults import CATALOGUE
from tests.cli.evidence.runs import BEGIN_MS, detail, lines, tick, venue


def scan(states: list[str]) -> Scan:
    found = Scan(whole_run=True)
    found.feed(lines([tick(t, {"aster": venue(20, state=state)}) for t, state in enumerate(states)]))
    return found


def told(fault: str, begin_s: float, end_s: float | None, **more: Any) -> Told:  # noqa: ANN401
    def ns(seconds: float) -> int:
        return round((BEGIN_MS / 1_000 + seconds) * 1e9)

    ended = None if end_s is None else ns(end_s)
    return Told(fault, more.pop("venue", "aster"), began_ns=ns(begin_s), ended_ns=ended, applied=1, **more)


def word(at_s: float, event: str, market: str | None = None, *, trouble: bool = True) -> Word:
    return Word(BEGIN_MS + at_s * 1_000, "aster", event, market, "reason=x", trouble)


STALL = ["live"] * 8 + ["stale"] * 4 + ["live"] * 20
"""Stale from 2 s to 3 s."""


def test_a_fault_is_detected_by_the_first_word_or_tick_and_over_when_the_venue_is_well() -> None:
    [fault] = follow(Log(log=[told("stall", 1, 2.5)]), scan(STALL), [])
    assert (fault.detected_ms, fault.recovered_ms) == (BEGIN_MS + 2_000, BEGIN_MS + 3_000)
    assert fault.detected_by == "stale (because)"
    words = [word(1.25, "reconnect"), word(2.875, "live", trouble=False)]
    [fault] = follow(Log(log=[told("stall", 1, 2.5)]), scan(STALL), words)
    assert (fault.detected_ms, fault.recovered_ms) == (BEGIN_MS + 1_250, BEGIN_MS + 2_875)
    assert fault.detected_by == "reconnect reason=x"


def test_a_fault_that_changes_nothing_is_not_detected() -> None:
    [fault] = follow(Log(log=[told("duplicate", 1, 2)]), scan(["live"] * 20), [])
    assert (fault.detected_ms, fault.recovered_ms, fault.detected_by) == (None, None, "")


def test_a_fault_without_effect_says_why_and_what_the_venue_was_like() -> None:
    [fault] = follow(Log(log=[told("duplicate", 1, 2)]), scan(["live"] * 20), [])
    assert fault.why == (
        "a frame that repeats what is known changes nothing (acted once); the venue stayed well, its age at most 0.0 s"
    )
    met_nothing = told("rest_error", 1, 2)
    met_nothing.applied = 0
    [fault] = follow(Log(log=[met_nothing]), scan(["live"] * 20), [])
    assert fault.why.startswith("no REST call was made meanwhile; the venue stayed well")
    met_nothing.fault = "greet_close"
    [fault] = follow(Log(log=[met_nothing]), scan(["live"] * 20), [])
    assert fault.why.startswith("no connection was attempted meanwhile; the venue stayed well")


def test_the_age_told_of_is_that_of_the_fault_and_beside_its_limit() -> None:
    found = Scan(whole_run=True)
    ages = [20] * 8 + [4_000] * 4 + [9_000] + [20] * 8
    ticks = [tick(t, {"aster": venue(age)}) for t, age in enumerate(ages)]
    ticks[0]["venue_detail"] = {"aster": detail()}
    found.feed(lines(ticks))
    [fault] = follow(Log(log=[told("delay", 1.5, 2.5)]), found, [])
    assert fault.why.endswith("the venue stayed well, its age at most 4.0 s of 10 s")


def test_a_fault_that_meets_a_venue_in_trouble_says_so() -> None:
    log = Log(log=[told("stall", 1, 1.5), told("gap", 2.25, 2.5)])
    _, hidden = follow(log, scan(STALL), [])
    assert hidden.why == "the venue was not well already: stale (because); acted once"


def test_a_fault_that_is_not_in_the_catalogue_is_told_of_as_far_as_it_is_known() -> None:
    [fault] = follow(Log(log=[told("meteor", 1, 2)]), scan(["live"] * 20), [])
    assert fault.why.startswith("nothing told of it (acted once)")


def test_every_fault_that_can_be_harmless_is_one_of_the_catalogue() -> None:
    assert HARMLESS.keys() <= CATALOGUE.keys()
    assert {kind.where for kind in CATALOGUE.values()} - NOTHING_MET.keys() == {"all", "clock"}


def test_a_trouble_that_outlasts_the_run_is_no_recovery() -> None:
    [fault] = follow(Log(active=[told("stall", 1, None)]), scan(["live"] * 8 + ["stale"] * 9), [])
    assert (fault.detected_ms, fault.recovered_ms, fault.ended_ms) == (BEGIN_MS + 2_000, None, None)


def test_troubles_shortly_after_one_another_are_one() -> None:
    states = ["live"] * 8 + ["stale"] * 4 + ["live"] + ["syncing"] * 4 + ["live"] * 20
    [fault] = follow(Log(log=[told("stall", 1, 2.5)]), scan(states), [])
    assert fault.recovered_ms == BEGIN_MS + 17 * 250


def test_a_trouble_belongs_to_the_fault_that_began_last_before_it() -> None:
    log = Log(log=[told("duplicate", 0, 0.25), told("stall", 1.5, 2.5)])
    first, second = follow(log, scan(STALL), [])
    assert (first.fault, first.detected_ms) == ("duplicate", None)
    assert (second.fault, second.detected_ms) == ("stall", BEGIN_MS + 2_000)


def test_words_about_another_market_are_not_its_detection() -> None:
    log = Log(log=[told("gap", 1, 2, market="ETH-PERP")])
    quiet = scan(["live"] * 20)
    assert follow(log, quiet, [word(1.5, "recovering", "BTC-PERP")])[0].detected_ms is None
    assert follow(log, quiet, [word(1.5, "recovering", "ETH-PERP")])[0].detected_ms == BEGIN_MS + 1_500


def test_what_is_logged_after_the_last_tick_is_no_detection() -> None:
    log = Log(log=[told("duplicate", 1, 2)])
    assert follow(log, scan(["live"] * 20), [word(5.5, "stale")])[0].detected_ms is None


def test_a_fault_of_all_venues_is_followed_on_each() -> None:
    found = Scan(whole_run=True)
    found.feed(lines([tick(0, {"aster": venue(), "lighter": venue()})]))
    assert [fault.venue for fault in follow(Log(log=[told("refuse", 0, 1, venue=None)]), found, [])] == [
        "aster",
        "lighter",
    ]


def test_faults_of_venues_that_were_not_run_and_those_to_come_are_left_out() -> None:
    log = Log(log=[told("stall", 0, 1, venue="paradex")], scheduled=[Told("stall", "aster")])
    assert follow(log, scan(["live"]), []) == []


def test_parameters_are_told_where_they_are_not_as_usual() -> None:
    log = Log(log=[told("gap", 0, 1, params={"count": 3, "times": 1, "every": 1, "kinds": ""})])
    assert follow(log, scan(["live"]), [])[0].params == "count=3"


def test_the_simulators_answer_is_understood() -> None:
    body = b"""{"active": [], "scheduled": [], "log": [{"id": "f1", "fault": "stall", "venue": null, "market": null,
        "params": {"control": false}, "for_s": 2.0, "due_ns": 1, "began_ns": 1, "ended_ns": 2, "applied": 3}]}"""
    assert [fault.applied for fault in decode(body).begun] == [3]
