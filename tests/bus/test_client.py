"""The client on real sockets: last values on joining, healed when it was slow, honest when the publisher is gone."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bus.client import Subscriber
from bus.events import Bbo
from bus.items import Healed, Item, Lost, Message, TrustChanged
from tests.bus import samples
from tests.bus.conftest import Stage
from tests.bus.plane import Listener, serving, settings_of, turning

if TYPE_CHECKING:
    from tests.conftest import Eventually

MARKET = "BTC-PERP"


def events(items: list[Item], kind: str) -> list[Message]:
    return [item for item in items if isinstance(item, Message) and item.kind == kind]


def test_last_values_come_on_joining_and_views_show_them(stage: Stage, eventually: Eventually) -> None:
    settings = stage.settings
    talker = stage.talker()
    talker.say(samples.book(), samples.delta(2, 7.0), samples.bbo(), samples.stats())
    with serving(settings):
        first = stage.listener()
        eventually(turning(talker, first)(lambda: events(first.items, "stats")))
        late = stage.listener(venues=["aster"], markets=[MARKET], name="late")
        subscriber = late.subscriber
        told = turning(talker, late)(lambda: events(late.items, "stats"))
        # Last values come in no order of kinds: a book or a quote may follow the figures.
        eventually(lambda: told() and all(subscriber.trusted("aster", MARKET, kind) for kind in ("book", "bbo")))
        view = subscriber.book("aster", MARKET)
        assert view is not None
        assert view.trusted
        assert view.levels.best() == (100.0, 7.0, 101.0, 2.0)
        assert (view.rebuild, view.venue_ns, view.venue_seq) == (1, 2, 2)
        assert view.header.epoch > 0
        assert isinstance(subscriber.quote("aster", MARKET), Bbo)
        assert subscriber.trusted("aster", MARKET)
        assert subscriber.trusted("aster", MARKET, "bbo")
        assert not subscriber.trusted("aster", "ETH-PERP")
        assert subscriber.book("aster", "ETH-PERP") is None
        assert subscriber.quote("aster", "ETH-PERP") is None
        assert subscriber.identity.startswith("late.")
        assert subscriber.counters.snapshot()["applied"] >= 3


def test_a_slow_consumer_loses_only_its_own_and_heals(stage: Stage, eventually: Eventually) -> None:
    stage.settings = settings_of(stage.run_dir, bus={"consumer_hwm": 1_000})
    talker = stage.talker()
    talker.say(samples.book(levels=90))
    last = 0

    def caught_up(listener: Listener) -> bool:
        view = listener.subscriber.book("aster", MARKET)
        return view is not None and view.trusted and view.venue_seq == last

    with serving(stage.settings) as publisher:
        quick, slow = stage.listener(name="quick"), stage.listener(name="slow")
        everybody = turning(talker, quick, slow)
        eventually(everybody(lambda: all(len(events(one.items, "heartbeat")) > 1 for one in (quick, slow))))
        while last < 6_000:
            for _ in range(100):
                last += 1
                talker.say(samples.delta(last, float(last)), samples.trade(last))
            eventually(turning(talker, quick)(lambda: caught_up(quick)))
        assert [message.header.seq for message in events(quick.items, "trade")] == list(range(1, last + 1))
        assert not [item for item in quick.items if isinstance(item, Lost)]
        eventually(everybody(lambda: caught_up(slow)))
        assert [item for item in slow.items if isinstance(item, Lost) and item.kind == "book"]
        assert [item for item in slow.items if isinstance(item, Healed)]
        eventually(everybody(lambda: len(events(slow.items, "trade")) + lost_trades(slow) == last))
        assert lost_trades(slow) > 0
        counts = publisher.counters.snapshot()
        assert counts["heals.slow"] >= 1
        assert "heals.quick" not in counts


def lost_trades(listener: Listener) -> int:
    return sum(item.count for item in listener.items if isinstance(item, Lost) and item.kind == "trade")


def test_trust_is_withdrawn_when_the_publisher_is_gone_and_back_when_it_is(
    stage: Stage, eventually: Eventually
) -> None:
    settings = stage.settings
    talker, listener = stage.talker(), stage.listener(kinds=["book"])
    when = turning(talker, listener)
    talker.say(samples.book())
    with serving(settings):
        eventually(when(lambda: listener.subscriber.trusted("aster", MARKET)))
    talker.say(samples.delta(2))
    eventually(when(lambda: not listener.subscriber.trusted("aster", MARKET)))
    with serving(settings):
        eventually(when(lambda: listener.subscriber.trusted("aster", MARKET)))
    view = listener.subscriber.book("aster", MARKET)
    assert view is not None
    assert view.venue_seq == 2
    changes = [item.trusted for item in listener.items if isinstance(item, TrustChanged)]
    assert changes[0] is True
    assert changes[-2:] == [False, True]


def test_iterating_gives_every_item(stage: Stage, eventually: Eventually) -> None:
    settings = stage.settings
    talker = stage.talker()
    listener = stage.listener(kinds=["heartbeat"])
    with serving(settings):
        talker.say(samples.trade(1), samples.trade(2))
        eventually(turning(talker, listener)(lambda: len(listener.items) > 1))
        found = []
        for item in listener.subscriber:
            talker.turn()
            if isinstance(item, Message):
                found.append(item.venue)
            if set(found) == {"aster", "publisher"}:
                break
    with Subscriber(settings, context=listener.context) as subscriber:
        assert subscriber.poll(0.0) == []


def test_a_poll_waits_no_longer_than_told_and_takes_no_more_than_told(stage: Stage, eventually: Eventually) -> None:
    settings = stage.settings
    talker = stage.talker()
    listener = stage.listener(kinds=["trade"])
    assert listener.subscriber.poll(0.02) == []
    assert not listener.subscriber.backlog
    with serving(settings):
        numbers = count()

        def behind() -> bool:
            talker.say(*[samples.trade(next(numbers)) for _ in range(20)])
            return len(listener.subscriber.poll(0.01, limit=1)) == 1 and listener.subscriber.backlog

        eventually(turning(talker)(behind))


@pytest.mark.parametrize("name", ["", "two words", "a.b", "x" * 33])
def test_impossible_names_are_refused(run_dir: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        Subscriber(settings_of(run_dir), name=name)


def test_unknown_kinds_are_refused(run_dir: Path) -> None:
    with pytest.raises(ValueError, match="unknown kinds"):
        Subscriber(settings_of(run_dir), kinds=["candle"])
