"""The newest of everything, and whether it is current."""

from __future__ import annotations

import pytest

from bus.counters import Counter
from bus.events import Bbo, Gap, Process, Reason, Reconnect, Source, State, Status, Trust
from bus.items import Healed
from dashboard.state import MAX_PROCESSES
from tests.dashboard.samples import BTC, MONO, WALL, body, heartbeat, message, now, state, telemetry, whole


def test_before_the_first_telemetry_the_source_says_what_is_missing() -> None:
    found = state()
    source = found.source(now())
    assert not source.ok
    assert source.age_ms is None
    assert source.problem == "no telemetry yet: nothing is heard on the bus, is the publisher running?"


def test_telemetry_is_current_for_two_seconds_and_then_is_not() -> None:
    found = state(telemetry(body()))
    assert found.source(now(2_000)).ok
    late = found.source(now(2_001))
    assert not late.ok
    assert late.age_ms == 2_001
    assert late.problem is not None
    assert late.problem.startswith("telemetry is 2.0 s old")


def test_a_repeated_message_of_a_dead_runner_is_as_old_as_it_is() -> None:
    found = state()
    assert found.take(telemetry(body(), -60_000), now())
    assert found.source(now()).age_ms == 60_000


def test_on_another_host_the_wall_clock_measures_the_age() -> None:
    found = state(same_host=False)
    item = telemetry(body(), -700)
    found.take(item, now()._replace(mono=MONO + 999))
    assert found.source(now()._replace(mono=MONO + 999)).age_ms == 700


@pytest.mark.parametrize(
    ("heard", "blamed"),
    [
        ((), "nothing is heard on the bus, is the publisher running?"),
        (("aster",), "the publisher is not heard"),
        (("aster", "publisher"), "the publisher is heard, the runner is not"),
        (("publisher", "runner"), "the runner is heard, but not its telemetry"),
    ],
)
def test_missing_telemetry_is_blamed_on_whoever_is_silent(heard: tuple[str, ...], blamed: str) -> None:
    found = state(telemetry(body(), -10_000), *(heartbeat(name) for name in heard))
    assert found.source(now()).problem == f"telemetry is 10.0 s old: {blamed}"


def test_heartbeats_that_stopped_are_not_heard() -> None:
    found = state(heartbeat("runner"))
    assert found.heard("runner", now(3_000))
    assert not found.heard("runner", now(3_001))
    assert not found.heard("publisher", now())


def test_details_are_kept_until_newer_ones_come() -> None:
    found = state(telemetry(whole()))
    found.take(telemetry(body(), 250), now(250))
    assert "aster" in found.venue_detail
    assert "aster" in found.market_detail
    assert found.system is not None


def test_another_run_of_the_runner_does_not_stand_beside_details_of_the_one_before() -> None:
    found = state(telemetry(whole()))
    found.take(telemetry(body(), 250, epoch=2), now(250))
    assert (found.venue_detail, found.market_detail, found.system) == ({}, {}, None)


def test_telemetry_that_cannot_be_read_is_counted_and_is_the_problem_once_the_last_good_one_is_old() -> None:
    found = state(telemetry({**body(), "schema": 9}))
    assert found.counters.get(Counter.TELEMETRY_UNREADABLE) == 1
    assert "version 9" in str(found.source(now()).problem)
    found.take(telemetry(body()), now())
    found.take(telemetry({**body(), "schema": 9}, 250), now(250))
    assert found.source(now(250)).ok
    assert "version 9" in str(found.source(now(5_000)).problem)


def test_losing_the_source_and_having_it_back_are_marked_once_each() -> None:
    found = state()
    for at in (0, 100):
        assert not found.watch(now(at)).ok
    found.take(telemetry(body(), 200), now(200))
    for at in (200, 300):
        assert found.watch(now(at)).ok
    found.watch(now(5_000))
    marks = [(mark.kind, mark.lane) for mark in found.history.since(0)]
    assert marks == [
        ("process", "dashboard"),
        ("source", "telemetry"),
        ("process", "telemetry"),
        ("source", "telemetry"),
    ]


def test_a_source_that_is_there_from_the_start_is_not_marked() -> None:
    found = state(telemetry(body()))
    found.watch(now())
    assert [mark.lane for mark in found.history.since(0)] == ["dashboard"]


def test_what_happens_is_marked() -> None:
    found = state(
        message(Reconnect("main", Reason.SEQ_GAP, 1, "5 after 3", 250), sender="aster"),
        message(Reconnect("main", Reason.PONG_TIMEOUT, 1, "", 250), sender="aster"),
        message(Process("connectors:aster", "exited", 7, "SIGKILL", 1, None), sender="connectors:aster"),
        message(Gap("trade.aster.BTC-PERP", 1, 4, 4, "full"), sender="aster"),
        message(Status(State.STALE, State.LIVE, "book", "", WALL), sender="aster"),
        message(Status(State.STALE, State.LIVE, "book", "", WALL), sender="aster", market=BTC),
    )
    assert [(mark.lane, mark.kind, mark.text) for mark in found.history.since(1)] == [
        ("aster", "reconnect", "seq_gap (5 after 3)"),
        ("aster", "reconnect", "pong_timeout"),
        ("aster", "process", "exited (SIGKILL)"),
        ("aster", "gap", "4 events of trade.aster.BTC-PERP dropped"),
        ("aster", "state", "stale: book"),
        ("aster", "market", "BTC-PERP stale: book"),
    ]


def test_what_is_neither_telemetry_nor_a_happening_changes_nothing() -> None:
    quote = Bbo(None, None, Trust.LIVE, 1, Source.STREAM, 1.0, 1.0, 2.0, 1.0)
    found = state(message(quote, sender="aster", market=BTC))
    assert not found.take(Healed("book", "aster", BTC, MONO, 5), now())
    assert found.history.number == 1
    assert found.tick is None


def test_a_heartbeat_of_a_run_that_has_ended_does_not_replace_that_of_its_successor() -> None:
    found = state(heartbeat("aster", epoch=2, counters={"frames": 1}), heartbeat("aster", epoch=1))
    assert found.beats["aster"].heartbeat.counters == {"frames": 1}


def test_another_line_is_another_process_and_their_number_is_bounded() -> None:
    found = state(heartbeat("aster", line="b"))
    assert list(found.beats) == ["aster/b"]
    for number in range(MAX_PROCESSES + 5):
        found.take(heartbeat(f"x{number}"), now())
    assert len(found.beats) == MAX_PROCESSES
