"""Delivery from end to end, in memory: whatever happens, no wrong book is trusted, and in the end all is well."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bus.counters import Counter
from tests.bus.checked import Consumer
from tests.bus.world import MARKETS, World

ORDINARY = ("change", "change", "change", "whole", "quote", "trade", "stats", "invalidate")
FLOW = ("attend", "forward", "forward", "consume", "consume", "second", "flow")
TROUBLE = (
    *("pause", "publisher_starts", "publisher_starts", "publisher_dies", "producer_dies", "connection_breaks"),
    *("joins_late",),
)


def stories(*steps: str) -> st.SearchStrategy[list[tuple[str, int]]]:
    # Left to itself, Hypothesis draws lists of five or six: nothing happens in so short a story.
    return st.lists(st.tuples(st.sampled_from(steps), st.integers(0, 65_535)), min_size=60, max_size=120)


def tell(world: World, story: list[tuple[str, int]]) -> None:
    for step, seed in story:
        world.do(step, seed)


def assert_whole(world: World, consumer: Consumer) -> None:
    """A consumer holds exactly the truth, trusts what may be trusted, and its accounts balance."""
    for venue, markets in world.markets.items():
        for name in MARKETS:
            market = markets[name]
            book = consumer.reader.chain("book", venue, name)
            if not market.rebuild:
                assert book is None or book.event is None
                continue
            assert book is not None
            assert book.event is not None
            assert book.event.venue_seq == market.version
            assert book.levels.levels() == market.levels.levels()
            assert book.told is (book.event.trust == "live") is market.history[market.version][1]
    total = consumer.ledger.total()
    assert total.imbalance == 0
    assert total.in_flight == 0
    assert total.published == total.applied + total.merged + total.dropped
    sent: dict[str, int] = {}
    for producer in world.producers.values():
        sent |= producer.outbox.chains()
    for name, last in sent.items():
        chain = consumer.reader.chain(*name.split(".", 2))
        if chain is not None and not name.startswith("heartbeat"):
            assert chain.next == last + 1, name
    for producer in world.producers.values():
        assert sum(producer.announced.values()) == producer.counters.get(Counter.LOG_DROPPED)
    for sequences in consumer.trades.values():
        assert sequences == sorted(set(sequences)), "trades twice or out of order"


@given(stories(*ORDINARY, *FLOW, *TROUBLE))
def test_every_consumer_ends_with_the_truth_and_never_trusted_anything_else(story: list[tuple[str, int]]) -> None:
    world = World()
    tell(world, story)
    world.quiesce()
    for consumer in world.consumers:
        assert_whole(world, consumer)


@given(stories(*ORDINARY, *FLOW, *TROUBLE, "damage"))
def test_damaged_messages_are_never_taken_for_the_truth(story: list[tuple[str, int]]) -> None:
    world = World()
    tell(world, story)
    world.quiesce()
    for consumer in world.consumers:
        assert_whole(world, consumer)


@given(stories(*ORDINARY, *FLOW, *TROUBLE, "lie", "lie", "lie"))
def test_lies_about_runs_places_and_senders_are_found_out(story: list[tuple[str, int]]) -> None:
    world = World()
    tell(world, story)
    world.quiesce()
    for consumer in world.consumers:
        assert_whole(world, consumer)


@settings(max_examples=25)
@given(stories(*ORDINARY, "second"))
def test_with_room_and_time_nothing_is_lost_and_nothing_merged(story: list[tuple[str, int]]) -> None:
    world = World(pipe_room=10**6, queue_room=10**6, log_room=10**6, cached_deltas=10**6)
    world.do("publisher_starts", 0)
    world.do("flow", 0)
    for step in story:
        tell(world, [step, ("flow", 0)])
    world.quiesce()
    for consumer in world.consumers:
        assert_whole(world, consumer)
        total = consumer.ledger.total()
        assert (total.merged, total.dropped) == (0, 0)
        assert consumer.counters.values.get("client_lost", 0) == 0
    for producer in world.producers.values():
        assert producer.counters.values.get("mp_try_send_full_count", 0) == 0
        assert producer.counters.values.get("mp_pending_latest_replaced_count", 0) == 0


@settings(max_examples=50)
@given(stories(*ORDINARY, "attend", "second"), st.integers(1, 8))
def test_what_a_producer_did_without_a_publisher_is_known_to_those_who_come_later(
    story: list[tuple[str, int]], log_room: int
) -> None:
    world = World(log_room=log_room)
    tell(world, story)
    world.quiesce()
    for consumer in world.consumers:
        assert_whole(world, consumer)
