"""What a consumer wants, and as what prefixes."""

from __future__ import annotations

import pytest

from bus.chains import Chain, Interest
from bus.events import EVENT_TYPES


def test_everything_is_wanted_when_nothing_is_chosen() -> None:
    interest = Interest()
    assert interest.delivered == interest.kinds == set(EVENT_TYPES)
    assert interest.prefixes() == sorted([*(f"{kind}.".encode() for kind in EVENT_TYPES), b"heartbeat.publisher.-"])
    assert interest.wants("process", "anything", "-")


def test_books_need_their_deltas_and_log_events_their_gaps() -> None:
    assert Interest(["book"]).delivered == {"book", "delta"}
    assert Interest(["delta"]).delivered == {"book", "delta"}
    assert Interest(["book"]).kinds == {"book", "delta", "heartbeat"}
    assert Interest(["trade"]).kinds == {"trade", "gap", "heartbeat"}
    assert Interest(["trade"]).delivered == {"trade"}


def test_prefixes_are_as_narrow_as_they_can_be() -> None:
    assert Interest(["trade"], ["aster"], ["BTC-PERP"]).prefixes() == [
        b"gap.aster.",
        b"heartbeat.aster.",
        b"heartbeat.publisher.-",
        b"trade.aster.BTC-PERP",
    ]
    assert Interest(["stats"], ["aster"]).prefixes() == [
        b"heartbeat.aster.",
        b"heartbeat.publisher.-",
        b"stats.aster.",
    ]


def test_filters_concern_what_they_can() -> None:
    interest = Interest(["status", "trade"], ["aster"], ["BTC-PERP"])
    assert interest.wants("trade", "aster", "BTC-PERP")
    assert interest.wants("status", "aster", "-")
    assert interest.wants("heartbeat", "publisher", "-")
    assert not interest.delivers("heartbeat", "publisher")
    assert not interest.wants("trade", "aster", "ETH-PERP")
    assert not interest.wants("trade", "lighter", "BTC-PERP")
    assert not interest.wants("stats", "aster", "BTC-PERP")


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kinds: candle"):
        Interest(["candle", "book"])


def test_a_new_chain_knows_nothing() -> None:
    chain = Chain("delta", "aster", "BTC-PERP")
    assert (chain.kind, chain.name, chain.trust, chain.rebuild) == ("book", "book.aster.BTC-PERP", None, None)
    assert chain.unwell
    assert not Chain("stats", "aster", "BTC-PERP").unwell
