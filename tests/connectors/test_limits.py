"""Nothing leaves that a venue's limits, refusals or the breaker forbid."""

from __future__ import annotations

from random import Random

from connectors.effects import Fetch, Reply
from connectors.limits import LEAST_WAIT_NS, PROBE_RETRY_NS, Limits
from connectors.links import Link, Phase
from connectors.past import Past
from connectors.venue import Budget, VenueSpec
from tests.connectors.doubles import SPEC, S, at


def link() -> Link:
    return Link("1/main", "main", "ws://venue", {}, Random(1))


def test_an_attempt_waits_for_the_budget_the_hold_and_the_breaker() -> None:
    limits = Limits(VenueSpec("fake", None, Budget(1, 10 * S), None, None))
    assert limits.connect_at(at(0)) == 0
    assert limits.connect_at(at(1)) == 10 * S
    assert limits.refused(503, {"retry-after": "20"}, at(1)) == 20 * S
    assert limits.connect_at(at(2)) == 20 * S + 1
    limits.breaker.limit = 1
    limits.breaker.failed(30 * S)
    assert limits.connect_at(at(30 * S)) == 35 * S
    assert limits.connect_at(at(35 * S)) == 35 * S, "the probe"
    limits = Limits(VenueSpec("fake", None, None, None, None))
    limits.breaker.limit = 1
    limits.breaker.failed(0)
    assert limits.connect_at(at(5 * S)) == 5 * S
    assert limits.connect_at(at(5 * S)) == 5 * S + PROBE_RETRY_NS, "behind another's probe"


def test_a_status_without_meaning_for_limits_holds_nothing() -> None:
    limits = Limits(SPEC)
    assert limits.refused(500, {}, at(0)) == 0
    assert limits.refused(None, {}, at(0)) == 0
    assert limits.connect_at(at(0)) == 0


def test_messages_are_counted_for_the_session_or_for_the_host() -> None:
    own, shared = Limits(SPEC), Limits(VenueSpec("fake", None, None, Budget(1, S), None, messages_per_connection=False))
    for limits, expected in ((own, 0), (shared, S)):
        first, second = link(), link()
        for each in (first, second):
            each.opened(at(0), limits.session_budget())
        limits.message_taken(first, at(0))
        assert limits.message_wait_ns(second, at(0)) == expected
    third = link()
    third.opened(at(0), own.session_budget())
    for _ in range(3):
        own.message_taken(third, at(0))
    assert own.message_wait_ns(third, at(0)) == 60 * S


def test_calls_leave_in_order_within_the_weight() -> None:
    limits = Limits(SPEC)
    assert limits.deadline(at(0)) is None
    limits.queue("1", Fetch("a", "http://venue", weight=10))
    limits.queue("1", Fetch("b", "http://venue", weight=1))
    assert limits.deadline(at(0)) == LEAST_WAIT_NS
    first = limits.due_call(at(0))
    assert first is not None
    assert first[1].name == "a"
    assert limits.due_call(at(1)) is None
    assert limits.deadline(at(1)) == 60 * S
    second = limits.due_call(at(60 * S))
    assert second is not None
    assert second[1].name == "b"
    assert limits.due_call(at(60 * S)) is None


def test_a_limiting_answer_holds_calls_back_and_a_good_one_does_not() -> None:
    limits = Limits(SPEC)
    assert limits.answered(Reply(200, b"", {"retry-after": "9"}), at(0)) == 0
    assert limits.answered(Reply(429), at(0)) == 10 * S
    limits.queue("1", Fetch("a", "http://venue"))
    assert limits.call_at(at(1)) == 10 * S


def test_a_link_forgets_its_past_only_after_a_minute_of_data() -> None:
    one = link()
    one.opened(at(0), Limits(SPEC).session_budget())
    one.first_data, one.last_rx = 0, 59 * S
    one.lost(at(59 * S), not_before=0)
    one.lost(at(59 * S), not_before=0)
    assert (one.failures, one.backoff.attempt, one.phase) == (2, 2, Phase.WAITING)
    one.first_data, one.last_rx = 0, 60 * S
    assert one.lost(at(60 * S), not_before=100 * S) == 40 * S
    assert (one.failures, one.backoff.attempt) == (1, 1)


def test_the_headroom_is_the_least_of_all_sessions_and_zero_while_the_venue_asks_for_rest() -> None:
    limits = Limits(VenueSpec("fake", None, Budget(4, 60 * S), Budget(2, S), Budget(100, 60 * S)))
    assert limits.headroom(at(0)) == {"connects": 1.0, "messages": 1.0, "rest": 1.0}
    first, second = link(), link()
    for each in (first, second):
        limits.connect_at(at(0))
        each.opened(at(0), limits.session_budget())
    limits.message_taken(first, at(0))
    limits.queue("1", Fetch("a", "http://venue", weight=30))
    limits.due_call(at(0))
    assert limits.headroom(at(0)) == {"connects": 0.5, "messages": 0.5, "rest": 0.7}
    second.opened(at(2 * S), limits.session_budget())
    assert limits.headroom(at(3 * S))["messages"] == 0.5, "as it was when it was last told"
    assert limits.headroom(at(3 * S))["messages"] == 1.0
    limits.answered(Reply(429, b"", {"retry-after": "7"}), at(3 * S))
    limits.refused(429, {"retry-after": "5"}, at(3 * S))
    assert limits.headroom(at(4 * S)) == {"connects": 0.0, "messages": 1.0, "rest": 0.0}
    assert limits.headroom(at(11 * S)) == {"connects": 0.5, "messages": 1.0, "rest": 0.7}


def test_a_venue_without_limits_has_no_headroom_to_tell_of() -> None:
    limits = Limits(VenueSpec("fake", None, None, None, None))
    limits.session_budget()
    assert limits.headroom(at(0)) == {}


def test_a_successor_is_held_by_what_its_predecessor_was_told_and_spent() -> None:
    spec = VenueSpec(
        "fake", None, Budget(2, 60 * S), Budget(3, 60 * S), Budget(10, 60 * S), messages_per_connection=False
    )
    before = Limits(spec)
    assert before.past(at(0)) == Past()
    before.connect_at(at(1 * S))
    before.connect_at(at(2 * S))
    before.message_taken(link(), at(3 * S))
    before.queue("1", Fetch("a", "http://venue", weight=10))
    before.due_call(at(4 * S))
    before.refused(429, {"retry-after": "90"}, at(5 * S))
    before.answered(Reply(418, b"", {"retry-after": "20"}), at(5 * S))
    after = Limits(spec)
    after.recall(before.past(at(6 * S)))
    assert after.past(at(6 * S)) == before.past(at(6 * S))
    assert after.connect_at(at(6 * S)) == 95 * S
    after.queue("1", Fetch("b", "http://venue"))
    assert after.call_at(at(6 * S)) == 64 * S
    assert after.headroom(at(6 * S)) == {"connects": 0.0, "messages": 0.667, "rest": 0.0}
    assert before.past(at(100 * S)) == Past(), "what is over is not handed down"


def test_whatever_changes_what_is_handed_down_is_counted() -> None:
    own = VenueSpec("fake", None, Budget(2, 60 * S), Budget(3, 60 * S), Budget(10, 60 * S))
    shared = VenueSpec("fake", None, None, Budget(3, 60 * S), None, messages_per_connection=False)
    limits = Limits(own)
    limits.connect_at(at(0))
    assert limits.changes == 1
    limits.message_taken(link(), at(0))
    assert limits.changes == 1, "each connection has its own"
    limits.queue("1", Fetch("a", "http://venue"))
    limits.due_call(at(0))
    assert limits.changes == 2
    limits.answered(Reply(200), at(0))
    limits.refused(500, {}, at(0))
    assert limits.changes == 2
    limits.answered(Reply(429), at(0))
    limits.refused(429, {}, at(0))
    assert limits.changes == 4
    limits = Limits(shared)
    limits.message_taken(link(), at(0))
    assert limits.changes == 1
