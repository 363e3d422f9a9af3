"""The outbox: sends at once while it can, and under pressure merges state, bounds logs and announces what it drops."""

from __future__ import annotations

import msgspec
import pytest

from bus.counters import Counter, Counters
from bus.events import NO_MARKET, BusEvent, Gap, Heartbeat, State, Status, Trust
from bus.outbox import BATCH, FIRST_RETRY_NS, LAST_RETRY_NS, Outbox
from bus.state import MIN_CHANGES
from bus.wire import Header, decode_header, decode_payload, split_topic
from tests.bus import samples

MARKET = "BTC-PERP"
EPOCH = 1_790_000_000_000_000_000


class Sent(msgspec.Struct):
    """One message that ZeroMQ took."""

    topic: str
    header: Header
    event: BusEvent


class Bench:
    """An outbox with a ZeroMQ that can be told to refuse."""

    def __init__(self, capacity: int = 4) -> None:
        self.now = 1_000
        self.room: int | None = None
        self.sent: list[Sent] = []
        self.counters = Counters()
        self.outbox = Outbox("aster", EPOCH, "a", self.counters, self._send, capacity, lambda: self.now)

    def _send(self, frames: list[bytes]) -> bool:
        if self.room is not None:
            if not self.room:
                return False
            self.room -= 1
        kind = split_topic(frames[0])[0]
        event = decode_payload(kind, frames[0], frames[2])
        self.sent.append(Sent(frames[0].decode(), decode_header(frames[0], frames[1]), event))
        return True

    def publish(self, *events: BusEvent, market: str = MARKET) -> None:
        for event in events:
            self.outbox.publish(market, event, self.now + 7, self.now)

    def joined(self) -> None:
        self.outbox.joined(b"", self.now)

    def later(self) -> None:
        """Let everything that waits go, as the shell would: whenever it is due."""
        while self.outbox.deadline is not None and self.outbox.subscribed:
            self.now = max(self.now, self.outbox.deadline)
            self.outbox.flush(self.now)

    def take(self) -> list[tuple[str, int]]:
        """What was sent since the last look, as topic and sequence."""
        found = [(sent.topic, sent.header.seq) for sent in self.sent]
        self.sent.clear()
        return found

    def count(self, counter: Counter) -> int:
        return self.counters.get(counter)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def open_bench() -> Bench:
    bench = Bench()
    bench.joined()
    return bench


def test_with_a_subscriber_events_go_out_at_once_and_count_per_chain(open_bench: Bench) -> None:
    open_bench.publish(samples.book(), samples.delta(), samples.trade(), samples.stats(), samples.trade())
    assert open_bench.outbox.deadline is None
    assert open_bench.outbox.chains() == {
        "book.aster.BTC-PERP": 2,
        "trade.aster.BTC-PERP": 2,
        "stats.aster.BTC-PERP": 1,
    }
    header = open_bench.sent[0].header
    assert header == Header(1, "a", EPOCH, 1, 1_007, 1_000, 1_000)
    assert open_bench.take() == [
        ("book.aster.BTC-PERP", 1),
        ("delta.aster.BTC-PERP", 2),
        ("trade.aster.BTC-PERP", 1),
        ("stats.aster.BTC-PERP", 1),
        ("trade.aster.BTC-PERP", 2),
    ]
    assert open_bench.count(Counter.PUBLISHED) == 5


def test_without_a_subscriber_nothing_is_sent_and_whoever_joins_gets_everything(bench: Bench) -> None:
    assert not bench.outbox.subscribed
    bench.publish(samples.book(), samples.delta(2, 7.0), samples.bbo(), samples.trade(1), samples.trade(2))
    assert bench.take() == []
    assert bench.outbox.deadline is None
    assert bench.count(Counter.PENDING_REPLACED) == 0
    bench.joined()
    assert bench.count(Counter.STATE_RESENDS) == 1
    whole = next(sent.event for sent in bench.sent if sent.topic.startswith("book"))
    assert getattr(whole, "bid_sz") == [7.0, 1.0]  # noqa: B009  (an event of any kind)
    assert bench.take() == [
        ("trade.aster.BTC-PERP", 1),
        ("trade.aster.BTC-PERP", 2),
        ("book.aster.BTC-PERP", 1),
        ("bbo.aster.BTC-PERP", 1),
    ]
    assert bench.outbox.deadline is None


def test_a_book_waiting_to_be_sent_is_merged_into_one(open_bench: Bench) -> None:
    open_bench.publish(samples.book())
    open_bench.room = 0
    open_bench.publish(samples.delta(2, 5.0), samples.delta(3, 6.0), samples.delta(4, 7.0))
    assert open_bench.count(Counter.TRY_SEND_FULL) == 1
    assert open_bench.count(Counter.PENDING_REPLACED) == 2
    open_bench.room = None
    open_bench.later()
    event = open_bench.sent[-1].event
    assert (getattr(event, "venue_seq"), getattr(event, "bid_sz")) == (4, [7.0, 1.0])  # noqa: B009
    assert open_bench.take() == [("book.aster.BTC-PERP", 1), ("book.aster.BTC-PERP", 2)]


def test_a_merged_state_leaves_no_hole_in_the_sequence(open_bench: Bench) -> None:
    open_bench.room = 0
    open_bench.publish(samples.stats(1.0), samples.stats(2.0))
    open_bench.room = None
    open_bench.later()
    open_bench.publish(samples.stats(3.0))
    assert open_bench.take() == [("stats.aster.BTC-PERP", 1), ("stats.aster.BTC-PERP", 2)]


def test_more_changes_than_levels_send_the_whole_book_instead(open_bench: Bench) -> None:
    open_bench.publish(samples.book())
    for number in range(MIN_CHANGES):
        open_bench.publish(samples.delta(number))
    topics = [topic for topic, _ in open_bench.take()]
    assert topics.count("book.aster.BTC-PERP") == 2
    assert [seq for _, seq in open_bench.take()] == []
    assert open_bench.outbox.chains()["book.aster.BTC-PERP"] == MIN_CHANGES + 1


def test_retries_back_off_and_a_way_that_is_clear_again_resets_them(open_bench: Bench) -> None:
    open_bench.room = 0
    open_bench.publish(samples.stats())
    waits = []
    for _ in range(7):
        assert open_bench.outbox.deadline is not None
        waits.append(open_bench.outbox.deadline - open_bench.now)
        open_bench.outbox.flush(open_bench.now)
        open_bench.now = open_bench.outbox.deadline
        open_bench.outbox.flush(open_bench.now)
    assert waits[0] == FIRST_RETRY_NS
    assert waits[-1] == LAST_RETRY_NS
    assert waits == sorted(waits)
    assert open_bench.count(Counter.TRY_SEND_FULL) == 8
    open_bench.room = None
    open_bench.later()
    open_bench.room = 0
    open_bench.publish(samples.stats())
    assert open_bench.outbox.deadline == open_bench.now + FIRST_RETRY_NS


def test_an_invalidation_leaves_first_and_everything_else_in_its_order(open_bench: Bench) -> None:
    open_bench.publish(samples.book(), samples.bbo(), samples.trade(1))
    open_bench.take()
    open_bench.room = 0
    open_bench.publish(samples.stats())
    open_bench.publish(samples.trade(2))
    open_bench.publish(Status(State.RECOVERING, State.LIVE, "seq_gap", "", 1))
    open_bench.publish(samples.bbo(2, Trust.STALE), samples.empty())
    open_bench.room = None
    open_bench.later()
    assert [topic.split(".")[0] for topic, _ in open_bench.take()] == ["book", "bbo", "trade", "stats", "status"]


def test_log_events_wait_and_come_in_order(open_bench: Bench) -> None:
    open_bench.room = 0
    open_bench.publish(samples.trade(1), samples.trade(2))
    open_bench.room = None
    open_bench.publish(samples.trade(3))
    assert open_bench.take() == []
    assert open_bench.count(Counter.LOSSLESS_WAIT) == 3
    open_bench.later()
    assert [seq for _, seq in open_bench.take()] == [1, 2, 3]


def test_what_the_buffer_cannot_hold_is_announced_as_one_range_before_what_follows(open_bench: Bench) -> None:
    open_bench.publish(samples.trade(1))
    open_bench.room = 0
    for number in range(2, 10):
        open_bench.publish(samples.trade(number))
    assert open_bench.count(Counter.LOG_DROPPED) == 4
    assert open_bench.outbox.chains()["trade.aster.BTC-PERP"] == 1
    open_bench.take()
    open_bench.room = None
    open_bench.later()
    assert open_bench.sent[0].event == Gap("trade.aster.BTC-PERP", 2, 5, 4, "buffer_full")
    assert open_bench.take() == [
        ("gap.aster.BTC-PERP", 1),
        *(("trade.aster.BTC-PERP", seq) for seq in (6, 7, 8, 9)),
    ]
    assert open_bench.outbox.chains()["trade.aster.BTC-PERP"] == 9


def test_a_gap_itself_is_never_lost(open_bench: Bench) -> None:
    open_bench.room = 0
    for number in range(6):
        open_bench.publish(samples.trade(number))
    for _ in range(3):
        assert open_bench.outbox.deadline is not None
        open_bench.now = open_bench.outbox.deadline
        open_bench.outbox.flush(open_bench.now)
    open_bench.publish(samples.trade(7))
    open_bench.room = 1
    assert open_bench.outbox.deadline is not None
    open_bench.now = open_bench.outbox.deadline
    open_bench.outbox.flush(open_bench.now)
    assert open_bench.sent[0].event == Gap("trade.aster.BTC-PERP", 1, 3, 3, "buffer_full")
    assert open_bench.outbox.chains()["trade.aster.BTC-PERP"] == 3
    open_bench.room = None
    open_bench.later()
    assert [seq for _, seq in open_bench.take()] == [1, 4, 5, 6, 7]


def test_who_joins_again_gets_log_events_still_held_with_their_own_numbers(open_bench: Bench) -> None:
    for number in range(6):
        open_bench.publish(samples.trade(number))
    open_bench.take()
    open_bench.outbox.left()
    open_bench.publish(samples.trade(6))
    open_bench.now += 5
    open_bench.joined()
    assert open_bench.sent[0].header.mono_ns == 1_000
    assert open_bench.sent[0].header.pub_ns == 1_005
    assert [seq for _, seq in open_bench.take()] == [3, 4, 5, 6, 7]
    assert open_bench.outbox.chains()["trade.aster.BTC-PERP"] == 7


def test_asking_for_one_chain_repeats_it_alone(open_bench: Bench) -> None:
    open_bench.publish(samples.book(), samples.bbo(), samples.trade())
    open_bench.publish(samples.book(), market="ETH-PERP")
    open_bench.take()
    open_bench.outbox.joined(b"book.aster.BTC-PERP", open_bench.now)
    open_bench.outbox.joined(b"delta.aster.ETH", open_bench.now)
    open_bench.outbox.joined(b"book.lighter", open_bench.now)
    assert open_bench.take() == [("book.aster.BTC-PERP", 2), ("book.aster.ETH-PERP", 2)]


def test_catching_up_goes_in_batches(bench: Bench) -> None:
    for number in range(BATCH + 10):
        bench.publish(samples.stats(), market=f"M{number}-PERP")
    bench.joined()
    assert len(bench.take()) == BATCH
    assert bench.outbox.deadline == bench.now
    bench.publish(samples.stats(), market="M0-PERP")
    bench.publish(samples.stats(), market=f"M{BATCH + 5}-PERP")
    assert bench.take() == []
    assert bench.count(Counter.PENDING_REPLACED) == 0, "nobody was pressed, somebody joined"
    bench.later()
    assert len(bench.take()) == 11


def test_whoever_leaves_is_sent_nothing_more(open_bench: Bench) -> None:
    open_bench.room = 0
    open_bench.publish(samples.stats())
    open_bench.outbox.left()
    open_bench.room = None
    assert open_bench.outbox.deadline is None
    open_bench.outbox.flush(open_bench.now + LAST_RETRY_NS)
    open_bench.publish(samples.stats())
    assert open_bench.take() == []


def test_a_heartbeat_tells_what_was_sent_when_it_leaves(open_bench: Bench) -> None:
    open_bench.room = 0
    open_bench.publish(Heartbeat(1, 2, {}, {}, 0.0, 1, 1.0), market=NO_MARKET)
    open_bench.publish(samples.trade())
    open_bench.room = None
    open_bench.later()
    event = open_bench.sent[-1].event
    assert isinstance(event, Heartbeat)
    assert event.chains == {"trade.aster.BTC-PERP": 1}


def test_state_that_never_was_is_not_sent(bench: Bench) -> None:
    bench.joined()
    assert bench.take() == []
    assert bench.outbox.deadline is None
    bench.outbox.flush(bench.now)
    assert bench.take() == []
