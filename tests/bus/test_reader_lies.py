"""Messages that lie about their sender, their run or their place: believed for a moment at most, and never for good."""

from __future__ import annotations

import pytest

from bus.events import NO_MARKET, Heartbeat
from bus.reader import DOUBTS
from bus.runs import PATIENCE
from tests.bus import samples
from tests.bus.reading import MARKET, PUBLISHER_EPOCH, Bench, Sender, said

BOOK = f"book.aster.{MARKET}"


@pytest.fixture
def bench() -> Bench:
    return Bench()


def live(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()), bench.aster.beat())
    assert bench.trusted()


def healed(bench: Bench) -> None:
    """What is asked for is answered with a whole book, and then all is well."""
    if not bench.reader.asking.outgoing:
        bench.now += 1_000_000_000
        bench.reader.woken(bench.now, idle=False)
    bench.answer([bench.aster(samples.book())])
    assert bench.trusted()
    assert said(bench.receive(bench.aster(samples.delta()))) == [f"delta {bench.aster.seqs[BOOK]}"]


def test_a_book_ahead_of_its_sender_is_refuted_by_the_next_heartbeat(bench: Bench) -> None:
    live(bench)
    lie = bench.aster(samples.book(), seq=1_000_000)
    bench.aster.seqs[BOOK] = 1
    assert said(bench.receive(lie)) == ["lost book hole 2-999999", "book 1000000", "healed book"]
    assert said(bench.receive(bench.aster.beat())) == ["heartbeat 2", "lost book refuted", "untrusted book"]
    healed(bench)


def test_a_log_event_ahead_of_its_sender_does_not_silence_those_after_it(bench: Bench) -> None:
    bench.receive(bench.aster(samples.trade()), bench.aster.beat())
    lie = bench.aster(samples.trade(), seq=1_000)
    bench.aster.seqs[f"trade.aster.{MARKET}"] = 1
    bench.receive(lie)
    told = said(bench.receive(bench.aster.beat(), bench.aster(samples.trade())))
    assert told == ["heartbeat 2", "lost trade refuted", "trade 2"]


def test_a_heartbeat_that_claims_too_much_is_refuted_by_the_next(bench: Bench) -> None:
    live(bench)
    lie = Heartbeat(1, 1_000, {}, {BOOK: 2**40}, 0.0, 1, 1.0)
    assert said(bench.receive(bench.aster(lie, NO_MARKET)))[1:] == [f"lost book tail 2-{2**40}", "untrusted book"]
    bench.receive(bench.aster.beat())
    healed(bench)


def test_a_heartbeat_ahead_of_its_sender_does_not_silence_those_after_it(bench: Bench) -> None:
    live(bench)
    beats = f"heartbeat.aster.{NO_MARKET}"
    bench.receive(bench.aster(Heartbeat(1, 1_000, {}, {BOOK: 1}, 0.0, 1, 1.0), NO_MARKET, seq=10**9))
    bench.aster.seqs[beats] = 2
    bench.receive(bench.aster.beat())
    bench.aster.skip(samples.delta())
    assert "lost book tail 2-2" in said(bench.receive(bench.aster.beat()))


def test_an_answer_may_be_ahead_of_the_heartbeats_still_to_be_read(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()))
    beats = [bench.aster.beat() for _ in range(DOUBTS)]
    ahead = [bench.aster(samples.book()), bench.aster(samples.book())]
    bench.receive(bench.aster(samples.delta()))
    bench.answer(ahead[1:])
    assert bench.trusted()
    bench.receive(*beats[:-1])
    assert bench.trusted()
    assert "lost book refuted" in said(bench.receive(beats[-1])), "but not for ever"


def test_heartbeats_that_catch_up_with_an_answer_clear_it(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()))
    beats = [bench.aster.beat() for _ in range(DOUBTS - 1)]
    book = bench.aster(samples.book())
    bench.receive(bench.aster(samples.delta(), seq=4))
    bench.aster.seqs[BOOK] = 2
    bench.answer([book])
    bench.receive(*beats, bench.aster.beat(), *[bench.aster.beat() for _ in range(DOUBTS)])
    assert bench.counters.values.get("client_bad", 0) <= 1


def test_a_heartbeat_speaks_for_its_own_sender_only(bench: Bench) -> None:
    live(bench)
    lighter = Sender("lighter", 2_000)
    lie = Heartbeat(1, 2_000, {}, {BOOK: 77}, 0.0, 1, 1.0)
    assert said(bench.receive(lighter(lie, NO_MARKET))) == ["heartbeat 1"]
    assert bench.trusted()


def test_the_epoch_of_one_sender_means_nothing_to_another(bench: Bench) -> None:
    live(bench)
    namesake = Sender("publisher", bench.aster.epoch)
    namesake.seqs = {}
    bench.receive(namesake.beat())
    assert bench.trusted()
    assert said(bench.receive(bench.aster(samples.delta()))) == ["delta 2"]


def test_a_publisher_whose_clock_was_set_back_is_believed_when_the_old_one_is_silent(bench: Bench) -> None:
    bench.beats(1)
    back = Sender("publisher", PUBLISHER_EPOCH - 1)
    said_of = [said(bench.receive(back.beat())) for _ in range(PATIENCE + 1)]
    assert [f"heartbeat {PATIENCE + 1}"] == said_of[-1][-1:]
    assert not any(said_of[: PATIENCE - 1])


def test_others_are_still_found_silent_while_a_publisher_is_disbelieved(bench: Bench) -> None:
    live(bench)
    bench.beats(1)
    back = Sender("publisher", PUBLISHER_EPOCH - 1)
    told = [word for _ in range(PATIENCE + 1) for word in said(bench.receive(back.beat()))]
    assert "lost book silent" in told
    assert not bench.trusted()
