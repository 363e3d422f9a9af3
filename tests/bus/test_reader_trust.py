"""The reader: whose messages count, and what is trusted when somebody is silent, gone or back."""

from __future__ import annotations

import pytest

from bus.counters import Counter
from bus.events import Trust
from bus.items import TrustChanged
from bus.reader import SILENCE_NS
from bus.runs import PATIENCE
from tests.bus import samples
from tests.bus.reading import EPOCH, Bench, Sender, said


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_another_run_of_the_sender_ends_all_chains_of_the_old_one(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()), bench.aster(samples.bbo()), bench.aster(samples.trade()))
    new = Sender("aster", EPOCH + 1)
    items = bench.receive(new(samples.trade()))
    assert said(items) == [
        "lost book restart",
        "untrusted book",
        "lost bbo restart",
        "untrusted bbo",
        "lost trade restart",
        "trade 1",
    ]
    assert said(bench.receive(new(samples.book()), new(samples.bbo()))) == [
        *("book 1", "healed book", "trusted book", "bbo 1", "healed bbo", "trusted bbo")
    ]


def test_late_messages_of_a_run_that_is_over_are_dropped(bench: Bench) -> None:
    new = Sender("aster", EPOCH + 1)
    bench.receive(bench.aster(samples.book()), new(samples.book()))
    assert said(bench.receive(bench.aster(samples.delta()), bench.aster(samples.trade()))) == []
    assert bench.counters.get(Counter.CLIENT_DUPLICATES) == 2
    assert bench.trusted()


def test_a_lower_epoch_is_believed_when_the_higher_one_is_silent(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()))
    back = Sender("aster", EPOCH - 1)
    assert said(bench.receive(back(samples.book()))) == []
    bench.beats(PATIENCE)
    assert "healed book" in said(bench.receive(back(samples.book())))
    assert bench.trusted()


def test_a_lying_epoch_is_left_when_it_falls_silent(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()))
    liar = Sender("aster", 2**63)
    bench.receive(liar(samples.book()))
    assert said(bench.receive(bench.aster(samples.delta()))) == []
    bench.beats(PATIENCE)
    assert not bench.trusted()
    bench.receive(bench.aster(samples.book()))
    assert bench.trusted()


def test_a_silent_sender_is_not_trusted_until_it_speaks(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()), bench.aster(samples.stats()))
    items = bench.beats(PATIENCE)
    assert said(items)[-2:] == ["lost book silent", "untrusted book"]
    assert said(bench.beats(1)) == [f"heartbeat {PATIENCE + 1}"]
    items = bench.receive(bench.aster(samples.delta()))
    assert said(items) == ["delta 2", "healed book", "trusted book"]


def test_a_sender_that_resumes_has_the_rest_of_its_state_confirmed(bench: Bench) -> None:
    frames = bench.aster(samples.book())
    bench.receive(frames, bench.aster(samples.stats()))
    bench.beats(PATIENCE)
    bench.receive(bench.aster(samples.stats()))
    request = bench.request()
    assert request is not None
    assert request[2:] == [b"book.aster.BTC-PERP"]
    bench.reader.asking.outgoing.append(request)
    assert said(bench.answer([frames])) == ["healed book", "trusted book"]


def test_state_of_a_silent_sender_is_not_confirmed_by_the_publisher(bench: Bench) -> None:
    frames = bench.aster(samples.book())
    bench.receive(frames)
    bench.beats(PATIENCE)
    bench.welcome()
    bench.answer([frames])
    assert not bench.trusted()


def test_after_a_reconnect_nothing_is_trusted_until_confirmed(bench: Bench) -> None:
    frames = bench.aster(samples.book())
    bench.receive(frames, bench.aster(samples.bbo()))
    bench.welcome()
    assert said(bench.items()) == ["lost book reconnect", "untrusted book", "lost bbo reconnect", "untrusted bbo"]
    assert said(bench.answer([frames, bench.aster(samples.bbo(2))])) == [
        *("bbo 2", "healed book", "trusted book", "healed bbo", "trusted bbo")
    ]


def test_after_a_reconnect_the_next_message_in_order_confirms_too(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()))
    bench.welcome()
    bench.items()
    assert said(bench.receive(bench.aster(samples.delta()))) == ["delta 2", "healed book", "trusted book"]


def test_silence_of_the_publisher_withdraws_all_trust_and_its_return_asks_for_everything(bench: Bench) -> None:
    frames = bench.aster(samples.book())
    bench.receive(frames)
    bench.now += SILENCE_NS
    bench.reader.woken(bench.now, idle=False)
    assert bench.items() == []
    bench.reader.woken(bench.now, idle=True)
    assert said(bench.items()) == ["lost book silent", "untrusted book"]
    bench.receive(bench.publisher.beat())
    assert said(bench.answer([frames])) == ["healed book", "trusted book"]


def test_an_invalid_book_is_untrusted_before_the_message_that_says_so(bench: Bench) -> None:
    bench.receive(bench.aster(samples.book()))
    items = bench.receive(bench.aster(samples.empty()), bench.aster(samples.book(4, rebuild=2)))
    assert said(items) == ["untrusted book", "delta 2", "book 3", "trusted book"]
    changes = [item for item in items if isinstance(item, TrustChanged)]
    assert [(change.trust, change.rebuild) for change in changes] == [(Trust.RESYNC, 1), (Trust.LIVE, 2)]
