"""The line of receive statistics."""

from __future__ import annotations

from runner.rxstats import RxStats


def test_the_line_has_the_words_that_analysers_read() -> None:
    stats = RxStats()
    stats.raw = {"delta": 10, "book": 3, "trade": 4, "funding": 1, "bbo": 5, "heartbeat": 2}
    stats.out = {"delta": 9, "book": 3, "trade": 4, "funding": 1, "bbo": 5, "status": 1}
    assert stats.line(7, 2) == (
        "market_rx_stats tick=7 raw_drained=25 raw_l2_delta=10 raw_l2_snapshot=3 raw_trade=4 raw_funding_update=1 "
        "out_market=22 out_l2_delta=9 out_l2_snapshot=3 out_trade=4 out_funding_update=1 other=7 cap_hits=2"
    )


def test_the_next_tick_begins_with_nothing() -> None:
    stats = RxStats()
    stats.raw["delta"] = stats.out["delta"] = 1
    stats.clear()
    assert stats.line(0, 0) == (
        "market_rx_stats tick=0 raw_drained=0 raw_l2_delta=0 raw_l2_snapshot=0 raw_trade=0 raw_funding_update=0 "
        "out_market=0 out_l2_delta=0 out_l2_snapshot=0 out_trade=0 out_funding_update=0 other=0 cap_hits=0"
    )
