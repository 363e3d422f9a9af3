"""Every stream is watched by itself: acknowledgement, first data, silence."""

from __future__ import annotations

from connectors.streams import Beat, Keepalive, Patience, Stream, Streams, Verdict
from tests.connectors.doubles import MARKET, S, at

PATIENCE = Patience(ack_ns=2 * S, first_ns=5 * S, silence_ns=10 * S)


def stream(key: str = "book", patience: Patience = PATIENCE, requested: int = 0) -> Stream:
    return Stream("main", key, key, MARKET, patience, requested)


def verdicts(streams: Streams, mono: int) -> list[tuple[str, Verdict]]:
    return [(found.key, verdict) for found, verdict in streams.overdue(at(mono))]


def test_a_missing_acknowledgement_comes_before_missing_data() -> None:
    streams = Streams()
    streams.request(stream())
    assert streams.deadline == 2 * S
    assert verdicts(streams, 2 * S - 1) == []
    assert verdicts(streams, 2 * S) == [("book", Verdict.ACK)]


def test_an_acknowledged_stream_still_owes_its_first_data() -> None:
    streams = Streams()
    streams.request(stream())
    assert streams.ack("book", at(S))
    assert verdicts(streams, 5 * S) == [("book", Verdict.FIRST)]


def test_data_without_an_acknowledgement_is_as_good_as_both() -> None:
    streams = Streams()
    streams.request(stream())
    assert streams.data("book", at(S))
    assert verdicts(streams, 9 * S) == []


def test_silence_counts_from_the_last_data_and_is_named_once_a_period() -> None:
    streams = Streams()
    streams.request(stream())
    streams.data("book", at(S))
    streams.data("book", at(4 * S))
    assert verdicts(streams, 14 * S - 1) == []
    assert verdicts(streams, 14 * S) == [("book", Verdict.SILENT)]
    assert verdicts(streams, 15 * S) == []
    assert verdicts(streams, 24 * S) == [("book", Verdict.SILENT)]


def test_a_stream_without_patience_may_be_silent_for_ever() -> None:
    streams = Streams()
    streams.request(stream("trade", Patience()))
    assert streams.deadline is None
    streams.data("trade", at(S))
    assert verdicts(streams, 10**6 * S) == []


def test_one_dead_stream_is_seen_while_others_of_its_connection_are_busy() -> None:
    streams = Streams()
    streams.request(stream("book"))
    streams.request(stream("trade"))
    for second in range(1, 12):
        streams.data("trade", at(second * S))
        if second == 1:
            streams.data("book", at(S))
    assert verdicts(streams, 11 * S) == [("book", Verdict.SILENT)]


def test_nothing_is_known_of_what_was_not_asked_for_or_is_gone() -> None:
    streams = Streams()
    assert not streams.ack("book", at(0))
    assert not streams.data("book", at(0))
    streams.request(stream("book"))
    streams.request(stream("trade"))
    streams.drop("book")
    streams.drop("book")
    assert [each.key for each in streams] == ["trade"]
    streams.forget("other")
    assert streams.get("trade") is not None
    streams.forget("main")
    assert streams.get("trade") is None
    assert streams.deadline is None


def test_pings_are_due_each_interval_and_a_missing_answer_is_death() -> None:
    keepalive = Keepalive(interval_ns=10 * S, patience_ns=15 * S)
    assert keepalive.due(at(0)) is Beat.QUIET
    keepalive.opened(at(0))
    assert keepalive.deadline == 10 * S
    assert keepalive.due(at(9 * S)) is Beat.QUIET
    assert keepalive.due(at(10 * S)) is Beat.PING
    assert keepalive.due(at(20 * S)) is Beat.PING
    assert keepalive.due(at(25 * S)) is Beat.DEAD
    assert keepalive.due(at(26 * S)) is Beat.DEAD
    keepalive.closed()
    assert keepalive.due(at(30 * S)) is Beat.QUIET
    assert keepalive.deadline is None


def test_an_answer_to_any_ping_is_life() -> None:
    keepalive = Keepalive(interval_ns=10 * S, patience_ns=15 * S)
    keepalive.opened(at(0))
    assert keepalive.due(at(10 * S)) is Beat.PING
    keepalive.answered()
    assert keepalive.due(at(24 * S)) is Beat.PING
    assert keepalive.due(at(30 * S)) is Beat.QUIET
