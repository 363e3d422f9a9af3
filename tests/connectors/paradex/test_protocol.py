"""The Paradex protocol: discovery, negotiation, subscriptions, deadlines and remedies, driven in memory."""

from __future__ import annotations

import pytest

from bus.events import Book, Delta, Instrument, Reason, Trust
from connectors.effects import Emit, Fetch, Note, Open, Ping, Refusal, Reply, Send
from tests.connectors.paradex import venue
from tests.connectors.paradex.venue import Driver, S, counted, events, notes, of, reasons, rejects

BIDS, ASKS = [(99.0, 1.0)], [(101.0, 2.0), (102.0, 3.0)]
CHANNEL = "order_book.BTC-USD-PERP.deltas"


@pytest.fixture
def driver() -> Driver:
    return Driver().live()


@pytest.fixture
def young() -> Driver:
    """Started and connected, markets not known yet."""
    driver = Driver()
    driver.start()
    driver.opened()
    return driver


# -- start and discovery


def test_it_connects_and_asks_for_the_markets_at_once() -> None:
    effects = Driver().start()
    assert of(effects, Open) == [Open("main", "wss://ws.api.prod.paradex.trade/v1?sbeSchemaId=1&sbeSchemaVersion=2")]
    assert [(f.name, f.url) for f in of(effects, Fetch)] == [("markets", "https://api.prod.paradex.trade/v1/markets")]


def test_nothing_is_subscribed_before_the_market_is_known_to_be_listed(young: Driver) -> None:
    assert of(young.log, Send) == []
    effects = young.answer("markets", venue.results(venue.row(), venue.row(venue.ETH)))
    assert [event.venue_symbol for event in events(effects, Instrument)] == [venue.BTC, venue.ETH]
    wanted = [kind.format(symbol) for kind in venue.KINDS for symbol in (venue.BTC, venue.ETH)]
    assert [channel for _, channel in young.requests(effects)] == wanted
    assert notes(effects) == ["market_missing"]
    assert {f.market for f in of(effects, Fetch)} == {"BTC-PERP", "ETH-PERP"}


def test_markets_known_before_the_connection_are_subscribed_when_it_opens() -> None:
    driver = Driver(markets=("BTC-PERP",))
    driver.start()
    assert of(driver.answer("markets", venue.results(venue.row())), Send) == []
    assert len(driver.requests(driver.opened())) == 5


def test_a_missing_market_is_looked_for_again_soon_and_then_followed(young: Driver) -> None:
    young.ack_all(young.answer("markets", venue.results(venue.row(), venue.row(venue.ETH))))
    for symbol in (venue.BTC, venue.ETH):
        young.push(venue.snapshot(1, BIDS, ASKS, symbol))
    young.keep(31 * S, "BTC-PERP", "ETH-PERP")
    effects = young.answer("markets", venue.results(*map(venue.row, venue.MARKETS.values())))
    assert [channel for _, channel in young.requests(effects)] == [kind.format(venue.SOL) for kind in venue.KINDS]
    assert len(events(effects, Instrument)) == 1


def test_the_list_is_asked_for_until_it_can_be_used(young: Driver) -> None:
    assert rejects(young.answer("markets", b"<html>busy</html>"))
    young.run(1 * S)
    effects = young.fail("markets", Reply(None, problem="ConnectionError: refused at 0x7f00"))
    assert [note.fields for note in of(effects, Note)] == [{"what": "markets: ConnectionError"}]
    young.run(2 * S)
    young.fail("markets", Reply(503, b"", {"retry-after": "20"}))
    assert [f for f in of(young.run(19 * S), Fetch) if f.name == "markets"] == []
    assert [f for f in of(young.run(2 * S), Fetch) if f.name == "markets"] != []


def test_an_unreadable_row_is_told_and_the_others_are_used(young: Driver) -> None:
    effects = young.answer("markets", venue.results({}, venue.row()))
    assert notes(effects)[0] == "market_rows_unreadable"
    assert len(events(effects, Instrument)) == 1


def test_what_is_noted_once_is_not_noted_again(young: Driver) -> None:
    young.answer("markets", venue.results())
    young.run(31 * S)
    assert notes(young.answer("markets", venue.results())) == []


# -- negotiation


def test_http_400_steps_down_and_up_again() -> None:
    driver = Driver()
    driver.start()
    no = Refusal(Reason.HTTP_STATUS, "HTTP 400", 400)
    effects = driver.do(driver.protocol.refused("main", no, driver.now))
    assert [o.url[-1] for o in of(effects, Open)] == ["1"]
    assert [n.fields for n in of(effects, Note)] == [{"asked": 2, "next": 1}]
    effects = driver.do(driver.protocol.refused("main", no, driver.now))
    assert [o.url[-1] for o in of(effects, Open)] == ["2"]


def test_the_version_in_use_is_told() -> None:
    driver = Driver()
    driver.start()
    driver.do(driver.protocol.refused("main", Refusal(Reason.HTTP_STATUS, "HTTP 400", 400), driver.now))
    assert [n.fields for n in of(driver.opened(), Note)] == [{"version": 1}]


@pytest.mark.parametrize("status", [None, 403, 429, 503])
def test_other_refusals_change_nothing(status: int | None) -> None:
    driver = Driver()
    driver.start()
    assert driver.protocol.refused("main", Refusal(Reason.CONNECT_ERROR, "no", status), driver.now) == []


# -- answers to requests


def test_a_refusal_is_permanent_told_once_and_no_reason_to_reconnect(young: Driver) -> None:
    sent = young.answer("markets", venue.results(*map(venue.row, venue.MARKETS.values())))
    number = next(number for number, channel in young.requests(sent) if channel == "bbo.BTC-USD-PERP")
    effects = young.refuse(number)
    assert [n.event for n in of(effects, Note)] == ["refused"]
    assert "bbo.BTC-USD-PERP" in str(of(effects, Note)[0].fields)
    assert of(effects, Send) == []
    young.ack_all([e for e in sent if isinstance(e, Send) and "bbo.BTC" not in e.text])
    for symbol in venue.MARKETS.values():
        young.push(venue.snapshot(1, BIDS, ASKS, symbol))
    effects = young.keep(60 * S, *venue.MARKETS)
    assert "bbo.BTC-USD-PERP" not in [channel for _, channel in young.requests(effects)]
    young.keep(560 * S, *venue.MARKETS)
    effects = young.answer("markets", venue.results(*map(venue.row, venue.MARKETS.values())))
    assert [channel for _, channel in young.requests(effects)] == ["bbo.BTC-USD-PERP"]


def test_a_refused_book_is_shown_from_rest(young: Driver) -> None:
    sent = young.answer("markets", venue.results(*map(venue.row, venue.MARKETS.values())))
    young.ack_all([e for e in sent if isinstance(e, Send) and CHANNEL not in e.text])
    assert reasons(young.refuse(young.requests(sent)[0][0])) == []
    for symbol in (venue.ETH, venue.SOL):
        young.push(venue.snapshot(1, BIDS, ASKS, symbol))
    young.keep(3 * S, "ETH-PERP", "SOL-PERP")
    (book,) = events(young.answer("book", venue.rest_book(7, BIDS, ASKS), "BTC-PERP"), Book)
    assert book.trust is Trust.REST


def test_a_refusal_of_what_was_once_accepted_is_not_permanent_at_once(driver: Driver) -> None:
    effects = driver.push(venue.book(1_005, [], []))
    again = driver.requests(driver.refuse(driver.requests(effects)[0][0]))
    assert [channel for _, channel in again] == [CHANNEL]
    effects = driver.refuse(again[0][0])
    assert (reasons(effects), driver.requests(effects)) == ([], [])


@pytest.mark.parametrize("code", [-32603, 42901])
def test_a_refusal_that_blames_the_venue_is_transient(young: Driver, code: int) -> None:
    sent = young.answer("markets", venue.results(venue.row()))
    assert reasons(young.refuse(young.requests(sent)[1][0], code)) == []
    assert reasons(young.refuse(young.requests(sent)[0][0], code)) == ["subscribe_error"]


def test_a_refused_unsubscribe_or_nothing_we_asked_is_only_told(driver: Driver) -> None:
    effects = driver.push(venue.book(1_005, [], []))
    refused = driver.refuse(driver.requests(effects, "unsubscribe")[0][0])
    assert (notes(refused), counted(refused)) == (["refused"], {"ignored_frames": 1})
    refused = driver.say({"id": 0, "error": {"code": -32700, "message": "parse error"}})
    assert counted(refused) == {"ignored_frames": 1}


@pytest.mark.parametrize(
    "message",
    [
        {"id": 999, "result": {"channel": CHANNEL}},
        {"id": 1, "result": {"channel": "bbo.BTC-USD-PERP"}},
        {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": "markets", "data": {}}},
        {"id": 1},
    ],
)
def test_text_that_answers_no_request_is_counted_and_told(young: Driver, message: object) -> None:
    young.answer("markets", venue.results(venue.row()))
    effects = young.say(message)
    assert counted(effects)["unknown_frames"] == 1
    assert notes(effects) == ["text_not_understood"]


def test_the_end_of_the_old_subscription_is_not_the_beginning_of_the_new(driver: Driver) -> None:
    effects = driver.push(venue.book(1_005, [], []))
    driver.ack(*driver.requests(effects, "unsubscribe")[0])
    assert counted(driver.push(venue.snapshot(1_006, BIDS, ASKS))) == {"ignored_frames": 1}


def test_text_that_cannot_be_read_is_rejected(driver: Driver) -> None:
    for frame in (b"{", b"\xff", b"[" * 100_000):
        assert len(rejects(driver.say(frame))) == 1
    assert driver.btc.live


def test_many_markets_are_asked_for_a_few_at_a_time() -> None:
    names = tuple(f"C{index}-PERP" for index in range(10))
    driver = Driver(markets=names)
    driver.start()
    driver.opened()
    effects = driver.answer("markets", venue.results(*(venue.row(f"C{i}-USD-PERP") for i in range(10))))
    sent = driver.requests(effects)
    assert len(sent) == 20
    assert len(driver.requests(driver.ack(*sent[0]))) == 1
    assert len(driver.requests(driver.refuse(sent[1][0]))) == 1


# -- deadlines


def test_without_acknowledgements_and_data_the_connection_is_given_up(young: Driver) -> None:
    young.answer("markets", venue.results(*map(venue.row, venue.MARKETS.values())))
    effects = young.run(5 * S, until=reasons)
    assert "ack_timeout" in reasons(effects)


def others_only(young: Driver) -> Driver:
    """ETH and SOL are live; BTC is acknowledged and stays silent."""
    for symbol in (venue.ETH, venue.SOL):
        young.push(venue.snapshot((young.mirrors[f"{symbol[:3]}-PERP"].seq or 0) + 1, BIDS, ASKS, symbol))
    return young


def without_snapshot(driver: Driver, ns: int) -> tuple[list[str], int]:
    """Acknowledge everything and serve no BTC book: the reasons of reconnects, and how often it was asked for."""
    found: list[str] = []
    asked = 0
    for _ in range(ns // S):
        effects = driver.keep(1 * S, "ETH-PERP", "SOL-PERP")
        asked += sum(channel == CHANNEL for _, channel in driver.requests(effects))
        driver.ack_all(effects)
        if reasons(effects):
            found += reasons(effects)
            driver.ack_all(driver.opened())
            others_only(driver)
    return found, asked


def test_an_acknowledged_book_without_snapshot_is_mended_alone_and_rarely_at_the_cost_of_others(young: Driver) -> None:
    young.ack_all(young.answer("markets", venue.results(*map(venue.row, venue.MARKETS.values()))))
    others_only(young)
    assert without_snapshot(young, 13 * S) == ([], 3)
    assert without_snapshot(young, 4 * S)[0] == ["snapshot_timeout"]
    found, asked = without_snapshot(young, 120 * S)
    assert found == []
    assert 10 <= asked <= 30
    assert young.mirrors["ETH-PERP"].live


def test_a_snapshot_that_comes_after_all_is_taken_and_watched_over(young: Driver) -> None:
    young.ack_all(young.answer("markets", venue.results(*map(venue.row, venue.MARKETS.values()))))
    others_only(young)
    without_snapshot(young, 33 * S)
    young.push(venue.snapshot(5, BIDS, ASKS))
    assert young.btc.live
    young.keep(16 * S, "ETH-PERP", "SOL-PERP")
    assert young.btc.trust is Trust.STALE


def test_changes_that_begin_after_a_silence_show_that_the_snapshot_was_lost_in_it(young: Driver) -> None:
    young.ack_all(young.answer("markets", venue.results(*map(venue.row, venue.MARKETS.values()))))
    others_only(young)
    young.keep(2 * S, "ETH-PERP", "SOL-PERP")
    effects = young.push(venue.book(1_001, [], []))
    assert [channel for _, channel in young.requests(effects)] == [CHANNEL]
    assert young.requests(young.push(venue.book(1_002, [], []))) == []
    young.ack_all(effects)
    young.push(venue.snapshot(1_003, BIDS, ASKS))
    assert young.btc.live


def test_changes_before_a_late_snapshot_are_only_early(young: Driver) -> None:
    young.ack_all(young.answer("markets", venue.results(*map(venue.row, venue.MARKETS.values()))))
    others_only(young)
    young.push(venue.book(1_001, [], []))
    young.keep(2 * S, "ETH-PERP", "SOL-PERP")
    assert young.requests(young.push(venue.book(1_002, [], []))) == []


def test_with_nothing_live_a_book_without_snapshot_costs_the_connection() -> None:
    driver = Driver(markets=("BTC-PERP",))
    driver.start()
    driver.opened()
    driver.ack_all(driver.answer("markets", venue.results(venue.row())))
    assert reasons(driver.run(6 * S, until=reasons)) == ["snapshot_timeout"]
    driver.ack_all(driver.opened())
    driver.push(venue.snapshot(1_000, BIDS, ASKS))
    driver.ack_all(driver.push(venue.book(1_005, [], [])))
    assert reasons(driver.run(4 * S, until=reasons)) == ["snapshot_timeout"]


def test_too_many_resyncs_of_one_market_cost_the_connection(driver: Driver) -> None:
    for attempt in range(3):
        effects = driver.push(venue.book(5_000, [], []))
        assert counted(effects)["resyncs"] == 1, attempt
        driver.ack_all(effects)
        driver.push(venue.snapshot(1_000, BIDS, ASKS))
    assert reasons(driver.push(venue.book(5_000, [], []))) == ["seq_gap"]


def test_a_silent_market_is_stale_at_its_threshold_and_subscribed_alone_anew(driver: Driver) -> None:
    driver.keep(14 * S, "ETH-PERP", "SOL-PERP")
    assert driver.btc.live
    effects = driver.run(1 * S)
    assert [(e.market, e.event.trust) for e in of(effects, Emit) if isinstance(e.event, Delta)] == [
        ("BTC-PERP", Trust.STALE)
    ]
    assert [channel for _, channel in driver.requests(effects)] == [CHANNEL]
    assert reasons(effects) == []


def test_a_connection_without_any_frame_is_given_up(driver: Driver) -> None:
    effects = driver.run(16 * S, until=reasons)
    assert "stale_watchdog" in reasons(effects)
    assert {mirror.trust for mirror in driver.mirrors.values()} == {Trust.STALE}


def test_late_figures_are_subscribed_anew_without_touching_the_book(driver: Driver) -> None:
    effects = driver.keep(31 * S, *venue.MARKETS)
    again = [channel for _, channel in driver.requests(effects)]
    assert "markets_summary.BTC-USD-PERP" in again
    assert "funding_data.BTC-USD-PERP" in again
    assert "bbo.BTC-USD-PERP" in again
    assert reasons(effects) == []
    assert driver.btc.live
    assert "stream_late" in notes(effects)


def test_an_unacknowledged_trade_stream_is_asked_for_again(young: Driver) -> None:
    sent = young.answer("markets", venue.results(*map(venue.row, venue.MARKETS.values())))
    young.ack_all([e for e in sent if isinstance(e, Send) and "trades.BTC" not in e.text])
    for symbol in venue.MARKETS.values():
        young.push(venue.snapshot(1, BIDS, ASKS, symbol))
    assert [channel for _, channel in young.requests(young.run(5 * S))] == ["trades.BTC-USD-PERP"]


def test_a_silent_quote_that_is_the_touch_is_only_quiet(driver: Driver) -> None:
    driver.push(venue.bbo(1_000, BIDS[0], ASKS[0]))
    effects = driver.keep(20 * S, *venue.MARKETS)
    assert "bbo.BTC-USD-PERP" not in [channel for _, channel in driver.requests(effects)]
    assert driver.btc.quote is not None
    assert driver.btc.quote.trust is Trust.LIVE


def test_a_silent_quote_that_the_book_has_left_is_stale(driver: Driver) -> None:
    driver.push(venue.bbo(1_000, BIDS[0], ASKS[0]), venue.book(1_001, [(99.5, 1.0)], []))
    effects = driver.keep(16 * S, *venue.MARKETS)
    assert "bbo.BTC-USD-PERP" in [channel for _, channel in driver.requests(effects)]
    assert driver.btc.quote is not None
    assert driver.btc.quote.trust is Trust.STALE
    assert driver.btc.live


def test_it_pings_and_gives_up_without_a_pong(driver: Driver) -> None:
    effects = driver.keep(61 * S, *venue.MARKETS)
    assert of(effects, Ping) == [Ping("main")] * 4
    assert reasons(effects) == []
    driver.pongs = False
    effects = driver.keep(36 * S, *venue.MARKETS)
    assert reasons(effects) == ["pong_timeout"]
