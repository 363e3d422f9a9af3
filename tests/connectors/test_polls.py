"""REST calls go on for ever: a failure only ever means later."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from connectors.effects import Fetch, Reply
from connectors.polls import FIRST_RETRY_NS, LAST_RETRY_NS, LOST_AFTER_NS, Polls, StandIns, retry_after_ns
from tests.connectors.doubles import MARKET, S, at

CALL = Fetch("markets", "http://venue/markets")
GOOD, BAD = Reply(200, b"{}"), Reply(None, problem="timed out")


def fetch(market: str) -> Fetch:
    return Fetch("book", "http://venue/book", market)


def test_a_call_without_a_period_is_made_until_it_succeeds_and_no_more() -> None:
    polls = Polls()
    polls.add(lambda: CALL, at(0))
    assert polls.due(at(0)) == [CALL]
    assert polls.due(at(1)) == [], "one is in flight"
    polls.done(CALL, BAD, at(1), usable=False)
    assert polls.deadline == 1 + FIRST_RETRY_NS
    assert polls.due(at(1 + FIRST_RETRY_NS)) == [CALL]
    polls.done(CALL, GOOD, at(2 * S), usable=True)
    assert polls.deadline is None


def test_a_periodic_call_is_made_again_and_again() -> None:
    polls = Polls()
    polls.add(lambda: CALL, at(0), every_ns=10 * S, after_ns=S)
    assert polls.due(at(0)) == []
    for turn in range(5):
        now = S + turn * 10 * S
        assert polls.due(at(now)) == [CALL]
        polls.done(CALL, GOOD, at(now), usable=True)


@given(st.integers(1, 60))
def test_no_number_of_failures_ends_it(failures: int) -> None:
    polls = Polls()
    polls.add(lambda: CALL, at(0), every_ns=10 * S)
    now = 0
    for _ in range(failures):
        assert polls.due(at(now)) == [CALL]
        polls.done(CALL, BAD, at(now), usable=False)
        assert polls.deadline is not None
        assert now < polls.deadline <= now + LAST_RETRY_NS
        now = polls.deadline
    assert polls.due(at(now)) == [CALL]


def test_an_answer_that_never_comes_is_taken_for_a_failure() -> None:
    polls = Polls()
    polls.add(lambda: CALL, at(0))
    polls.due(at(0))
    assert polls.deadline == LOST_AFTER_NS
    assert polls.due(at(LOST_AFTER_NS)) == [CALL]


def test_retry_after_is_obeyed_and_nonsense_in_it_is_not() -> None:
    polls = Polls()
    polls.add(lambda: CALL, at(0))
    polls.due(at(0))
    polls.done(CALL, Reply(429, b"", {"retry-after": "42"}), at(0), usable=False)
    assert polls.deadline == 42 * S
    assert retry_after_ns(Reply(429, b"", {"retry-after": "soon"})) == 0
    assert retry_after_ns(Reply(429, b"", {"retry-after": "-5"})) == 0
    assert retry_after_ns(Reply(429, b"", {"retry-after": "1e99"})) == 7 * 86_400 * S


def test_a_removed_call_is_not_made_and_its_late_answer_is_nobodys() -> None:
    polls = Polls()
    polls.add(lambda: CALL, at(0))
    polls.due(at(0))
    polls.remove("markets")
    polls.done(CALL, GOOD, at(1), usable=True)
    assert polls.deadline is None


def stand_ins(polls: Polls) -> StandIns:
    return StandIns(polls, fetch, after_ns=2 * S, every_ns=S, stale_ns=10 * S)


def test_rest_stands_in_after_a_while_until_the_stream_serves_again() -> None:
    polls = Polls()
    made = stand_ins(polls)
    assert made.deadline is None
    made.missing(MARKET, at(0))
    made.missing(MARKET, at(S))
    assert MARKET in made
    assert made.deadline == 2 * S
    made.begin(at(2 * S - 1))
    assert polls.deadline is None
    made.begin(at(2 * S))
    assert polls.due(at(2 * S)) == [fetch(MARKET)]
    made.served(MARKET)
    made.served(MARKET)
    assert MARKET not in made
    assert polls.deadline is None


def test_a_rest_book_expires_once_when_no_other_follows() -> None:
    made = stand_ins(Polls())
    made.seen(MARKET, at(0))
    assert made.expired(at(60 * S)) == [], "nothing was missing"
    made.missing(MARKET, at(0))
    made.begin(at(2 * S))
    made.seen(MARKET, at(3 * S))
    assert made.deadline == 13 * S
    assert made.expired(at(13 * S - 1)) == []
    assert made.expired(at(13 * S)) == [MARKET]
    assert made.expired(at(14 * S)) == []


def test_calls_of_several_markets_are_kept_apart() -> None:
    polls = Polls()
    for market in ("BTC-PERP", "ETH-PERP"):
        polls.add(partial(fetch, market), at(0), every_ns=S)
    assert [call.market for call in polls.due(at(0))] == ["BTC-PERP", "ETH-PERP"]
    polls.done(fetch("ETH-PERP"), GOOD, at(0), usable=True)
    assert [call.market for call in polls.due(at(S))] == ["ETH-PERP"]
