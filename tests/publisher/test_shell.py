"""The publisher on real sockets: welcomes, raw forwarding, refusals, its own health, an end within a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zmq

from bus import wire
from bus.errors import SettingsError
from bus.events import Heartbeat
from bus.settings import Settings
from publisher.shell import LINES_PER_MINUTE, Publisher, Quota
from tests.bus import samples
from tests.bus.plane import Quiet, Talker, serving, settings_of

if TYPE_CHECKING:
    from tests.conftest import Eventually

Socket = zmq.Socket[bytes]


class Raw:
    """A consumer made of nothing but sockets, as one in another language would be."""

    def __init__(self, settings: Settings, identity: bytes) -> None:
        self.context: zmq.Context[Socket] = zmq.Context()
        self.sub = self.context.socket(zmq.SUB)
        self.dealer = self.context.socket(zmq.DEALER)
        self.dealer.setsockopt(zmq.IDENTITY, identity)
        for socket in (self.sub, self.dealer):
            socket.setsockopt(zmq.LINGER, 0)
        self.sub.connect(settings.endpoint("market_out"))
        self.dealer.connect(settings.endpoint("resync"))

    def close(self) -> None:
        self.sub.close()
        self.dealer.close()
        self.context.destroy(linger=0)

    def next(self, prefix: bytes) -> list[bytes]:
        """The next message of these topics."""
        while True:
            assert self.sub.poll(60_000), f"no {prefix!r}"
            frames = self.sub.recv_multipart()
            if frames[0].startswith(prefix):
                return frames

    def answer(self) -> list[list[bytes]]:
        """All parts of the next answer."""
        parts: list[list[bytes]] = []
        while not parts or parts[-1][0] == b"ITEM":
            assert self.dealer.poll(60_000), "no answer"
            parts.append(self.dealer.recv_multipart())
        return parts


@pytest.fixture
def settings(run_dir: Path) -> Settings:
    return settings_of(run_dir, publisher={"resyncs_per_s": 2})


@pytest.fixture
def publisher(settings: Settings) -> Iterator[Publisher]:
    with serving(settings) as publisher:
        yield publisher


@pytest.fixture
def raw(settings: Settings) -> Iterator[Raw]:
    raw = Raw(settings, b"raw.1.x")
    yield raw
    raw.close()


@pytest.fixture
def talker(settings: Settings) -> Iterator[Talker]:
    talker = Talker(settings)
    yield talker
    talker.close()


@pytest.mark.usefixtures("publisher")
def test_a_consumer_is_welcomed_when_its_subscriptions_are_in_force(raw: Raw) -> None:
    for topic in (b"book.", b"~raw.1.x"):
        raw.sub.subscribe(topic)
    welcome = raw.next(b"~")
    assert welcome[0] == b"~raw.1.x"
    header = wire.decode_header(welcome[0], welcome[1])
    assert (header.line, header.seq) == ("a", 0)
    assert header.epoch > 0
    assert welcome[2] == b"\xc0"


def test_messages_are_forwarded_byte_for_byte_and_state_is_answered(
    publisher: Publisher, raw: Raw, talker: Talker, eventually: Eventually
) -> None:
    raw.sub.subscribe(b"book.")
    raw.sub.subscribe(b"delta.")
    raw.sub.subscribe(b"~raw.1.x")
    raw.next(b"~")
    eventually(lambda: talker.sent("heartbeat.aster.-"))
    talker.say(samples.book(), samples.delta())
    seen = [raw.next(b"book."), raw.next(b"delta.")]
    raw.dealer.send_multipart([b"STATE", b"77", b"book.aster."])
    assert raw.answer() == [[b"ITEM", b"77", *frames] for frames in seen] + [[b"END", b"77"]]
    counts = publisher.counters.snapshot()
    assert counts["joins.raw"] == 1
    assert counts["resync_requests"] == 1


def test_requests_beyond_the_limit_are_refused_with_a_time(publisher: Publisher, raw: Raw) -> None:
    for number in range(3):
        raw.dealer.send_multipart([b"STATE", b"%d" % number, b""])
        assert raw.answer()[-1] == ([b"END", b"%d" % number] if number < 2 else [b"REFUSED", b"2", b"500"])
    raw.dealer.send_multipart([b"NONSENSE"])
    raw.dealer.send_multipart([b"", b"x"])
    deadline = time.monotonic() + 60
    while publisher.counters.snapshot().get("bad_messages", 0) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_wish_for_fresh_state_reaches_the_producers(
    publisher: Publisher, raw: Raw, talker: Talker, eventually: Eventually
) -> None:
    talker.say(samples.book(), samples.stats())
    raw.sub.subscribe(b"book.")
    raw.sub.subscribe(b"~raw.1.x")
    raw.next(b"~")
    eventually(lambda: talker.sent("book.aster.BTC-PERP"))
    raw.dealer.send_multipart([b"FRESH", b"1", b"book.aster.BTC-PERP"])
    eventually(lambda: talker.sent("book.aster.BTC-PERP") == 2)
    assert talker.producer.outbox.chains()["stats.aster.BTC-PERP"] == 1
    sequences: list[int] = []
    while sequences[-1:] != [2]:
        frames = raw.next(b"book.")
        sequences.append(wire.decode_header(frames[0], frames[1]).seq)
    assert publisher.counters.snapshot()["heals.raw"] == 1


@pytest.mark.usefixtures("publisher")
def test_it_says_every_second_how_it_is(raw: Raw) -> None:
    raw.sub.subscribe(b"heartbeat.publisher.-")
    first, second = raw.next(b"heartbeat."), raw.next(b"heartbeat.")
    headers = [wire.decode_header(frames[0], frames[1]) for frames in (first, second)]
    assert headers[1].seq == headers[0].seq + 1
    assert 900_000_000 < headers[1].mono_ns - headers[0].mono_ns < 60_000_000_000
    event = wire.decode_payload("heartbeat", second[0], second[2])
    assert isinstance(event, Heartbeat)
    assert event.rss_bytes > 1_000_000
    assert event.chains == {"heartbeat.publisher.-": headers[0].seq}


def test_malformed_messages_are_counted_and_the_rest_goes_on(
    settings: Settings, publisher: Publisher, raw: Raw, eventually: Eventually
) -> None:
    raw.sub.subscribe(b"")
    raw.sub.subscribe(b"~raw.1.x")
    raw.next(b"~")
    with raw.context.socket(zmq.XPUB) as sender:
        sender.setsockopt(zmq.LINGER, 0)
        sender.connect(settings.endpoint("market_in"))
        assert sender.poll(60_000)
        assert sender.recv() == b"\x01"
        # One by one: a message with frames missing takes with it what is right behind it.
        sender.send_multipart([b"nonsense"])
        eventually(lambda: publisher.counters.snapshot().get("bad_messages") == 1)
        sender.send_multipart([b"book.aster.BTC-PERP", b"\xc1", b""])
        eventually(lambda: publisher.counters.snapshot().get("bad_messages") == 2)
        good = [b"stats.aster.BTC-PERP", wire.encode_header("a", 9, 1, 1, 1, 1), b"\x94\xc0\xc0\xc0\xc0"]
        sender.send_multipart(good)
        assert raw.next(b"stats.") == good


def test_stopping_takes_no_time(settings: Settings) -> None:
    publisher = Publisher(settings, Quiet())
    thread = threading.Thread(target=publisher.run)
    thread.start()
    publisher.stop()
    thread.join(30)
    assert not thread.is_alive()


def test_an_endpoint_that_others_could_reach_is_refused(run_dir: Path) -> None:
    with pytest.raises(SettingsError, match=r"bus\.market_out"):
        Publisher(settings_of(run_dir, bus={"market_out": "tcp://0.0.0.0:7001"}), Quiet())


def test_a_handful_of_lines_a_minute_is_enough() -> None:
    log = Quiet()
    quota = Quota(log)
    for _ in range(LINES_PER_MINUTE + 5):
        quota.info("consumer joined")
    assert len(log.lines) == LINES_PER_MINUTE
