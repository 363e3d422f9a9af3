"""The telemetry object: formats that others read, nulls that stay nulls, and its size."""

from __future__ import annotations

import msgspec
import pytest

from bus.events import Check, Funding, Reason, Reconnect, Source, State, Stats, Trust
from bus.items import TrustChanged
from runner.engine import Engine, Plan, Watched
from runner.hops import BOUNDS_US
from runner.view import PARTS, Body, body, market_detail, parts_due, system, venue_detail
from tests.runner.samples import MARKET, MONO, MS, WALL, S, bbo, book, delta, engine, heartbeat, message, status

VENUES = ("hyperliquid", "paradex", "lighter", "extended", "aster")
MARKETS = ("BTC-PERP", "ETH-PERP", "SOL-PERP")


def part(value: object, *keys: str) -> Body:
    """A nested part of the object."""
    for key in keys:
        assert isinstance(value, dict)
        value = value[key]
    assert isinstance(value, dict)
    return value


def test_the_arrays_are_in_venue_order_and_the_order_is_named() -> None:
    runner = engine()
    runner.took(message(book(), MONO))
    runner.tick(MONO + 250 * MS, WALL + 250 * MS)
    told = body(runner, MONO + 250 * MS, WALL + 250 * MS)
    assert told["t"] == 0
    assert told["venue_age_ms"] == [None, 250]
    assert told["venue_age_event_ms"] == [None, 250]
    assert told["treasury_guidance"] == {
        "as_of_ms": (WALL + 250 * MS) // MS,
        "venues": [{"venue_index": 0, "venue_id": "hyperliquid"}, {"venue_index": 1, "venue_id": "aster"}],
    }


def test_a_venue_that_never_spoke_is_null_and_its_silence_is_told() -> None:
    runner = engine()
    runner.tick(MONO + 3 * S, WALL + 3 * S)
    told = part(body(runner, MONO + 3 * S, WALL + 3 * S), "venues", "aster")
    assert {key: told[key] for key in told if key != "markets"} == {
        "age_ms": None,
        "age_event_ms": None,
        "silent_ms": 3_000,
        "fresh": False,
        "state": None,
        "since_ms": None,
        "reason": None,
        "trusted": False,
        "skew_ms": None,
    }
    assert part(told, "markets", MARKET) == {
        "age_ms": None,
        "age_event_ms": None,
        "silent_ms": 3_000,
        "fresh": False,
        "state": None,
        "trust": None,
        "trusted": False,
    }


def test_a_venue_is_fresh_up_to_its_threshold_and_trusted_when_every_market_is() -> None:
    runner = engine()
    runner.took(message(book(), MONO))
    runner.took(message(status(State.LIVE), market="-"))
    runner.took(TrustChanged("book", "aster", MARKET, trusted=True, trust=Trust.LIVE, rebuild=1, at_ns=MONO))
    runner.took(message(heartbeat(), MONO + 10 * S, market="-"))
    runner.tick(MONO + 10 * S, WALL + 10 * S)
    venue = part(body(runner, MONO, WALL), "venues", "aster")
    assert (venue["fresh"], venue["trusted"], venue["state"], venue["reason"]) == (True, False, "live", "snapshot")
    assert venue["since_ms"] == WALL // MS
    assert part(venue, "markets", MARKET)["trusted"] is True
    runner.tick(MONO + 10_001 * MS, WALL + 10_001 * MS)
    assert part(body(runner, MONO, WALL), "venues", "aster")["fresh"] is False


@pytest.mark.parametrize(("tick_ms", "period"), [(250, 4), (500, 2), (1_000, 1), (5_000, 1), (10, 100)])
def test_every_part_is_told_once_a_second(tick_ms: int, period: int) -> None:
    told = [part for tick in range(period) for part in parts_due(tick, tick_ms)]
    assert sorted(told) == sorted(PARTS)
    assert parts_due(period, tick_ms) == parts_due(0, tick_ms)


def test_the_parts_are_spread_over_the_ticks_of_a_second() -> None:
    assert [sorted(parts_due(tick, 250)) for tick in range(4)] == [["venue_detail"], ["market_detail"], ["system"], []]


def test_unknown_details_are_null() -> None:
    runner = engine()
    runner.tick(MONO, WALL)
    venue = part(venue_detail(runner, MONO), "aster")
    assert venue["age"] == venue["age_event"] == {"window": None, "run": None}
    assert (venue["last_reconnect"], venue["reconnects"], venue["events"]) == (None, {}, {})
    market = part(market_detail(runner, MONO, WALL), "aster", MARKET)
    unknown = ("since_ms", "reason", "rebuild", "bid", "ask", "funding", "stats", "check")
    assert [market[key] for key in unknown] == [None] * len(unknown)


def test_details_of_a_market_and_its_venue() -> None:
    runner = engine()
    for event in (
        book(rebuild=4),
        status(State.LIVE),
        Funding(WALL, 0.0000125, "0.0001", 8.0, settled=False, next_ns=WALL + S),
        Stats(WALL, 100.0, None, 5.0),
        Check("bbo", 10, 1, 0.0001, WALL - 2 * S),
    ):
        runner.took(message(event))
    runner.took(message(Reconnect("main", Reason.DRIFT, 1, "7 s behind", 250), market="-"))
    runner.tick(MONO + S, WALL + S)
    market = part(market_detail(runner, MONO + S, WALL), "aster", MARKET)
    assert (market["rebuild"], market["bid"], market["ask"]) == (4, (100.0, 1.0), (101.0, 3.0))
    assert market["funding"] == {"rate_hourly": 0.0000125, "settled": False, "next_ms": (WALL + S) // MS}
    assert market["stats"] == {"mark": 100.0, "index": None, "open_interest": 5.0}
    assert market["check"] == {"against": "bbo", "compared": 10, "diverged": 1, "divergence": 0.0001, "for_ms": 2_000}
    assert (market["since_ms"], market["reason"], market["healing"]) == (WALL // MS, "snapshot", False)
    assert market["age"] == {"window": [1_000, 1_000, 1_000, 1_000, 1], "run": [1_000, 1_000, 1_000, 1_000, 1]}
    assert market["plateaus"] == {"10000": [0, 0, 0, False], "30000": [0, 0, 0, False]}
    venue = part(venue_detail(runner, MONO + S), "aster")
    assert venue["last_reconnect"] == {
        "at_ms": WALL // MS,
        "reason": "drift",
        "connection": "main",
        "detail": "7 s behind",
    }
    assert venue["reconnects"] == {"drift": 1}
    assert venue["events"] == {"book": 1, "status": 1, "funding": 1, "stats": 1, "check": 1, "reconnect": 1}
    hops = part(venue, "hops_us")
    assert part(hops, "window")["socket_to_apply"] == [200, 200, 200, 200, 1]
    assert hops["bounds"] == BOUNDS_US
    assert part(hops, "counts")["socket_to_apply"] == [int(bound == 200) for bound in (*BOUNDS_US, None)]
    assert part(hops, "sums") == {"socket_to_publish": 50, "publish_to_apply": 150, "socket_to_apply": 200}


def test_what_has_no_next_settlement_or_no_divergence_says_so() -> None:
    runner = engine()
    runner.took(message(Funding(WALL, 0.0000125, "0.0001", 8.0, settled=True)))
    runner.took(message(Check("bbo", 10, 0, 0.0, None)))
    market = part(market_detail(runner, MONO, WALL), "aster", MARKET)
    assert part(market, "funding")["next_ms"] is None
    assert part(market, "check")["for_ms"] is None


def test_the_system_part_joins_what_the_engine_and_its_surroundings_know() -> None:
    runner = engine()
    runner.took(message(heartbeat({"mp_lossless_wait_count": 3}), venue="publisher", market="-"))
    told = system(runner, MONO, WALL, {"missed_ticks": 2})
    delivery = part(told, "delivery")
    assert part(delivery, "accounts")["published"] == 1
    assert {key: delivery[key] for key in delivery if key != "accounts"} == {
        "pressure": {"mp_try_send_full_count": 0, "mp_pending_latest_replaced_count": 0, "mp_lossless_wait_count": 3},
        "gaps": 0,
        "gap_events": 0,
        "lost": {},
        "heals": 0,
        "slowest_heal_ms": None,
    }
    assert part(told, "runner")["missed_ticks"] == 2
    assert list(part(told, "processes")) == ["hyperliquid", "aster", "publisher"]


def busy() -> Engine:
    """Five venues of three markets with everything that can be told of them, after some minutes."""
    names = (*VENUES, "publisher", "runner", "sentinel", "dashboard")
    runner = Engine(
        Plan(tuple(Watched(v, MARKETS, 10_000) for v in VENUES), names, 250, 60, same_host=True), MONO, WALL
    )
    for tick in range(1, 300):
        now = MONO + tick * 250 * MS
        for venue in VENUES:
            for market in MARKETS:
                for event in (
                    delta(venue_ns=WALL + tick * 250 * MS - 54_321_000),
                    bbo(),
                    book(Trust.RESYNC, rebuild=1_234),
                    Funding(WALL, 0.00001234567891, "0.0001", 8.0, settled=False, next_ns=WALL + S),
                    Stats(WALL, 123456.789, 123456.123, 1234567.123),
                    Check("bbo", 1_234_567, 1_234, 0.00012345678, WALL),
                    status(State.RECOVERING, WALL + tick),
                ):
                    runner.took(message(event, now, venue=venue, market=market, took_ns=123_456_789))
            for number, reason in enumerate(Reason):
                runner.took(message(Reconnect("main", reason, number + 100, "x" * 60, 250), venue=venue, market="-"))
        for name in names:
            runner.took(message(heartbeat(cpu_s=tick / 8), now, venue=name, market="-"))
        runner.tick(now, WALL + tick * 250 * MS)
    return runner


def test_a_line_of_five_venues_with_three_markets_stays_below_16_kilobytes_and_the_last_below_18() -> None:
    runner = busy()
    every = body(runner, MONO, WALL)
    parts = [
        {"venue_detail": venue_detail(runner, MONO + S)},
        {"market_detail": market_detail(runner, MONO, WALL)},
        {"system": system(runner, MONO, WALL, {"x": "y" * 500})},
    ]
    sizes = [len(msgspec.json.encode({**every, **one})) for one in parts]
    assert max(sizes) < 16_000
    last = len(msgspec.json.encode({**every, **parts[0], **parts[2]}))
    assert last < 18_000


def test_a_book_whose_quote_came_by_rest_is_told_like_any_other() -> None:
    runner = engine()
    quote = type(bbo())(WALL, 1, Trust.REST, 1, Source.REST, 1.0, 2.0, 3.0, 4.0)
    runner.took(message(quote))
    assert part(market_detail(runner, MONO, WALL), "aster", MARKET)["ask"] == (3.0, 4.0)
