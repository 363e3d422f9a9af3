"""The resync service: complete answers, in pieces, within limits, and producers asked when nothing else helps."""

from __future__ import annotations

import pytest

from bus.counters import Counter, Counters
from bus.resync import Request, Wish, encode_request
from bus.wire import encode_header, encode_payload, topic
from publisher.cache import Cache
from publisher.service import ASK_EVERY_NS, CONSUMERS, NAMES, Service
from tests.bus import samples

NOW = 10**12
WHO = b"runner.1.ab"
Frames = list[bytes]


class Bench:
    """A service with a few books, and queues of consumers that may be full or gone."""

    def __init__(self, books: int = 2, per_s: int = 5) -> None:
        self.counters = Counters()
        cache = Cache(self.counters, 100, 100_000)
        for number in range(books):
            market = f"M{number}-PERP"
            header = encode_header("a", 1, 1, 1, 1, 1)
            cache.store([topic("book", "aster", market), header, encode_payload(samples.book())])
        self.service = Service(cache, self.counters, per_s)
        self.sent: list[Frames] = []
        self.full: set[bytes] = set()
        self.gone: set[bytes] = set()

    def send(self, frames: Frames) -> bool | None:
        if frames[0] in self.gone:
            return None
        if frames[0] in self.full:
            return False
        self.sent.append(frames)
        return True

    def ask(
        self, who: bytes = WHO, wish: Wish = Wish.STATE, *prefixes: bytes, ident: bytes = b"1", now: int = NOW
    ) -> None:
        request = Request(ident, prefixes or (b"book.",), wish)
        self.service.request(who, encode_request(request), now)

    def words(self) -> list[bytes]:
        found = [frames[1] for frames in self.sent]
        self.sent.clear()
        return found


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_answer_is_the_state_and_an_end(bench: Bench) -> None:
    bench.ask()
    assert bench.service.busy
    assert bench.service.pump(bench.send, 100)
    assert not bench.service.busy
    assert {frames[0] for frames in bench.sent} == {WHO}
    assert [frames[2] for frames in bench.sent] == [b"1"] * 3
    assert bench.words() == [b"ITEM", b"ITEM", b"END"]
    assert bench.counters.get(Counter.RESYNC_REQUESTS) == 1


def test_nothing_known_is_an_end_alone(bench: Bench) -> None:
    bench.ask(WHO, Wish.HEAL, b"book.lighter.")
    bench.service.pump(bench.send, 100)
    assert bench.words() == [b"END"]


def test_large_answers_go_in_pieces_and_consumers_in_turn(bench: Bench) -> None:
    bench.ask(b"a")
    bench.ask(b"b")
    bench.service.pump(bench.send, 2)
    assert bench.words() == [b"ITEM", b"ITEM"]
    bench.service.pump(bench.send, 3)
    assert [frames[0] for frames in bench.sent] == [b"b", b"b", b"b"]
    bench.service.pump(bench.send, 3)
    assert not bench.service.busy


def test_a_full_queue_keeps_nobody_else_waiting(bench: Bench) -> None:
    bench.ask(b"slow")
    bench.ask(b"quick")
    bench.full.add(b"slow")
    assert bench.service.pump(bench.send, 100)
    assert {frames[0] for frames in bench.sent} == {b"quick"}
    assert not bench.service.pump(bench.send, 100)
    bench.full.clear()
    bench.service.pump(bench.send, 100)
    assert not bench.service.busy


def test_who_is_gone_is_forgotten(bench: Bench) -> None:
    bench.ask()
    bench.gone.add(WHO)
    assert not bench.service.pump(bench.send, 100)
    assert not bench.service.busy


def test_a_new_request_takes_the_place_of_one_not_yet_answered(bench: Bench) -> None:
    bench.ask(ident=b"1")
    bench.ask(ident=b"2")
    bench.service.pump(bench.send, 100)
    assert {frames[2] for frames in bench.sent} == {b"2"}


def test_too_many_requests_are_refused_with_a_time_and_others_are_not(bench: Bench) -> None:
    for _ in range(6):
        bench.ask()
    bench.ask(b"other")
    bench.service.pump(bench.send, 100)
    assert bench.sent[0] == [WHO, b"REFUSED", b"1", b"200"]
    assert bench.words() == [b"REFUSED", b"ITEM", b"ITEM", b"END"]
    assert bench.counters.get(Counter.RESYNC_REFUSED) == 1
    bench.ask(now=NOW + 200_000_000)
    bench.service.pump(bench.send, 100)
    assert bench.words() == [b"ITEM", b"ITEM", b"END"]


def test_other_requests_are_counted_as_bad(bench: Bench) -> None:
    bench.service.request(WHO, [b"nonsense"], NOW)
    assert not bench.service.busy
    assert bench.counters.get(Counter.BAD_MESSAGES) == 1


def test_joins_and_heals_are_counted_by_consumer(bench: Bench) -> None:
    bench.ask()
    bench.ask(WHO, Wish.HEAL)
    bench.ask(b"runner.2.cd", Wish.FRESH)
    bench.ask(b"\xff")
    counts = bench.counters.snapshot()
    assert (counts["joins.runner"], counts["heals.runner"], counts["joins.\ufffd"]) == (1, 2, 1)


def test_names_beyond_all_measure_are_counted_together(bench: Bench) -> None:
    for number in range(NAMES + 5):
        bench.ask(b"n%d.1.x" % number)
    assert bench.counters.snapshot()["joins.other"] == 5


def test_consumers_beyond_all_measure_are_forgotten_the_longest_unheard_first(bench: Bench) -> None:
    for number in range(CONSUMERS + 5):
        bench.ask(b"%d" % number, now=NOW + number)
    assert bench.service.consumers == CONSUMERS


def test_a_wish_for_fresh_state_is_passed_to_producers_once(bench: Bench) -> None:
    bench.ask(WHO, Wish.FRESH, b"book.aster.M0-PERP", b"book.aster.M1-PERP")
    bench.ask(b"other", Wish.FRESH, b"book.aster.M0-PERP")
    assert list(bench.service.wanted) == [b"book.aster.M0-PERP", b"book.aster.M1-PERP"]
    bench.ask(b"other", Wish.FRESH, b"book.aster.M0-PERP", now=NOW + ASK_EVERY_NS)
    assert len(bench.service.wanted) == 3


def test_what_producers_were_asked_is_remembered_within_bounds(bench: Bench) -> None:
    for number in range(CONSUMERS):
        bench.service.ask(b"%d" % number, NOW)
    bench.service.ask(b"more", NOW + ASK_EVERY_NS)
    bench.service.ask(b"0", NOW + ASK_EVERY_NS)
    assert len(bench.service.wanted) == CONSUMERS + 2
