"""Every kind of event and of loss has a line, and JSON with named fields."""

from __future__ import annotations

import json

import pytest

from bus.events import (
    EVENT_TYPES,
    Bbo,
    Book,
    BusEvent,
    Check,
    Delta,
    Funding,
    Gap,
    Heartbeat,
    Instrument,
    Process,
    Reason,
    Reconnect,
    Side,
    Source,
    State,
    Stats,
    Status,
    Telemetry,
    Trade,
    Trust,
)
from bus.items import Healed, Lost, Message, TrustChanged, Why
from bus.wire import SCHEMA, Header
from cli.tail import as_object, chosen, line, shown, words

EVENTS: dict[str, tuple[BusEvent, str]] = {
    "instrument": (Instrument("BTCUSDT", "0.1", "0.001", "USDT"), "BTCUSDT, tick 0.1, lot 0.001, in USDT"),
    "book": (Book(None, 1, Trust.LIVE, 2, Source.STREAM, [1.0], [1.0], [2.0, 3.0], [1.0, 1.0]), "1 bids, 2 asks"),
    "delta": (Delta(None, 1, Trust.STALE, 2, [], [], [], []), "stale, 0 bids, 0 asks changed"),
    "bbo": (Bbo(None, 1, Trust.LIVE, 1, Source.STREAM, 84000.1, 0.5, None, None), "live, 0.5 @ 84000.1 | none"),
    "trade": (Trade(None, "7", Side.BUY, 84000.1, 0.25, history=True), "buy 0.25 @ 84000.1 (history)"),
    "funding": (Funding(None, 0.0000125, "0.0001", 8.0, settled=False), "0.001250 %/h predicted"),
    "stats": (Stats(None, 84000.5, None, 12.0), "mark 84000.5, index –, open 12"),
    "status": (Status(State.STALE, State.LIVE, "book", "10 s", 1), "live → stale: book 10 s"),
    "reconnect": (
        Reconnect("main", Reason.SEQ_GAP, 3, "5 after 3", 250),
        "main: seq_gap (3) 5 after 3; next in 250 ms",
    ),
    "gap": (Gap("trade.aster.BTC-PERP", 5, 9, 5, "full"), "5 events of trade.aster.BTC-PERP dropped, 5 to 9: full"),
    "heartbeat": (Heartbeat(7, 1, {}, {}, 1.25, 40_000_000, 3.5), "pid 7, 40 MB, 3.5 s CPU, lag 1.2 ms"),
    "process": (Process("connectors:aster", "exited", 7, "SIGKILL", 1, None), "connectors:aster exited SIGKILL"),
    "check": (Check("rest", 9, 1, 0.001, 5), "against rest: 1 of 9 differed, last 0.001"),
    "telemetry": (Telemetry({"t": 4, "venue_age_ms": [1, None]}), "tick 4, ages [1, None] ms"),
}


def message(event: BusEvent) -> Message:
    """An event of a second after 01:02:03 UTC."""
    header = Header(SCHEMA, "a", 1, 1, 1_795_309_323_500_000_000, 5, 6)
    return Message(event.kind, "aster", "BTC-PERP", header, event, 7)


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_every_kind_has_its_words_and_its_json(kind: str) -> None:
    event, said = EVENTS[kind]
    assert said in words(event)
    assert line(message(event)).startswith(f"01:02:03.500 {kind}")
    told = json.loads(as_object(message(event)))
    assert (told["item"], told["kind"], told["venue"], told["header"]["mono_ns"]) == ("message", kind, "aster", 5)
    assert set(told["event"]) == set(event.__struct_fields__)


def test_what_this_consumer_found_is_told_as_well() -> None:
    lost = Lost("book", "aster", "BTC-PERP", Why.HOLE, 5, 7, 3, 9)
    assert line(lost).split() == ["LOST", "aster", "BTC-PERP", "3", "messages", "of", "book:", "hole"]
    assert "LOST       aster        -         messages of status: restart" in line(
        Lost("status", "aster", "-", Why.RESTART, None, None, 0, 9)
    )
    assert line(Healed("book", "aster", "BTC-PERP", 9, 25_000_000)).endswith("book after 25 ms")
    changed = TrustChanged("book", "aster", "BTC-PERP", trusted=False, trust=None, rebuild=None, at_ns=1)
    assert line(changed).endswith("book must not be used (none)")
    assert json.loads(as_object(lost))["why"] == "hole"


def test_without_a_choice_only_what_happens_is_shown() -> None:
    assert chosen(()) == {"status", "reconnect", "process", "gap"}
    assert chosen(("bbo", "all")) == set(EVENT_TYPES)
    assert chosen(("bbo",)) == {"bbo"}


def test_losses_of_a_book_are_shown_to_who_asked_for_its_deltas() -> None:
    lost = Lost("book", "aster", "BTC-PERP", Why.HOLE, 5, 7, 3, 9)
    assert shown(lost, frozenset({"delta"}))
    assert not shown(lost, frozenset({"trade"}))
    assert shown(message(EVENTS["trade"][0]), frozenset({"trade"}))
