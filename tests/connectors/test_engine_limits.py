"""What the engine sends stays within a venue's limits, and what a venue answers to excess is obeyed."""

from __future__ import annotations

from bus.counters import Counter
from bus.events import Reason
from connectors.effects import Fetch, Open, Refusal, Reply, Send
from connectors.venue import Budget, VenueSpec
from tests.connectors.doubles import MARKET, Rig, S, at

REFUSED = Refusal(Reason.CONNECT_ERROR, "connection refused")


def test_retry_after_is_obeyed_to_the_second() -> None:
    rig = Rig()
    rig.engine.start(at(0))
    rig.engine.refused("1/main", Refusal(Reason.RATE_LIMITED, "", 429, b"", {"retry-after": "37"}), at(0))
    assert rig.engine.deadline == 37 * S
    rig.engine.woken(at(37 * S - 1))
    assert len(rig.ports.connects) == 1
    rig.engine.woken(at(37 * S))
    assert len(rig.ports.connects) == 2


def test_a_ban_without_a_time_is_waited_out_as_documented() -> None:
    rig = Rig()
    rig.engine.start(at(0))
    rig.engine.refused("1/main", Refusal(Reason.HTTP_STATUS, "", 418), at(0))
    assert rig.engine.deadline == 120 * S


def test_connects_stay_within_the_venues_budget() -> None:
    spec = VenueSpec("fake", None, Budget(2, 60 * S), None, None)
    rig = Rig(spec)
    rig.engine.start(at(0))
    rig.engine.refused("1/main", REFUSED, at(0))
    rig.engine.woken(at(1 * S))
    rig.engine.refused("1/main", REFUSED, at(1 * S))
    rig.engine.woken(at(10 * S))
    assert len(rig.ports.connects) == 2
    assert rig.counters.get(Counter.BUDGET_WAITS) == 1
    assert ("warning", "connect_waits", {"conn": "main", "wait_s": 50.0}) in rig.ports.logs
    rig.engine.woken(at(60 * S))
    assert len(rig.ports.connects) == 3


def test_sends_stay_within_the_message_budget_in_order() -> None:
    rig = Rig()
    rig.up()
    rig.receive([Send("main", str(number)) for number in range(5)], 1)
    assert [text for _, text in rig.ports.sent] == ["0", "1", "2"]
    rig.engine.refresh(at(2))
    assert rig.engine.deadline == 60 * S + 1
    rig.engine.woken(at(60 * S + 1))
    assert [text for _, text in rig.ports.sent] == ["0", "1", "2", "3", "4"]


def test_a_host_wide_message_budget_is_shared_by_all_connections() -> None:
    spec = VenueSpec("fake", None, None, Budget(3, 60 * S), None, messages_per_connection=False)
    rig = Rig(spec)
    rig.up()
    rig.receive([Open("more", "ws://venue/more")], 1)
    rig.engine.opened("1/more", at(2))
    rig.receive([Send("main", "a"), Send("more", "b"), Send("main", "c"), Send("more", "d")], 3)
    assert [text for _, text in rig.ports.sent] == ["a", "b", "c"]


def test_rest_calls_stay_within_the_weight_budget() -> None:
    rig = Rig()
    rig.up()
    rig.receive([Fetch("book", "http://venue/book", weight=6), Fetch("book", "http://venue/book", MARKET, weight=6)], 1)
    assert len(rig.ports.fetches) == 1
    rig.engine.woken(at(60 * S + 1))
    assert len(rig.ports.fetches) == 2
    assert rig.counters.get(Counter.REST_CALLS) == 2


def test_a_limiting_rest_answer_holds_rest_back_and_reaches_the_protocol() -> None:
    rig = Rig()
    rig.up()
    call = Fetch("book", "http://venue/book")
    rig.engine.fetched("1", call, Reply(429, b"", {"retry-after": "5"}), at(1))
    assert ("fetched", "book") in rig.protocol.calls
    assert rig.ports.said("rest_held")[0]["wait_s"] == 5.0
    rig.receive([call], 2)
    assert rig.ports.fetches == []
    rig.engine.woken(at(5 * S + 1))
    assert len(rig.ports.fetches) == 1


def test_other_failures_of_rest_are_counted_and_hold_nothing() -> None:
    rig = Rig()
    rig.up()
    rig.engine.fetched("1", Fetch("book", "http://venue/book"), Reply(None, problem="timed out"), at(1))
    assert rig.counters.get(Counter.REST_FAILURES) == 1
    assert rig.ports.said("rest_held") == []
