"""The reader: in order, exactly once, and every loss told and healed."""

from __future__ import annotations

import pytest

from bus.counters import Counter
from bus.events import Gap
from bus.items import Healed, Message
from tests.bus import samples
from tests.bus.reading import EPOCH, MARKET, Bench, Sender, said


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_events_in_order_are_delivered_and_the_book_kept(bench: Bench) -> None:
    items = bench.receive(bench.aster(samples.book()), bench.aster(samples.delta()), bench.aster(samples.trade()))
    assert said(items) == ["book 1", "trusted book", "delta 2", "trade 1"]
    first = items[0]
    assert isinstance(first, Message)
    assert (first.venue, first.market, first.event, first.applied_ns) == ("aster", MARKET, samples.book(), bench.now)
    book = bench.reader.chain("book", "aster", MARKET)
    assert book is not None
    assert book.levels.levels() == ([100.0, 99.0], [5.0, 1.0], [101.0, 102.0], [2.0, 2.0])
    assert bench.counters.get(Counter.APPLIED) == 3


def test_duplicates_are_dropped_and_counted(bench: Bench) -> None:
    frames = bench.aster(samples.trade())
    assert said(bench.receive(frames, frames)) == ["trade 1"]
    assert bench.counters.get(Counter.CLIENT_DUPLICATES) == 1


def test_a_hole_in_a_book_withdraws_trust_holds_deltas_and_asks_for_that_book(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()))
    bench.aster.skip(samples.delta())
    items = bench.receive(bench.aster(samples.delta(3)), bench.aster(samples.delta(4)))
    assert said(items) == ["lost book hole 2-2", "untrusted book"]
    assert not bench.trusted()
    assert bench.request() == [b"HEAL", b"2", b"book.aster.BTC-PERP"]
    assert bench.counters.get(Counter.CLIENT_LOST) == 1


def test_the_publishers_state_and_the_held_deltas_heal_it(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()))
    late = bench.aster(samples.delta(2, 7.0))
    bench.receive(bench.aster(samples.delta(3, 8.0)), bench.aster(samples.delta(4, 9.0)))
    bench.now += 5
    items = bench.answer([Sender()(samples.book()), late])
    assert said(items) == ["book 1", "delta 2", "delta 3", "delta 4", "healed book", "trusted book"]
    healed = items[4]
    assert isinstance(healed, Healed)
    assert healed.after_ns == 5
    assert bench.counters.get(Counter.CLIENT_HEALS) == 1
    book = bench.reader.chain("book", "aster", MARKET)
    assert book is not None
    assert book.levels.best()[1] == 9.0
    assert bench.request() is None
    assert said(bench.receive(bench.aster(samples.delta(5)))) == ["delta 5"]


def test_what_was_held_and_is_in_the_whole_book_is_reported_merged(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()))
    bench.aster.skip(samples.delta())
    bench.receive(bench.aster(samples.delta(3)), bench.aster(samples.delta(4)))
    items = bench.answer([Sender()(samples.book(5), seq=5)])
    assert said(items) == ["lost book merged 3-4", "book 5", "healed book", "trusted book"]


def test_a_whole_book_on_the_stream_heals_at_once(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()))
    bench.aster.skip(samples.delta())
    bench.receive(bench.aster(samples.delta(3)))
    items = bench.receive(bench.aster(samples.book(4)))
    assert said(items) == ["lost book merged 3-3", "book 4", "healed book", "trusted book"]
    assert said(bench.answer([Sender()(samples.book())])) == []


def test_a_whole_book_after_a_hole_needs_nobody(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()))
    bench.aster.skip(samples.delta())
    assert said(bench.receive(bench.aster(samples.book(3)))) == ["lost book hole 2-2", "book 3", "healed book"]
    assert bench.trusted()
    assert bench.request() is None


def test_an_answer_that_does_not_help_is_asked_for_again_and_producers_too(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()))
    bench.aster.skip(samples.delta())
    bench.receive(bench.aster(samples.delta(3)))
    assert said(bench.answer([Sender()(samples.book())])) == ["book 1"]
    assert not bench.trusted()
    assert bench.request() is None
    assert bench.reader.deadline is not None
    bench.now = bench.reader.deadline
    bench.reader.woken(bench.now, idle=True)
    assert bench.request() == [b"FRESH", b"3", b"book.aster.BTC-PERP"]


def test_a_hole_in_the_publishers_own_state_is_not_believed(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()))
    bench.aster.skip(samples.delta())
    bench.receive(bench.aster(samples.delta(3)))
    other = Sender()
    items = bench.answer([other(samples.book()), other(samples.delta(), seq=5)])
    assert said(items) == ["book 1", "lost book hole 3-4"]
    assert not bench.trusted()


def test_deltas_held_beyond_all_measure_are_forgotten_and_the_book_still_heals(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.losses.HELD", 3)
    bench.receive(bench.aster(samples.book()))
    bench.aster.skip(samples.delta())
    for number in range(5):
        bench.receive(bench.aster(samples.delta(number)))
    items = bench.answer([Sender()(samples.book(5), seq=5)])
    assert said(items) == ["lost book merged 3-4", "book 5", "delta 6", "delta 7", "healed book", "trusted book"]


def test_a_hole_among_the_held_deltas_breaks_the_book_again(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()))
    bench.aster.skip(samples.delta())
    bench.receive(bench.aster(samples.delta(3)))
    bench.aster.skip(samples.delta())
    bench.receive(bench.aster(samples.delta(5)))
    other = Sender()
    items = bench.answer([other(samples.book()), other(samples.delta())])
    assert said(items) == ["book 1", "delta 2", "delta 3", "lost book hole 4-4"]
    assert not bench.trusted()


def test_lost_log_events_are_reported_and_gone(bench: Bench) -> None:
    bench.receive(bench.aster(samples.trade()))
    bench.aster.skip(samples.trade(), samples.trade())
    assert said(bench.receive(bench.aster(samples.trade()))) == ["lost trade hole 2-3", "trade 4"]
    assert bench.request() is None


def test_lost_state_is_reported_and_replaced_by_its_next_message(bench: Bench) -> None:
    bench.receive(bench.aster(samples.stats()))
    bench.aster.skip(samples.stats())
    assert said(bench.receive(bench.aster(samples.stats()))) == ["lost stats hole 2-2", "stats 3"]


def test_a_gap_announced_by_the_sender_explains_the_hole(bench: Bench) -> None:
    bench.receive(bench.aster(samples.trade()))
    gap = Gap("trade.aster.BTC-PERP", 2, 4, 3, "buffer_full")
    items = bench.receive(bench.aster(gap), bench.aster(samples.trade(), seq=5))
    assert said(items) == ["gap 1", "lost trade announced 2-4", "trade 5"]


def test_a_gap_of_nothing_that_is_followed_is_only_delivered(bench: Bench) -> None:
    bench.receive(bench.aster(samples.trade()))
    for name in ("trade.aster.ETH-PERP", "nonsense"):
        assert len(bench.receive(bench.aster(Gap(name, 1, 4, 4, "buffer_full")))) == 1
    bench.receive(bench.aster(Gap("trade.aster.BTC-PERP", 1, 1, 1, "buffer_full")))
    assert said(bench.receive(bench.aster(samples.trade()))) == ["trade 2"]
    other = Sender("aster", EPOCH + 1)
    assert said(bench.receive(other(samples.trade()), bench.aster(Gap("trade.aster.BTC-PERP", 9, 9, 1, "x"))))[-1] == (
        "trade 1"
    )


def test_a_heartbeat_reveals_a_lost_tail(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()), bench.aster(samples.trade()), bench.aster(samples.stats()))
    bench.aster.skip(samples.delta(), samples.trade(), samples.stats())
    items = bench.receive(bench.aster.beat())
    assert said(items) == [
        "heartbeat 1",
        "lost book tail 2-2",
        "untrusted book",
        "lost trade tail 2-2",
        "lost stats tail 2-2",
    ]
    request = bench.request()
    assert request is not None
    assert request[2:] == [b"book.aster.BTC-PERP"]
    bench.reader.asking.outgoing.append(request)
    items = bench.answer([Sender()(samples.book(2), seq=2)])
    assert said(items) == ["book 2", "healed book", "trusted book"]


def test_a_tail_that_nobody_has_is_not_taken_for_healed(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()))
    bench.aster.skip(samples.delta())
    bench.receive(bench.aster.beat())
    assert said(bench.answer([Sender()(samples.book())])) == ["book 1"]
    assert not bench.trusted()
    assert said(bench.receive(bench.aster(samples.book(3)))) == ["book 3", "healed book", "trusted book"]


def test_a_tail_of_a_broken_book_replaces_what_was_held(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()))
    bench.aster.skip(samples.delta())
    bench.receive(bench.aster(samples.delta()))
    bench.aster.skip(samples.delta())
    assert said(bench.receive(bench.aster.beat())) == ["heartbeat 1", "lost book tail 3-4"]


def test_a_heartbeat_names_chains_that_never_came(bench: Bench) -> None:
    bench.receive(bench.aster(samples.trade()))
    bench.aster(samples.book(), "ETH-PERP")
    bench.aster(samples.stats(), "ETH-PERP")
    bench.aster(samples.trade(), "ETH-PERP")
    bench.receive(bench.aster.beat())
    request = bench.request()
    assert request is not None
    assert request[0] == b"HEAL"
    items = bench.items()
    assert items == []
    assert said(bench.receive(bench.aster(samples.trade(), "ETH-PERP"))) == ["trade 2"]


def test_who_joined_late_takes_the_heartbeat_for_the_beginning_of_log_chains() -> None:
    bench = Bench()
    bench.aster.skip(samples.trade(), samples.trade(), samples.stats())
    assert said(bench.receive(bench.aster.beat())) == ["heartbeat 1"]
    assert said(bench.receive(bench.aster(samples.trade()))) == ["trade 3"]
    bench.aster(samples.trade(), "ETH-PERP")
    items = bench.receive(bench.aster(samples.trade(), "ETH-PERP"))
    assert said(items) == ["lost trade hole 1-1", "trade 2"], "a chain begun since must begin with 1"


def test_strange_names_in_a_heartbeat_do_no_harm(bench: Bench) -> None:
    bench.aster.seqs |= {"nonsense": 5, "candle.aster.BTC-PERP": 5}
    assert said(bench.receive(bench.aster.beat())) == ["heartbeat 1"]


def test_heartbeats_before_the_welcome_prove_nothing() -> None:
    bench = Bench(welcomed=False)
    bench.aster.skip(samples.trade(), samples.trade())
    assert said(bench.receive(bench.aster.beat(), bench.aster(samples.trade(), seq=9))) == ["heartbeat 1", "trade 9"]
