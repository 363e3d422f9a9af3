"""Asking for state: one request at a time, spaced, repeated later each time, given up when nobody answers."""

from __future__ import annotations

import pytest

from bus.asking import ANSWER_NS, FIRST_RETRY_NS, LAST_RETRY_NS, SPACING_NS, Asking
from bus.chains import Chain
from bus.resync import MAX_PREFIXES

NOW = 1_000_000_000_000


@pytest.fixture
def asking() -> Asking:
    return Asking([b"book.", b"delta."])


@pytest.fixture
def linked(asking: Asking) -> Asking:
    asking.everything(NOW)
    asking.outgoing.clear()
    asking.answered(NOW)
    return asking


def chain(market: str = "BTC-PERP") -> Chain:
    return Chain("book", "aster", market)


def asked(asking: Asking) -> list[list[bytes]]:
    found = list(asking.outgoing)
    asking.outgoing.clear()
    return found


def test_nobody_is_asked_who_has_not_been_heard(asking: Asking) -> None:
    asking.need(chain(), NOW)
    asking.due(NOW + LAST_RETRY_NS)
    assert asked(asking) == []
    assert asking.deadline is None


def test_everything_is_asked_for_by_what_was_subscribed(asking: Asking) -> None:
    asking.everything(NOW)
    assert asked(asking) == [[b"STATE", b"1", b"book.", b"delta."]]
    assert asking.deadline == NOW + ANSWER_NS
    asking.answered(NOW + 1)
    assert asking.deadline is None


def test_what_is_needed_is_asked_for_at_once_and_only_once(linked: Asking) -> None:
    one = chain()
    linked.need(one, NOW + SPACING_NS)
    linked.need(one, NOW + SPACING_NS)
    assert asked(linked) == [[b"HEAL", b"2", b"book.aster.BTC-PERP"]]


def test_needs_that_come_while_an_answer_is_out_wait_for_it(linked: Asking) -> None:
    first = chain()
    linked.need(first, NOW + SPACING_NS)
    asked(linked)
    linked.need(chain("ETH-PERP"), NOW + SPACING_NS)
    linked.well(first)
    assert asked(linked) == []
    linked.answered(NOW + SPACING_NS)
    assert linked.deadline == NOW + SPACING_NS + FIRST_RETRY_NS
    linked.due(NOW + SPACING_NS + FIRST_RETRY_NS)
    assert asked(linked) == [[b"FRESH", b"3", b"book.aster.ETH-PERP"]]


def test_requests_keep_a_distance(linked: Asking) -> None:
    linked.need(chain(), NOW)
    assert asked(linked) == []
    assert linked.deadline == NOW + SPACING_NS


def test_the_same_need_is_asked_for_later_each_time(linked: Asking) -> None:
    linked.need(chain(), NOW + SPACING_NS)
    now, waits = NOW + SPACING_NS, []
    for _ in range(9):
        linked.answered(now)
        assert linked.deadline is not None
        waits.append(linked.deadline - now)
        now = linked.deadline
        linked.due(now)
    assert waits[0] == FIRST_RETRY_NS
    assert waits == sorted(waits)
    assert waits[-1] == LAST_RETRY_NS


def test_a_request_without_any_answer_is_sent_again(linked: Asking) -> None:
    linked.need(chain(), NOW + SPACING_NS)
    asked(linked)
    linked.due(NOW + SPACING_NS + ANSWER_NS)
    assert asked(linked) == []
    linked.due(NOW + SPACING_NS + ANSWER_NS + FIRST_RETRY_NS)
    assert asked(linked) == [[b"FRESH", b"3", b"book.aster.BTC-PERP"]]


def test_every_part_of_an_answer_gives_it_more_time(linked: Asking) -> None:
    linked.need(chain(), NOW + SPACING_NS)
    assert not linked.is_current(b"1", NOW + SPACING_NS)
    assert linked.is_current(b"2", NOW + ANSWER_NS)
    assert linked.deadline == NOW + 2 * ANSWER_NS


def test_a_refusal_is_obeyed(linked: Asking) -> None:
    linked.need(chain(), NOW + SPACING_NS)
    asked(linked)
    linked.refused(70, NOW + SPACING_NS)
    assert linked.deadline == NOW + SPACING_NS + 70_000_000


def test_too_many_needs_are_one_wish_for_everything(linked: Asking) -> None:
    linked.need(chain("ONE-PERP"), NOW + SPACING_NS)
    for number in range(MAX_PREFIXES + 1):
        linked.need(chain(f"M{number}-PERP"), NOW + SPACING_NS)
    asked(linked)
    linked.answered(NOW + SPACING_NS)
    linked.due(NOW + SPACING_NS + LAST_RETRY_NS)
    assert asked(linked) == [[b"FRESH", b"3", b"book.", b"delta."]]


def test_only_the_newest_request_waits_to_be_sent(linked: Asking) -> None:
    linked.need(chain(), NOW + SPACING_NS)
    linked.everything(NOW + SPACING_NS)
    assert asked(linked) == [[b"STATE", b"3", b"book.", b"delta."]]
