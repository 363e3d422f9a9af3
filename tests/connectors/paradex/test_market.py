"""A Paradex market keeps its book by its sequence, and anything that contradicts it is noticed and mended."""

from __future__ import annotations

import pytest

from bus.errors import VenueError
from bus.events import Bbo, Book, Check, Delta, Funding, Instrument, Source, Stats, Trade, Trust
from connectors.effects import Effects, Send
from connectors.paradex.book import divergence
from connectors.paradex.market import Market, find, untradable
from connectors.paradex.messages import MarketRow
from tests.connectors.paradex import venue
from tests.connectors.paradex.venue import MS, Driver, S, counted, events, notes, of, reasons, rejects

BIDS, ASKS = [(99.0, 1.0)], [(101.0, 2.0), (102.0, 3.0)]


@pytest.fixture
def driver() -> Driver:
    return Driver().live()


def resynced(driver: Driver, effects: Effects, seq: int) -> Effects:
    """Acknowledge the subscription made anew, and serve its snapshot."""
    return driver.ack_all(effects) + driver.push(venue.snapshot(seq, BIDS, ASKS))


# -- book


def test_a_snapshot_is_the_whole_book() -> None:
    driver = Driver()
    driver.start()
    driver.opened()
    driver.answer("markets", venue.results(venue.row()))
    (book,) = events(driver.push(venue.snapshot(1_000, BIDS, ASKS)), Book)
    assert (book.trust, book.rebuild, book.source, book.venue_seq, book.depth) == (
        Trust.LIVE,
        1,
        Source.STREAM,
        1_000,
        None,
    )
    assert (book.bid_px, book.bid_sz, book.ask_px, book.ask_sz) == ([99.0], [1.0], [101.0, 102.0], [2.0, 3.0])
    assert book.venue_ns == 1_790_000_000_000_000_000


def test_deltas_set_and_remove_levels_in_any_order(driver: Driver) -> None:
    driver.push(venue.book(1_001, [(98.0, 4.0), (99.0, 0.0), (98.5, 1.5)], [(101.0, 7.0)]))
    assert driver.btc.sides() == ([(98.5, 1.5), (98.0, 4.0)], [(101.0, 7.0), (102.0, 3.0)])
    assert driver.btc.seq == 1_001


def test_an_empty_delta_is_a_step_too(driver: Driver) -> None:
    (delta,) = events(driver.push(venue.book(1_001, [], [])), Delta)
    assert (delta.trust, delta.venue_seq, delta.bid_px) == (Trust.LIVE, 1_001, [])
    assert driver.push(venue.book(1_002, [(99.0, 2.0)], []))
    assert driver.btc.live


def test_a_side_may_run_empty(driver: Driver) -> None:
    driver.push(venue.book(1_001, [], [(101.0, 0.0), (102.0, 0.0)]))
    assert driver.btc.live
    assert driver.btc.sides() == (BIDS, [])


def test_deltas_before_the_snapshot_are_ignored() -> None:
    driver = Driver()
    driver.start()
    driver.opened()
    driver.answer("markets", venue.results(venue.row()))
    assert counted(driver.push(venue.book(999, [], []))) == {"ignored_frames": 1}


def test_a_gap_invalidates_first_and_then_subscribes_that_book_alone_anew(driver: Driver) -> None:
    effects = driver.push(venue.book(1_002, [(98.0, 1.0)], []))
    assert counted(effects) == {"seq_gaps": 1, "resyncs": 1}
    (gone,) = events(effects, Delta)
    assert gone.trust is Trust.RESYNC
    assert effects.index(next(e for e in effects if isinstance(e, Send))) > [type(e).__name__ for e in effects].index(
        "Emit"
    )
    channel = "order_book.BTC-USD-PERP.deltas"
    assert [c for _, c in driver.requests(effects, "unsubscribe")] == [channel]
    assert [c for _, c in driver.requests(effects)] == [channel]
    assert reasons(effects) == []
    assert driver.mirrors["ETH-PERP"].live
    (book,) = events(resynced(driver, effects, 1_010), Book)
    assert (book.trust, book.rebuild) == (Trust.LIVE, 2)
    driver.push(venue.book(1_011, [(98.0, 1.0)], []))
    assert driver.btc.sides() == ([(99.0, 1.0), (98.0, 1.0)], ASKS)


def test_nothing_is_applied_between_a_gap_and_the_snapshot_after_the_new_acknowledgement(driver: Driver) -> None:
    effects = driver.push(venue.book(1_002, [(98.0, 1.0)], []))
    straggler = driver.push(venue.snapshot(1_003, [(50.0, 1.0)], []), venue.book(1_004, [], []))
    assert counted(straggler) == {"ignored_frames": 2}
    assert not driver.btc.live
    driver.ack_all(effects)
    assert counted(driver.push(venue.book(1_005, [], []))) == {"ignored_frames": 1}
    driver.push(venue.snapshot(1_005, BIDS, ASKS))
    assert driver.btc.live


def test_the_same_frame_again_is_dropped_and_counted(driver: Driver) -> None:
    frame = venue.book(1_001, [(98.0, 1.0)], [])
    driver.push(frame)
    assert counted(driver.push(frame)) == {"duplicates": 1}
    assert driver.btc.live


@pytest.mark.parametrize("again", [venue.book(1_001, [(98.0, 2.0)], []), venue.book(1_000, [], [])])
def test_another_frame_of_a_past_step_is_a_break(driver: Driver, again: bytes) -> None:
    driver.push(venue.book(1_001, [(98.0, 1.0)], []))
    assert counted(driver.push(again)) == {"seq_gaps": 1, "resyncs": 1}
    assert not driver.btc.live


def test_a_snapshot_in_mid_stream_continues_the_rebuild(driver: Driver) -> None:
    (book,) = events(driver.push(venue.snapshot(1_005, [(98.0, 1.0)], ASKS)), Book)
    assert (book.rebuild, book.trust) == (1, Trust.LIVE)
    driver.push(venue.book(1_006, [(97.0, 1.0)], []))
    assert driver.btc.sides() == ([(98.0, 1.0), (97.0, 1.0)], ASKS)


def test_a_snapshot_of_the_past_is_a_break_and_the_same_one_a_duplicate(driver: Driver) -> None:
    frame = venue.snapshot(1_001, BIDS, ASKS)
    driver.push(frame)
    assert counted(driver.push(frame)) == {"duplicates": 1}
    assert counted(driver.push(venue.snapshot(999, BIDS, ASKS))) == {"seq_gaps": 1, "resyncs": 1}


def test_after_a_rebuild_a_lower_sequence_is_accepted(driver: Driver) -> None:
    driver.push(venue.bbo(1_000, BIDS[0], ASKS[0]))
    resynced(driver, driver.push(venue.book(7, [], [])), 5)
    driver.push(venue.book(6, [], []), venue.bbo(6, BIDS[0], ASKS[0]))
    assert driver.btc.live
    assert driver.btc.quote is not None
    assert driver.btc.quote.venue_seq == 6


@pytest.mark.parametrize(
    "frame",
    [
        venue.book(1_001, [(101.0, 1.0)], []),
        venue.book(1_001, [], [(99.0, 1.0)]),
        venue.snapshot(1_001, [(9.0, 1.0)], [(8.0, 1.0)]),
    ],
)
def test_a_crossed_or_locked_book_is_never_published(driver: Driver, frame: bytes) -> None:
    effects = driver.push(frame)
    assert counted(effects) == {"crossed_books": 1, "resyncs": 1}
    assert [e.trust for e in events(effects, Delta)] == [Trust.RESYNC]
    assert events(effects, Book) == []


@pytest.mark.parametrize(
    "frame",
    [
        venue.book(1_001, [(98.0, -1.0)], []),
        venue.book(1_001, [(0.0, 1.0)], []),
        venue.snapshot(1_001, [(-1.0, 1.0)], []),
    ],
)
def test_an_impossible_level_is_rejected_and_the_book_rebuilt(driver: Driver, frame: bytes) -> None:
    effects = driver.push(frame)
    assert len(rejects(effects)) == 1
    assert counted(effects) == {"resyncs": 1}
    assert driver.btc.trust is Trust.RESYNC


# -- quote


def test_a_quote_is_published_with_its_step(driver: Driver) -> None:
    (quote,) = events(driver.push(venue.bbo(1_005, (99.5, 1.0), None)), Bbo)
    assert (quote.bid_px, quote.bid_sz, quote.ask_px, quote.ask_sz) == (99.5, 1.0, None, None)
    assert (quote.venue_seq, quote.trust, quote.source) == (1_005, Trust.LIVE, Source.STREAM)


def test_a_quote_that_does_not_advance_is_dropped(driver: Driver) -> None:
    frame = venue.bbo(1_005, (99.5, 1.0), None)
    driver.push(frame)
    assert counted(driver.push(frame, venue.bbo(1_004, BIDS[0], None))) == {"duplicates": 2}


@pytest.mark.parametrize("frame", [venue.bbo(1_006, (100.0, 1.0), (99.0, 1.0)), venue.bbo(1_006, (-1.0, 1.0), None)])
def test_an_impossible_quote_is_rejected_and_the_old_one_no_longer_trusted(driver: Driver, frame: bytes) -> None:
    driver.push(venue.bbo(1_005, BIDS[0], ASKS[0]))
    effects = driver.push(frame)
    assert len(rejects(effects)) == 1
    assert [quote.trust for quote in events(effects, Bbo)] == [Trust.RESYNC]
    assert driver.btc.live


def test_book_and_quote_of_one_step_are_compared_whichever_comes_first(driver: Driver) -> None:
    first = events(driver.push(venue.bbo(1_000, BIDS[0], ASKS[0])), Check)
    assert [(c.against, c.compared, c.diverged, c.since_ns) for c in first] == [("bbo", 1, 0, None)]
    driver.mono += 2 * S
    driver.push(venue.bbo(1_001, (99.5, 1.0), ASKS[0]))
    second = events(driver.push(venue.book(1_001, [(99.5, 1.0)], [])), Check)
    assert [(c.compared, c.diverged, c.divergence) for c in second] == [(2, 0, 0.0)]


def test_a_touch_that_keeps_contradicting_the_quote_has_the_book_rebuilt(driver: Driver) -> None:
    effects = driver.push(venue.bbo(1_000, (99.5, 1.0), ASKS[0]))
    assert counted(effects) == {"check_mismatches": 1}
    assert driver.btc.live
    driver.mono += 1 * S
    driver.push(venue.book(1_001, [], []))
    effects = driver.push(venue.bbo(1_001, (99.5, 2.0), ASKS[0]))
    assert counted(effects) == {"check_mismatches": 1, "resyncs": 1}
    assert [e.diverged for e in events(effects, Check)] == [2]
    assert driver.btc.trust is Trust.RESYNC
    assert driver.btc.quote is not None
    assert (driver.btc.quote.venue_seq, driver.btc.quote.trust) == (1_001, Trust.LIVE)


def test_one_agreement_clears_the_suspicion(driver: Driver) -> None:
    driver.push(venue.bbo(1_000, (99.5, 1.0), ASKS[0]))
    driver.mono += 1 * S
    driver.push(venue.book(1_001, [], []), venue.bbo(1_001, BIDS[0], ASKS[0]))
    effects = driver.push(venue.book(1_002, [], []), venue.bbo(1_002, (99.5, 1.0), ASKS[0]))
    assert counted(effects) == {"check_mismatches": 1}


def test_a_check_that_a_rebuild_does_not_satisfy_is_doubted_until_it_agrees(driver: Driver) -> None:
    def contradict(seq: int) -> Effects:
        found = driver.push(venue.bbo(seq, (99.5, 1.0), ASKS[0]))
        driver.mono += 1 * S
        return found + driver.push(venue.book(seq + 1, [], []), venue.bbo(seq + 1, (99.5, 1.0), ASKS[0]))

    resynced(driver, contradict(1_000), 2_000)
    assert counted(contradict(2_000)) == {"check_mismatches": 2}
    assert driver.btc.live
    driver.push(venue.book(2_002, [], []), venue.bbo(2_002, BIDS[0], ASKS[0]), venue.book(2_003, [], []))
    assert counted(contradict(2_003)) == {"check_mismatches": 2, "resyncs": 1}


# -- trades


def test_trades_are_published_once(driver: Driver) -> None:
    assert [t.trade_id for t in events(driver.push(venue.trade(trade_id="1"), venue.trade(trade_id="2")), Trade)] == [
        "1",
        "2",
    ]
    assert counted(driver.push(venue.trade(trade_id="1"))) == {"duplicates": 1}


def test_trades_without_id_are_told_apart_by_everything_else(driver: Driver) -> None:
    frames = [venue.trade(trade_id=None), venue.trade(trade_id=None, sz=0.5), venue.trade(trade_id=None, seq=1_002)]
    assert len(events(driver.push(*frames), Trade)) == 3
    assert counted(driver.push(frames[1])) == {"duplicates": 1}


# -- figures


def test_a_summary_gives_figures_and_the_precise_rate_per_hour(driver: Driver) -> None:
    effects = driver.push(venue.summary())
    (stats,) = events(effects, Stats)
    assert (stats.mark_px, stats.index_px, stats.open_interest) == (83480.1023, 83479.55, 812.34567)
    (rate,) = events(effects, Funding)
    assert (rate.raw_rate, rate.raw_interval_hours, rate.settled, rate.next_ns) == ("0.000123456789", 8.0, False, None)
    assert rate.rate_hourly == pytest.approx(0.000123456789 / 8, rel=1e-15)


def test_absent_figures_stay_as_they_were(driver: Driver) -> None:
    driver.push(venue.summary())
    (stats,) = events(driver.push(venue.summary(mark=venue.NULL, index=1, interest=venue.NULL)), Stats)
    assert (stats.mark_px, stats.index_px, stats.open_interest) == (83480.1023, 1e-8, 812.34567)


@pytest.mark.parametrize(
    "frame",
    [venue.summary(mark=0), venue.summary(index=-1), venue.summary(interest=-1)],
)
def test_impossible_figures_are_rejected(driver: Driver, frame: bytes) -> None:
    effects = driver.push(frame)
    assert len(rejects(effects)) == 1
    assert events(effects, Stats) == []
    assert driver.btc.live


def test_a_coarser_rate_stands_in_only_when_the_finer_one_is_late(driver: Driver) -> None:
    (rate,) = events(driver.push(venue.funding()), Funding)
    assert (rate.raw_rate, rate.venue_ns) == ("0.00012345", 1_790_000_000_000_000_000)
    assert len(events(driver.push(venue.summary()), Funding)) == 1
    assert driver.push(venue.funding()) == []
    driver.mono += 30 * S
    assert len(events(driver.push(venue.funding()), Funding)) == 1


def test_a_rate_is_for_the_period_that_the_venue_last_named(driver: Driver) -> None:
    (rate,) = events(driver.push(venue.funding(hours=24)), Funding)
    assert (rate.raw_interval_hours, rate.rate_hourly) == (24.0, 0.00012345 / 24)
    (precise,) = events(driver.push(venue.summary()), Funding)
    assert precise.raw_interval_hours == 24.0
    driver.mono += 30 * S
    (rate,) = events(driver.push(venue.funding(hours=0)), Funding)
    assert rate.raw_interval_hours == 24.0


def test_a_rate_without_a_period_or_without_a_figure_is_no_rate() -> None:
    driver = Driver()
    driver.start()
    driver.answer("markets", venue.results(venue.row(funding_period_hours="")))
    assert counted(driver.push(venue.funding(hours=0))) == {"ignored_frames": 1}
    assert counted(driver.push(venue.funding(rate=venue.NULL))) == {"ignored_frames": 1}
    assert events(driver.push(venue.summary(rate=venue.NULL, precise=None)), Funding) == []


def test_rest_figures_are_used_where_the_streams_are_late(driver: Driver) -> None:
    effects = driver.answer("summary", venue.rest_summary(), "BTC-PERP")
    assert [(s.mark_px, s.open_interest) for s in events(effects, Stats)] == [(68465.17449906, 162.272)]
    (rate,) = events(effects, Funding)
    assert (rate.raw_rate, rate.venue_ns) == ("0.01629574927887", 1_718_170_156_580_000_000)
    driver.push(venue.summary())
    driver.run(61 * S)
    driver.push(venue.summary())
    assert events(driver.answer("summary", venue.rest_summary(), "BTC-PERP"), Funding) == []
    driver.run(61 * S)
    effects = driver.answer("summary", venue.rest_summary(funding_rate=""), "BTC-PERP")
    assert len(events(effects, Stats)) == 1
    assert events(effects, Funding) == []


# -- listing


def test_markets_are_found_by_name_whatever_the_case() -> None:
    rows = [MarketRow("kPEPE-USD-PERP", "PERP"), MarketRow("BTC-USD-PERP", "OPTION"), MarketRow("BTC-USD-PERP", "PERP")]
    assert find(rows, "KPEPE-PERP") is rows[0]
    assert find(rows, "BTC-PERP") is rows[2]
    assert find(rows, "DOGE-PERP") is None


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({}, ""),
        ({"trading_mode": "RFQ_ONLY"}, "has no order book (RFQ_ONLY)"),
        ({"open_at": 2_000}, "not open yet"),
        ({"open_at": "999", "expiry_at": "1000"}, "expired"),
        ({"expiry_at": "0", "open_at": ""}, ""),
    ],
)
def test_tradability_has_no_field_of_its_own(changed: dict[str, str], problem: str) -> None:
    assert untradable(MarketRow("BTC-USD-PERP", **changed), 1_000 * MS) == problem


def test_a_new_instrument_is_published_once_and_again_when_it_changes() -> None:
    market = Market("BTC-PERP", Driver().context, 0)
    row = MarketRow("BTC-USD-PERP", "PERP", price_tick_size="0.1", order_size_increment="0.00001")
    assert events(market.resolve([row], 0), Instrument) == [Instrument("BTC-USD-PERP", "0.1", "0.00001", "USD")]
    assert market.resolve([row], 0) == []
    row.price_tick_size = ""
    assert events(market.resolve([row], 0), Instrument) == [Instrument("BTC-USD-PERP", None, "0.00001", "USD")]
    with pytest.raises(VenueError, match="not listed"):
        market.resolve([], 0)


def test_differences_are_relative_and_a_missing_side_is_the_whole() -> None:
    assert divergence((1.0, None), (1.0, None)) == 0.0
    assert divergence((1.0, 100.0), (1.0, 101.0)) == pytest.approx(1 / 101)
    assert divergence((1.0, None), (1.0, 3.0)) == 1.0


def test_notes_name_what_is_mended(driver: Driver) -> None:
    effects = driver.push(venue.book(1_005, [], []))
    assert notes(effects) == ["resync"]
    assert len(of(effects, Send)) == 2
