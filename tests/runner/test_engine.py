"""The core: what events do to ages, trust, counts and states."""

from __future__ import annotations

import pytest

from bus.events import (
    Check,
    Funding,
    Gap,
    Instrument,
    Process,
    Reason,
    Reconnect,
    Side,
    State,
    Stats,
    Telemetry,
    Trade,
    Trust,
)
from bus.items import Healed, Lost, Message, TrustChanged, Why
from runner.audit import text
from tests.runner.samples import (
    MARKET,
    MONO,
    MS,
    WALL,
    S,
    bbo,
    book,
    delta,
    engine,
    header,
    heartbeat,
    message,
    status,
)

TRADE = Trade(WALL, "1", Side.BUY, 100.0, 1.0, history=False)
FUNDING = Funding(WALL, 0.0000125, "0.0001", 8.0, settled=False)
STATS = Stats(WALL, 100.0, 100.1, None)
CHECK = Check("bbo", 10, 1, 0.0001, WALL)
INSTRUMENT = Instrument("BTCUSDT", "0.1", "0.001", "USDT")


@pytest.mark.parametrize("event", [book(), delta(), bbo(), book(Trust.REST)], ids=["book", "delta", "bbo", "rest"])
def test_a_usable_book_or_quote_makes_its_market_and_venue_fresh(event: object) -> None:
    runner = engine()
    assert isinstance(event, type(book()) | type(delta()) | type(bbo()))
    runner.took(message(event, MONO + S))
    runner.tick(MONO + 2 * S, WALL + 2 * S)
    venue = runner.venues["aster"]
    assert venue.aging.age_ms == venue.markets[MARKET].aging.age_ms == 1_000
    assert (venue.aging.event_age_ms, venue.markets["ETH-PERP"].aging.age_ms) == (2_000, None)
    assert runner.venues["hyperliquid"].aging.age_ms is None


@pytest.mark.parametrize("trust", [Trust.STALE, Trust.RESYNC])
def test_a_book_that_must_not_be_used_does_not_refresh(trust: Trust) -> None:
    runner = engine()
    runner.took(message(book(), MONO))
    runner.took(message(delta(trust), MONO + S))
    runner.tick(MONO + 2 * S, WALL + 2 * S)
    assert runner.venues["aster"].aging.age_ms == 2_000
    assert runner.venues["aster"].markets[MARKET].book_trust is trust


@pytest.mark.parametrize("event", [TRADE, FUNDING, STATS, CHECK, INSTRUMENT, heartbeat()], ids=lambda event: event.kind)
def test_nothing_else_refreshes(event: object) -> None:
    runner = engine()
    assert isinstance(event, Trade | Funding | Stats | Check | Instrument | type(heartbeat()))
    runner.took(message(event))
    runner.tick(MONO + S, WALL + S)
    assert runner.venues["aster"].aging.age_ms is None
    assert runner.venues["aster"].aging.silent_ms == 1_000


def test_replayed_state_is_late_and_as_old_as_it_is() -> None:
    runner = engine()
    runner.took(message(book(), MONO - 60 * S, took_ns=60 * S))
    runner.tick(MONO, WALL)
    venue = runner.venues["aster"]
    assert (venue.aging.age_ms, venue.late) == (60_000, 1)
    assert venue.hops.windows()["socket_to_apply"] is None
    assert venue.skew.lowest_ms() is None


def test_from_another_host_an_age_is_judged_by_the_wall_clock_and_no_hop_is_measured() -> None:
    runner = engine(same_host=False)
    other = header(MONO - 10**15, wall_offset=WALL - MONO + 10**15)
    runner.took(Message("book", "aster", MARKET, other, book(), MONO + 500 * MS))
    runner.tick(MONO + 500 * MS, WALL + 500 * MS)
    venue = runner.venues["aster"]
    assert (venue.aging.age_ms, venue.late) == (0, 0)
    assert venue.hops.windows()["socket_to_apply"] is None
    assert venue.skew.lowest_ms() == 0


def test_hops_and_skew_are_measured() -> None:
    runner = engine()
    runner.took(message(book(venue_ns=WALL + 5 * MS)))
    runner.took(message(book(venue_ns=None)))
    runner.tick(MONO, WALL)
    venue = runner.venues["aster"]
    assert venue.skew.lowest_ms() == -5
    total = venue.hops.windows()["socket_to_apply"]
    assert total is not None
    assert (total.p50, total.n) == (200, 2)


def test_a_step_of_the_wall_clock_moves_only_the_event_age_and_is_marked() -> None:
    runner = engine()
    runner.tick(MONO, WALL)
    runner.took(message(book(), MONO))
    runner.tick(MONO + S, WALL + S)
    before = runner.venues["aster"].aging
    assert (before.age_ms, before.event_age_ms) == (1_000, 1_000)
    assert runner.tick(MONO + 2 * S, WALL + 3_602 * S) is True
    after = runner.venues["aster"].aging
    assert (after.age_ms, after.event_age_ms) == (2_000, 3_602_000)
    assert (runner.steps.count, runner.steps.last_step_ms) == (1, 3_600_000)
    assert runner.venues["aster"].skew.lowest_ms() is None


def test_events_of_unknown_venues_and_markets_are_counted_and_ignored() -> None:
    runner = engine()
    for event in (book(), TRADE, status(State.LIVE), Reconnect("main", Reason.DRIFT, 1, "", 0)):
        runner.took(message(event, venue="elsewhere"))
    runner.took(message(book(), market="DOGE-PERP"))
    runner.took(message(TRADE, market="DOGE-PERP"))
    runner.took(message(status(State.LIVE), market="DOGE-PERP"))
    runner.took(TrustChanged("book", "aster", "DOGE-PERP", trusted=True, trust=Trust.LIVE, rebuild=1, at_ns=0))
    assert runner.unexpected == {"book": 2, "trade": 2, "status": 2, "reconnect": 1, "trust": 1}
    runner.tick(MONO, WALL)
    assert runner.venues["aster"].aging.age_ms is None


def test_what_is_received_and_what_is_applied_are_counted_apart() -> None:
    runner = engine()
    for event in (book(), delta(), delta(), bbo(), TRADE, FUNDING, heartbeat()):
        runner.took(message(event))
    runner.took(message(delta(), market="DOGE-PERP"))
    assert runner.rx.line(0, 0) == (
        "market_rx_stats tick=0 raw_drained=8 raw_l2_delta=3 raw_l2_snapshot=1 raw_trade=1 raw_funding_update=1 "
        "out_market=6 out_l2_delta=2 out_l2_snapshot=1 out_trade=1 out_funding_update=1 other=2 cap_hits=0"
    )
    assert runner.venues["aster"].rates.counts == {"book": 1, "delta": 2, "bbo": 1, "trade": 1, "funding": 1}


def test_the_latest_of_each_kind_is_kept_for_its_market() -> None:
    runner = engine()
    for event in (book(rebuild=7), FUNDING, STATS, CHECK, INSTRUMENT, TRADE):
        runner.took(message(event))
    view = runner.venues["aster"].markets[MARKET]
    assert (view.funding, view.stats, view.check, view.instrument) == (FUNDING, STATS, CHECK, INSTRUMENT)
    assert view.rebuild == 7


def test_prices_come_from_the_quote_stream_and_from_whole_books_where_there_is_none() -> None:
    runner = engine()
    view = runner.venues["aster"].markets[MARKET]
    runner.took(message(book()))
    assert (view.bid, view.ask) == ((100.0, 1.0), (101.0, 3.0))
    runner.took(message(bbo()))
    assert (view.bid, view.ask) == ((100.5, 1.5), None)
    runner.took(message(book()))
    assert view.bid == (100.5, 1.5)


def test_an_empty_side_of_a_whole_book_has_no_price() -> None:
    runner = engine()
    empty = type(book())(WALL, 1, Trust.LIVE, 1, book().source, [], [], [], [])
    runner.took(message(empty))
    view = runner.venues["aster"].markets[MARKET]
    assert (view.bid, view.ask) == (None, None)


def test_trust_is_what_the_client_says() -> None:
    runner = engine()
    view = runner.venues["aster"].markets[MARKET]
    runner.took(message(book()))
    assert not view.trusted
    for kind in ("book", "bbo"):
        runner.took(TrustChanged(kind, "aster", MARKET, trusted=True, trust=Trust.LIVE, rebuild=1, at_ns=MONO))
    assert (view.trusted, view.quote_trusted) == (True, True)
    runner.took(TrustChanged("book", "aster", MARKET, trusted=False, trust=Trust.STALE, rebuild=1, at_ns=MONO))
    assert (view.trusted, view.quote_trusted) == (False, True)


def test_a_lost_book_is_healing_until_it_is_healed() -> None:
    runner = engine()
    view = runner.venues["aster"].markets[MARKET]
    runner.took(Lost("trade", "aster", MARKET, Why.HOLE, 1, 2, 2, MONO))
    assert not view.healing
    runner.took(Lost("book", "aster", MARKET, Why.HOLE, 1, 2, 2, MONO))
    assert view.healing
    runner.took(Healed("book", "aster", MARKET, MONO, 20 * MS))
    assert not view.healing
    assert runner.losses.by_venue() == {"aster": {"hole": 4}}
    assert runner.losses.heals == 1


def test_states_are_kept_for_the_venue_and_each_market() -> None:
    runner = engine()
    runner.took(message(status(State.CONNECTING), market="-"))
    runner.took(message(status(State.LIVE)))
    venue = runner.venues["aster"]
    assert (venue.state.state, venue.markets[MARKET].state.state) == (State.CONNECTING, State.LIVE)
    assert venue.markets["ETH-PERP"].state.state is None


def test_reconnects_are_counted_by_venue_and_reason_over_restarts() -> None:
    runner = engine()
    runner.took(message(Reconnect("main", Reason.SEQ_GAP, 2, "gap", 250), market="-"))
    assert runner.reconnects() == {"hyperliquid": {}, "aster": {"seq_gap": 2}}
    second = Message("heartbeat", "aster", "-", header(epoch=2), heartbeat({"reconnect.seq_gap": 1}), MONO)
    runner.took(second)
    other_line = Message("heartbeat", "aster", "-", header(line="b"), heartbeat({"reconnect.drift": 1}), MONO)
    runner.took(other_line)
    assert runner.reconnects()["aster"] == {"seq_gap": 3, "drift": 1}
    last = runner.venues["aster"].last_reconnect
    assert last is not None
    assert last[0].detail == "gap"


def test_reconnects_and_pressure_are_audited() -> None:
    runner = engine()
    runner.took(message(Reconnect("main", Reason.SEQ_GAP, 2, "gap", 250), market="-"))
    runner.took(message(heartbeat({"mp_try_send_full_count": 3}), venue="publisher", market="-"))
    runner.took(message(heartbeat({"mp_try_send_full_count": 4}), venue="hyperliquid", market="-"))
    assert [text(fields) for fields in runner.audit(MONO)] == [
        "WS_AUDIT venue=aster reconnect_reason=seq_gap count=2",
        "WS_AUDIT component=market_publisher mp_try_send_full_count=7",
    ]


def test_announced_gaps_are_counted_with_their_events() -> None:
    runner = engine()
    runner.took(message(Gap(f"trade.aster.{MARKET}", 1, 9, 9, "buffer_full")))
    runner.took(message(Gap(f"trade.aster.{MARKET}", 12, 12, 1, "buffer_full")))
    assert (runner.gaps, runner.gap_events) == (2, 10)


def test_the_sentinel_s_word_reaches_the_process_and_telemetry_of_others_is_nothing() -> None:
    runner = engine()
    runner.took(message(Process("connectors:aster", "started", 7, "", None, 20), venue="connectors:aster", market="-"))
    runner.took(message(Telemetry({}), venue="runner", market="-"))
    told = runner.processes.told(MONO, WALL)["aster"]
    assert isinstance(told, dict)
    assert told["last_action"] == "started"
    assert runner.unexpected == {}


def test_a_venue_whose_connector_is_dead_is_down_at_the_next_tick_with_all_its_markets() -> None:
    runner = engine()
    runner.took(message(heartbeat(), market="-"))
    runner.took(message(status(State.LIVE), market="-"))
    runner.took(message(status(State.LIVE)))
    killed = Process("connectors:aster", "exited", 42, "terminated by SIGKILL", 1_000, None)
    runner.took(message(killed, venue="sentinel", market="-"))
    runner.tick(MONO + S, WALL + S)
    venue = runner.venues["aster"]
    for known in (venue.state, venue.markets[MARKET].state):
        assert known.last is not None
        assert (known.last.state, known.last.reason) == (State.DOWN, "process_exited")
    assert runner.venues["hyperliquid"].state.state is None
    runner.took(message(heartbeat(pid=43), MONO + 2 * S, market="-"))
    runner.tick(MONO + 2 * S, WALL + 2 * S)
    assert venue.state.state is State.LIVE


def test_the_sentinel_is_judged_by_the_heartbeats_of_the_bus() -> None:
    runner = engine()
    for second in range(20):
        now = MONO + second * S
        runner.took(message(heartbeat(), now, venue="publisher", market="-"))
        if second < 3:
            runner.took(message(heartbeat(pid=7), now, venue="sentinel", market="-"))
        hung = [runner.warden.due(now + quarter * 250 * MS) for quarter in range(4)]
        if any(hung):
            assert hung.count(7) == 1
            assert second in {7, 8}
            return
    pytest.fail("never found")
