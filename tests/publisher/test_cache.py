"""The cache: what a late consumer is told, as raw frames, bounded, and never of a process that is over or silent."""

from __future__ import annotations

import pytest

from bus.counters import Counter, Counters
from bus.events import NO_MARKET, BusEvent, Heartbeat
from bus.runs import PATIENCE
from bus.wire import chain, encode_header, encode_payload, topic
from publisher.cache import Cache
from tests.bus import samples

Frames = list[bytes]


def message(event: BusEvent, *, market: str = "BTC-PERP", epoch: int = 5, seq: int = 1) -> Frames:
    header = encode_header("a", epoch, seq, 1, 1, 1)
    return [topic(event.kind, "aster", market), header, encode_payload(event)]


def beat() -> Heartbeat:
    return Heartbeat(1, 1, {}, {}, 0.0, 1, 1.0)


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def cache(counters: Counters) -> Cache:
    return Cache(counters, 3, 10_000)


def store(cache: Cache, *messages: Frames) -> None:
    for frames in messages:
        assert cache.store(frames)


def test_the_last_of_each_kind_is_kept_and_books_come_first(cache: Cache) -> None:
    old, stats, book = message(samples.stats(1.0)), message(samples.stats(2.0)), message(samples.book())
    store(cache, message(beat(), market=NO_MARKET), old, stats, message(samples.trade()), book)
    assert cache.snapshot([b"book.", b"stats.", b"trade."]) == [book, stats]
    assert cache.snapshot([b""])[-1][0] == b"heartbeat.aster.-"


def test_a_book_is_kept_with_what_followed(cache: Cache) -> None:
    book, first, second = message(samples.book()), message(samples.delta()), message(samples.empty())
    store(cache, message(samples.book()), message(samples.delta()), book, first, second)
    assert cache.snapshot([b"book.aster.BTC"]) == [book, first, second]
    assert cache.snapshot([b"book.aster.ETH"]) == []
    assert cache.snapshot([]) == []


def test_deltas_without_a_book_are_passed_on_and_not_kept(cache: Cache) -> None:
    store(cache, message(samples.delta()))
    assert cache.snapshot([b""]) == []


@pytest.mark.parametrize(("deltas", "size"), [(3, 10_000), (1_000, 60)])
def test_a_book_whose_deltas_outgrow_the_cache_is_dropped_and_asked_for(
    counters: Counters, deltas: int, size: int
) -> None:
    cache = Cache(counters, deltas, size)
    store(cache, message(samples.book()), *[message(samples.delta()) for _ in range(4)])
    assert cache.snapshot([b""]) == []
    assert cache.wanted == [b"book.aster.BTC-PERP"]
    assert counters.get(Counter.CACHE_OVERFLOWS) == 1
    book = message(samples.book())
    store(cache, message(samples.delta()), book)
    assert cache.snapshot([b""]) == [book]


def test_a_new_run_replaces_everything_of_the_old_one(cache: Cache, counters: Counters) -> None:
    store(cache, message(samples.book()), message(samples.stats()), message(samples.book(), market="ETH-PERP"))
    new = message(samples.stats(), epoch=6)
    store(cache, new)
    assert cache.snapshot([b""]) == [new]
    assert not cache.store(message(samples.delta(), epoch=5))
    assert counters.get(Counter.LATE_MESSAGES) == 1
    book = message(samples.book(), epoch=6)
    store(cache, book)
    assert cache.snapshot([b"book."]) == [book]


def test_state_of_a_silent_sender_is_not_told_until_it_speaks(cache: Cache) -> None:
    book = message(samples.book())
    store(cache, book)
    for _ in range(PATIENCE):
        assert cache.snapshot([b""]) == [book]
        cache.beaten()
    assert cache.snapshot([b""]) == []
    store(cache, message(samples.trade()))
    assert cache.snapshot([b""]) == [book]


@pytest.mark.parametrize(
    "frames",
    [
        [b"nonsense", b"", b""],
        [b"book.aster.BTC-PERP"],
        [b"book.aster.BTC-PERP", b"\xc1", b""],
        [*message(samples.book()), b"more"],
        [b"book.aster.BTC-PERP", b"\x97\xcc\x01" + encode_header("a", 1, 1, 1, 1, 1)[2:], b""],
    ],
)
def test_malformed_messages_are_counted_and_not_passed_on(cache: Cache, counters: Counters, frames: Frames) -> None:
    assert not cache.store(frames)
    assert counters.get(Counter.BAD_MESSAGES) == 1
    store(cache, message(samples.book()))


def test_kinds_of_a_newer_sender_are_passed_on_and_not_kept(cache: Cache) -> None:
    store(cache, [b"candle.aster.BTC-PERP", encode_header("a", 5, 1, 1, 1, 1), b"\x90"])
    assert cache.snapshot([b""]) == []


def test_topics_beyond_all_measure_are_passed_on_and_not_kept(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("publisher.cache.TOPICS", 1)
    first = message(samples.stats())
    store(cache, first, message(samples.stats(), market="ETH-PERP"), message(samples.stats(), market="ETH-PERP"))
    assert cache.snapshot([b""]) == [first]


def test_the_same_chain_is_found_by_both_its_topics(cache: Cache) -> None:
    assert chain("delta", "aster", "BTC-PERP") == "book.aster.BTC-PERP"
    store(cache, message(samples.delta()))
    book = message(samples.book())
    store(cache, book)
    assert cache.snapshot([b"book."]) == [book]
