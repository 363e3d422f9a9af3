"""What is held goes out together, and nothing about it is lost, merged unseen or ordered anew."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.counters import Counter
from bus.events import BusEvent, Gap
from bus.outbox import FIRST_RETRY_NS
from tests.bus import samples
from tests.bus.test_outbox import MARKET, Bench


@pytest.fixture
def open_bench() -> Bench:
    bench = Bench()
    bench.joined()
    return bench


def test_what_is_held_goes_out_at_once_in_its_order_with_the_time_it_was_sent(open_bench: Bench) -> None:
    outbox = open_bench.outbox
    outbox.hold()
    open_bench.publish(samples.book(), samples.trade(1), samples.delta(), samples.trade(2))
    assert open_bench.sent == []
    assert outbox.chains() == {"book.aster.BTC-PERP": 2, "trade.aster.BTC-PERP": 2}
    open_bench.now += 50
    outbox.release()
    assert [sent.header.pub_ns for sent in open_bench.sent] == [1_050] * 4
    assert open_bench.sent[0].header.mono_ns == 1_000
    assert open_bench.take() == [
        ("book.aster.BTC-PERP", 1),
        ("trade.aster.BTC-PERP", 1),
        ("delta.aster.BTC-PERP", 2),
        ("trade.aster.BTC-PERP", 2),
    ]
    assert open_bench.count(Counter.PUBLISHED) == 4
    open_bench.publish(samples.delta(2, 3.0))
    assert open_bench.take() == [("delta.aster.BTC-PERP", 3)]


def test_what_is_refused_of_the_held_is_merged_or_waits_and_leaves_no_hole(open_bench: Bench) -> None:
    outbox = open_bench.outbox
    open_bench.room = 2
    outbox.hold()
    open_bench.publish(samples.book(), samples.trade(1), samples.delta(2, 5.0), samples.trade(2), samples.delta(3, 6.0))
    outbox.release()
    assert open_bench.take() == [("book.aster.BTC-PERP", 1), ("trade.aster.BTC-PERP", 1)]
    assert outbox.chains() == {"book.aster.BTC-PERP": 1, "trade.aster.BTC-PERP": 1}
    assert open_bench.count(Counter.TRY_SEND_FULL) == 1
    assert open_bench.count(Counter.PENDING_REPLACED) == 1
    assert open_bench.count(Counter.LOSSLESS_WAIT) == 1
    assert outbox.deadline is not None
    open_bench.room = None
    open_bench.later()
    assert getattr(open_bench.sent[-1].event, "bid_sz") == [6.0, 1.0]  # noqa: B009
    assert open_bench.take() == [("trade.aster.BTC-PERP", 2), ("book.aster.BTC-PERP", 2)]


def test_more_held_log_events_than_the_buffer_has_room_for_are_announced(open_bench: Bench) -> None:
    open_bench.room = 0
    open_bench.outbox.hold()
    open_bench.publish(*(samples.trade(number) for number in range(1, 7)))
    open_bench.outbox.release()
    open_bench.room = None
    open_bench.later()
    gap = open_bench.sent[0].event
    assert isinstance(gap, Gap)
    assert (gap.first_seq, gap.last_seq, gap.count) == (1, 2, 2)
    assert [seq for _, seq in open_bench.take()[1:]] == [3, 4, 5, 6]


@pytest.mark.parametrize("act", ["joined", "left"])
def test_what_is_held_goes_before_who_joins_or_leaves(open_bench: Bench, act: str) -> None:
    open_bench.outbox.hold()
    open_bench.publish(samples.stats(1.0))
    if act == "joined":
        open_bench.joined()
        assert open_bench.take() == [("stats.aster.BTC-PERP", 1), ("stats.aster.BTC-PERP", 2)]
        open_bench.publish(samples.stats(2.0))
    else:
        open_bench.outbox.left()
        assert open_bench.take() == [("stats.aster.BTC-PERP", 1)]
        open_bench.joined()
        open_bench.publish(samples.stats(2.0))
    open_bench.outbox.release()
    assert open_bench.take()[-1] == ("stats.aster.BTC-PERP", 3)


STEPS = st.lists(
    st.tuples(st.sampled_from(["stats", "bbo", "delta", "trade", "hold", "release", "flush"]), st.integers(0, 3)),
    max_size=40,
)


@given(STEPS, st.lists(st.integers(0, 3), max_size=20))
def test_holding_loses_nothing_and_orders_nothing_anew(steps: list[tuple[str, int]], rooms: list[int]) -> None:
    bench, trades = Bench(capacity=3), 0
    bench.joined()
    bench.publish(samples.book())
    for number, (step, amount) in enumerate(steps):
        if step == "hold":
            bench.outbox.hold()
        elif step == "release":
            bench.room = rooms[number % len(rooms)] if rooms else None
            bench.outbox.release()
        elif step == "flush":
            bench.now += amount * FIRST_RETRY_NS
            bench.outbox.flush(bench.now)
        elif step == "trade":
            trades += 1
            bench.publish(samples.trade(trades))
        else:
            state: dict[str, BusEvent] = {
                "stats": samples.stats(),
                "bbo": samples.bbo(),
                "delta": samples.delta(number),
            }
            bench.publish(state[step])
    bench.room = None
    bench.outbox.release()
    bench.later()
    gaps = [sent.event for sent in bench.sent if isinstance(sent.event, Gap)]
    explained = {seq for gap in gaps for seq in range(gap.first_seq, gap.last_seq + 1)}
    seqs: dict[str, list[int]] = {}
    for sent in bench.sent:
        seqs.setdefault(sent.topic.replace("delta", "book"), []).append(sent.header.seq)
    told = seqs.pop(f"trade.aster.{MARKET}", [])
    assert told == sorted(set(told))
    assert set(told) | explained == set(range(1, trades + 1))
    assert not set(told) & explained
    assert all(found == list(range(1, len(found) + 1)) for found in seqs.values())
    assert len(bench.sent) == bench.count(Counter.PUBLISHED)
    assert bench.outbox.deadline is None
