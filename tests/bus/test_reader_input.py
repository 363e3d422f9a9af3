"""The reader: bad input, answers, joining, and what is not wanted."""

from __future__ import annotations

import msgspec
import pytest

from bus.chains import Interest, Sync
from bus.counters import Counter
from bus.events import BusEvent, Gap
from bus.reader import REPEAT_NS
from bus.resync import END, ITEM
from tests.bus import samples
from tests.bus.reading import EPOCH, MARKET, Bench, Frames, Sender, said


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_undecodable_message_breaks_its_book_at_once(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()))
    bad = bench.aster(samples.delta())
    items = bench.receive([bad[0], bad[1], b"\xc1"])
    assert said(items) == ["lost book bad 2-2", "untrusted book"]
    assert bench.request() is not None
    assert bench.counters.get(Counter.CLIENT_BAD) == 1


@pytest.mark.parametrize("frames", [[b"book.aster.BTC-PERP"], [b"book.aster.BTC-PERP", b"\xc1", b""]])
def test_an_undecodable_header_breaks_its_book_too(bench: Bench, frames: Frames) -> None:
    bench.receive(bench.aster(samples.book()))
    assert said(bench.receive(frames)) == ["lost book bad", "untrusted book"]
    assert said(bench.receive(bench.aster(samples.book(2)))) == ["book 2", "healed book", "trusted book"]


def test_an_undecodable_header_of_something_new_is_only_counted(bench: Bench) -> None:
    assert bench.receive([b"book.aster.BTC-PERP", b"\xc1", b""], [b"nonsense", b"", b""], [b"~other", b"", b""]) == []
    assert bench.counters.get(Counter.CLIENT_BAD) == 2


def test_a_bad_log_event_is_lost_and_the_next_is_in_order(bench: Bench) -> None:
    bench.receive(bench.aster(samples.trade()))
    bad = bench.aster(samples.trade())
    assert said(bench.receive([bad[0], bad[1], b""])) == ["lost trade bad 2-2"]
    assert said(bench.receive(bench.aster(samples.trade()))) == ["trade 3"]
    assert bench.request() is None


@pytest.mark.parametrize(
    "event", [samples.delta(rebuild=2), msgspec.structs.replace(samples.delta(), bid_px=[-1.0])], ids=str
)
def test_a_delta_that_cannot_belong_to_the_book_breaks_it(bench: Bench, event: BusEvent) -> None:
    bench.receive(bench.aster(samples.book()))
    assert said(bench.receive(bench.aster(event))) == ["lost book bad 2-2", "untrusted book"]


def test_a_bad_held_delta_breaks_the_book_again(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()))
    late = bench.aster(samples.delta())
    bad = bench.aster(samples.delta())
    bench.receive([bad[0], bad[1], b""])
    assert said(bench.answer([Sender()(samples.book()), late])) == ["book 1", "delta 2", "lost book bad 3-3"]
    assert not bench.trusted()


def test_without_books_the_order_is_the_same_and_no_levels_are_kept() -> None:
    bench = Bench(books=False)
    bench.receive(bench.aster(samples.book()), bench.aster(samples.delta()))
    book = bench.reader.chain("book", "aster", MARKET)
    assert book is not None
    assert len(book.levels) == 0
    assert book.told


def test_what_joins_before_its_book_waits_for_it() -> None:
    bench = Bench(welcomed=False)
    bench.welcome()
    first = bench.aster(samples.book())
    second = bench.aster(samples.delta(2))
    items = bench.receive(bench.aster(samples.delta(3)))
    assert items == []
    assert said(bench.answer([first, second])) == ["book 1", "delta 2", "delta 3", "trusted book"]


def test_repeats_from_before_joining_are_not_passed_off_as_news() -> None:
    bench = Bench(welcomed=False)
    bench.welcome()
    old = bench.aster(samples.trade(), waited=REPEAT_NS + 1)
    assert said(bench.receive(old, bench.aster(samples.trade()))) == ["trade 2"]


def test_repeats_of_what_a_follower_missed_are_delivered(bench: Bench) -> None:
    bench.receive(bench.aster(samples.trade()))
    again = bench.aster(samples.trade(), waited=10 * REPEAT_NS)
    assert said(bench.receive(again)) == ["trade 2"]


def test_only_what_is_wanted_is_delivered_and_the_rest_still_followed() -> None:
    bench = Bench(Interest(["trade"], ["aster"], ["BTC-PERP"]))
    gap = Gap("trade.aster.BTC-PERP", 2, 2, 1, "buffer_full")
    first = bench.aster(samples.trade())
    bench.aster.skip(samples.trade())
    items = bench.receive(
        first,
        bench.aster(samples.trade(), "ETH-PERP"),
        bench.aster(samples.book()),
        bench.aster(samples.book()),
        bench.aster(gap),
        bench.aster.beat(),
        bench.publisher.beat(),
    )
    assert said(items) == ["trade 1", "lost trade announced 2-2"]


def test_losses_of_what_is_not_delivered_are_not_told() -> None:
    bench = Bench(Interest(["trade"]))
    bench.receive(bench.aster(samples.trade()), bench.aster.beat())
    bench.aster.beat()
    assert said(bench.receive(bench.aster.beat())) == []


def test_answers_to_nobody_or_of_another_make_are_ignored(bench: Bench) -> None:
    for frames in ([END, b"99"], [ITEM, b"99", *bench.aster(samples.book())], [b"nonsense"], []):
        bench.reader.answered(frames, bench.now)
    assert bench.items() == []
    assert bench.counters.get(Counter.CLIENT_BAD) == 2


def test_items_of_an_answer_that_cannot_be_used_are_skipped(bench: Bench) -> None:
    bench.receive(bench.aster(samples.trade()), bench.aster(samples.stats()))
    bench.welcome()
    frames = bench.aster(samples.book())
    items = bench.answer(
        [
            [b"book.aster.BTC-PERP", b"\xc1", b""],
            [b"nonsense", b"", b""],
            bench.aster(samples.trade()),
            Sender("aster", EPOCH - 1)(samples.stats()),
            frames,
        ]
    )
    assert said(items) == ["book 1", "trusted book"]


def test_a_refusal_is_obeyed(bench: Bench) -> None:
    bench.welcome()
    request = bench.request()
    assert request is not None
    bench.reader.answered([b"REFUSED", request[1], b"40"], bench.now)
    assert bench.reader.asking.deadline == bench.now + 40_000_000
    bench.now += 40_000_000
    bench.reader.woken(bench.now, idle=False)
    assert bench.request() is not None


def test_restored_state_newer_than_ours_replaces_it(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()), bench.aster(samples.stats()))
    bench.welcome()
    bench.items()
    other = Sender()
    items = bench.answer([other(samples.book(9), seq=9), other(samples.delta(10)), other(samples.stats(), seq=4)])
    assert said(items) == [
        *("lost book hole 2-8", "book 9", "delta 10", "lost stats hole 2-3", "stats 4", "healed book", "trusted book")
    ]


def test_a_heartbeat_in_an_answer_only_informs(bench: Bench) -> None:
    bench.welcome()
    bench.aster.skip(samples.trade(), samples.trade())
    assert said(bench.answer([bench.aster.beat()])) == ["heartbeat 1"]
    assert said(bench.receive(bench.aster(samples.trade(), seq=7))) == ["trade 7"]


def test_no_more_topics_are_remembered_than_there_is_room_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus.reader.TOPICS", 1)
    messages = [bench.aster(samples.trade(), market) for market in ("A-PERP", "B-PERP", "A-PERP", "B-PERP")]
    assert len(bench.receive(*messages)) == 4


def test_a_restored_run_takes_over_quietly(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()))
    bench.welcome()
    bench.items()
    new = Sender("aster", EPOCH + 1)
    items = bench.answer([new(samples.book(), seq=40)])
    assert said(items) == ["lost book restart", "book 40", "healed book", "trusted book"]


def test_a_restoring_book_stays_so_while_the_answer_is_incomplete(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()))
    bench.aster.skip(samples.delta())
    bench.receive(bench.aster(samples.delta()))
    bench.answer([Sender()(samples.book(), seq=2)], end=False)
    book = bench.reader.chain("book", "aster", MARKET)
    assert book is not None
    assert book.sync is Sync.RESTORING
    assert not book.told
    assert bench.receive(bench.aster(samples.delta())) == []
    assert said(bench.receive(bench.aster(samples.book(5)))) == [
        *("lost book merged 3-4", "book 5", "healed book", "trusted book")
    ]
