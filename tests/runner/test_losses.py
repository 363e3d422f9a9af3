"""What did not arrive."""

from __future__ import annotations

from bus.items import Healed, Lost, Why
from runner.losses import MAX_SENDERS, Losses


def lost(venue: str, why: Why, count: int) -> Lost:
    return Lost("book", venue, "BTC-PERP", why, 1, count, count, 0)


def test_losses_are_counted_by_sender_and_cause() -> None:
    losses = Losses()
    for item in (lost("aster", Why.HOLE, 5), lost("aster", Why.HOLE, 2), lost("paradex", Why.TAIL, 1)):
        losses.lost(item)
    assert losses.by_venue() == {"aster": {"hole": 7}, "paradex": {"tail": 1}}


def test_a_loss_of_unknown_extent_counts_as_one() -> None:
    losses = Losses()
    losses.lost(Lost("book", "aster", "BTC-PERP", Why.RECONNECT, None, None, 0, 0))
    assert losses.by_venue() == {"aster": {"reconnect": 1}}


def test_the_slowest_healing_is_remembered() -> None:
    assert Losses().slowest_heal_ms is None
    losses = Losses()
    for after in (30, 200, 10):
        losses.healed(Healed("book", "aster", "BTC-PERP", 0, after * 1_000_000))
    assert (losses.heals, losses.slowest_heal_ms) == (3, 200)


def test_senders_without_end_are_counted_together() -> None:
    losses = Losses()
    for number in range(MAX_SENDERS + 20):
        losses.lost(lost(f"s{number}", Why.BAD, 1))
    counted = losses.by_venue()
    assert len(counted) == MAX_SENDERS + 1
    assert counted["other"] == {"bad": 20}
