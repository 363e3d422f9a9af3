"""Accounts as telemetry tells them."""

from __future__ import annotations

from bus.accounting import Balance
from runner.accounts import NAMED, told


def test_nothing_followed_is_balanced() -> None:
    assert told({}) == {
        "published": 0,
        "applied": 0,
        "merged": 0,
        "dropped": 0,
        "in_flight": 0,
        "imbalance": 0,
        "by_sender": {},
        "unbalanced": 0,
        "unbalanced_chains": [],
    }


def test_chains_are_added_up_by_sender_and_altogether() -> None:
    accounts = told(
        {
            "book.aster.BTC-PERP": Balance(10, 7, 2, 0, 1, 0),
            "trade.aster.BTC-PERP": Balance(5, 4, 0, 1, 0, 0),
            "heartbeat.publisher.-": Balance(3, 3, 0, 0, 0, 0),
        }
    )
    assert accounts["by_sender"] == {"aster": (15, 11, 2, 1, 1, 0), "publisher": (3, 3, 0, 0, 0, 0)}
    assert (accounts["published"], accounts["applied"], accounts["in_flight"]) == (18, 14, 1)


def test_chains_out_of_balance_are_named_as_far_as_there_is_room() -> None:
    one = told({"book.aster.BTC-PERP": Balance(10, 9, imbalance=1), "bbo.aster.BTC-PERP": Balance(10, 10)})
    assert (one["imbalance"], one["unbalanced"], one["unbalanced_chains"]) == (1, 1, ["book.aster.BTC-PERP"])
    many = told({f"book.aster.M{number}": Balance(2, 1, imbalance=1) for number in range(50)})
    assert many["unbalanced"] == 50
    assert many["unbalanced_chains"] == sorted(f"book.aster.M{number}" for number in range(50))[:NAMED]
