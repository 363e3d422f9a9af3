"""Mark, index, open interest and funding."""

from decimal import Decimal
from random import Random

from simulator.stats import BASELINE, Stats, day_volume, first_stats, price_of, settled, step_funding, step_stats
from simulator.truth import MarketSpec, Truth

SPEC = MarketSpec("BTC-PERP", "BTC", "BTC", 1, 10, 5, 84_000, 10_000, 20)


def made() -> tuple[Stats, Truth, Random]:
    rng = Random(3)
    truth = Truth(SPEC, rng, seq=1, now_us=0)
    return first_stats(truth, rng), truth, rng


def test_the_price_lies_between_the_highest_bid_and_lowest_ask() -> None:
    _, truth, _ = made()
    truth.mid = 84_000
    assert price_of(truth) == Decimal("84000.5")


def test_mark_and_index_stay_near_the_book_and_move() -> None:
    stats, truth, rng = made()
    seen = set()
    for _ in range(100):
        step_stats(stats, truth, rng)
        seen.add((stats.mark, stats.index, stats.open_interest))
        assert abs(stats.mark / price_of(truth) - 1) < Decimal("0.001")
        assert abs(stats.index / price_of(truth) - 1) < Decimal("0.001")
        assert stats.open_interest > 0
    assert len(seen) > 50


def test_the_funding_estimate_moves_around_its_baseline() -> None:
    stats, _, rng = made()
    rates = []
    for _ in range(500):
        step_funding(stats, rng)
        rates.append(stats.funding)
    assert len(set(rates)) > 100
    assert all(abs(rate - BASELINE) < Decimal("0.00005") for rate in rates)


def test_settled_rates_are_fixed_by_seed_market_and_hour() -> None:
    rates = [settled(1, "BTC-PERP", hour) for hour in range(200)]
    assert rates == [settled(1, "BTC-PERP", hour) for hour in range(200)]
    assert rates != [settled(2, "BTC-PERP", hour) for hour in range(200)]
    assert min(rates) < 0 < max(rates)


def test_the_day_volume_grows_with_trades() -> None:
    stats, truth, _ = made()
    before = day_volume(stats, truth)
    truth.volume += 150_000
    assert day_volume(stats, truth) - before == Decimal("1.5")
