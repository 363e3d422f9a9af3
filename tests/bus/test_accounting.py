"""Accounts: what was published is applied, merged, dropped or under way; anything else is an imbalance."""

from __future__ import annotations

from bus.accounting import Balance, Ledger
from bus.events import BusEvent, Heartbeat
from bus.items import Healed, Item, Lost, Message, Why
from bus.wire import Header
from tests.bus import samples


def message(event: BusEvent, seq: int, epoch: int = 1) -> Item:
    return Message(event.kind, "aster", "BTC-PERP", Header(1, "a", epoch, seq, 1, 1, 1), event, 1)


def lost(kind: str, first: int | None, last: int | None, why: Why = Why.HOLE) -> Item:
    count = 0 if first is None or last is None else last - first + 1
    return Lost(kind, "aster", "BTC-PERP", why, first, last, count, 1)


def beat(chains: dict[str, int], epoch: int = 1) -> Item:
    return message(Heartbeat(1, 1, {}, chains, 0.0, 1, 1.0), 1, epoch)


def balance(*items: Item, kind: str = "trade") -> Balance:
    ledger = Ledger()
    for item in items:
        ledger.take(item)
    return ledger.balances()[f"{kind}.aster.BTC-PERP"]


def test_in_order_everything_is_applied() -> None:
    assert balance(*(message(samples.trade(), seq) for seq in (5, 6, 7))) == Balance(published=3, applied=3)


def test_log_events_reported_lost_are_dropped() -> None:
    items = [message(samples.trade(), 1), lost("trade", 2, 3), message(samples.trade(), 4)]
    assert balance(*items) == Balance(published=4, applied=2, dropped=2)


def test_state_reported_lost_is_merged() -> None:
    items = [message(samples.book(), 1), lost("book", 2, 3), message(samples.delta(), 4)]
    assert balance(*items, kind="book") == Balance(published=4, applied=2, merged=2)


def test_what_is_missing_without_a_word_is_an_imbalance() -> None:
    items = [message(samples.trade(), 1), message(samples.trade(), 4)]
    assert balance(*items) == Balance(published=4, applied=2, imbalance=2)
    items = [message(samples.trade(), 1), lost("trade", 3, 3), message(samples.trade(), 4)]
    assert balance(*items) == Balance(published=4, applied=2, dropped=1, imbalance=1)


def test_a_log_event_delivered_twice_is_an_imbalance() -> None:
    assert balance(message(samples.trade(), 1), message(samples.trade(), 1)).imbalance == 1


def test_a_book_told_again_is_none() -> None:
    items = [message(samples.book(), 1), lost("book", 2, 3), message(samples.book(), 2), message(samples.delta(), 3)]
    assert balance(*items, kind="book") == Balance(published=3, applied=1, merged=2)


def test_what_a_heartbeat_claims_and_nobody_has_seen_is_in_flight() -> None:
    first = message(samples.trade(), 1)
    claim = beat({"trade.aster.BTC-PERP": 4, "trade.aster.ETH-PERP": 7, "nonsense": 1})
    assert balance(first, claim) == Balance(published=4, applied=1, in_flight=3)
    assert balance(first, claim, lost("trade", 2, 4)) == Balance(published=4, applied=1, dropped=3)
    assert balance(first, beat({"trade.aster.BTC-PERP": 4}, epoch=2)) == Balance(published=1, applied=1)


def test_a_new_run_begins_a_new_page_and_nothing_of_the_old_is_lost() -> None:
    items = [
        message(samples.trade(), 8),
        beat({"trade.aster.BTC-PERP": 9}),
        lost("trade", None, None, Why.RESTART),
        lost("trade", 1, 2),
        message(samples.trade(), 3, epoch=2),
    ]
    assert balance(*items) == Balance(published=4, applied=2, dropped=2)


def test_a_new_run_is_seen_by_its_epoch_and_by_sequences_that_begin_anew() -> None:
    assert balance(message(samples.stats(), 8), message(samples.stats(), 1, epoch=2), kind="stats") == Balance(
        published=2, applied=2
    )
    items = [message(samples.stats(), 8), lost("stats", 1, 2), message(samples.stats(), 3, epoch=2)]
    assert balance(*items, kind="stats") == Balance(published=4, applied=2, merged=2)


def test_a_loss_of_unknown_extent_and_healing_change_no_account() -> None:
    items = [
        message(samples.book(), 1),
        lost("book", None, None, Why.SILENT),
        Healed("book", "aster", "BTC-PERP", 1, 1),
        message(samples.delta(), 2),
    ]
    assert balance(*items, kind="book") == Balance(published=2, applied=2)


def test_the_total_is_the_sum() -> None:
    ledger = Ledger()
    for item in (message(samples.trade(), 1), message(samples.book(), 1), lost("book", 2, 2)):
        ledger.take(item)
    assert ledger.total() == Balance(published=3, applied=2, merged=1)
