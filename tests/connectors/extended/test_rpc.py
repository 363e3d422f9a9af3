"""Data over RPC: one sequence for all topics, and one market started over alone."""

from __future__ import annotations

import json

from bus.events import Bbo, Funding, Reason, Stats, Trade, Trust
from connectors.effects import Reconnect, Send
from connectors.extended import spec
from tests.connectors.extended.drive import (
    ACK,
    BBO,
    BIDS,
    FUNDING,
    INDEX,
    MARK,
    RPC,
    T0,
    Drive,
    changes,
    scopes,
)

# Data


def test_every_topic_counts_in_one_sequence_from_zero() -> None:
    drive = Drive("v2").listed().acked()
    drive.snapshot()
    drive.trade(1, 2)
    drive.frame(MARK, "PRICES.MP", {"m": "BTC-USD", "p": "84058.473541750005", "ts": 0})
    drive.frame(INDEX, "PRICES.IP", {"m": "BTC-USD", "p": "84105.013533499994", "ts": T0})
    drive.frame(FUNDING, "FUNDING_RATES", {"m": "BTC-USD", "f": "0.000013", "T": T0})
    drive.snapshot(BIDS[:1], [], conn=BBO)
    drive.trade(3)
    drive.wait(0.25)
    drive.delta(changes(("84077", "0.1", "0.51547")))
    assert [trade.history for trade in drive.of(Trade)] == [True, True, False]
    assert (len(drive.of(Stats)), len(drive.of(Funding)), len(drive.of(Bbo))) == (2, 1, 1)
    assert drive.trust() is Trust.LIVE
    assert drive.reasons() == []


def test_data_before_its_acknowledgement_is_as_good() -> None:
    drive = Drive("v2").listed()
    drive.snapshot()
    drive.acked()
    drive.wait(0.25)
    assert drive.trust() is Trust.LIVE


def test_a_gap_of_the_one_sequence_invalidates_every_book_first() -> None:
    drive = Drive("v2").live()
    drive.quote()
    drive.seqs[RPC] += 1
    effects = drive.trade(1)
    assert isinstance(effects[-2], Reconnect)
    assert drive.trust() is Trust.RESYNC
    assert drive.quote_trust() is Trust.RESYNC
    assert drive.reasons() == [(RPC, Reason.SEQ_GAP)]


def test_fresh_stamps_on_a_replay_deceive_nobody() -> None:
    drive = Drive("v2").listed().acked()
    drive.frame(MARK, "PRICES.MP", {"m": "BTC-USD", "p": "84058", "ts": 0})
    drive.frame(MARK, "PRICES.MP", {"m": "BTC-USD", "p": "84058", "ts": 0})
    drive.snapshot()
    for _ in range(300):
        drive.wait(0.001)
        drive.delta(changes(("84073", "1", "1")))
    assert drive.book_events == []
    drive.wait(0.1)
    drive.delta()
    assert drive.book_events == []
    drive.wait(0.1)
    drive.delta()
    assert drive.trust() is Trust.LIVE


def test_an_unreadable_frame_may_have_been_anyones() -> None:
    drive = Drive("v2").live()
    drive.raw(RPC, b"{")
    assert drive.trust() is Trust.RESYNC
    assert drive.reasons() == [(RPC, Reason.PARSE_ERROR)]


def test_a_stream_never_asked_for_is_unknown_but_counts() -> None:
    drive = Drive("v2").live()
    drive.frame("orderbooks.DOGE-USD", "ORDERBOOKS.DELTA", {"m": "DOGE-USD", "b": [], "a": []})
    drive.frame("candles.BTC-USD", None, {})
    drive.delta()
    assert drive.counted("unknown_frames") == 2
    assert drive.reasons() == []


# One market alone


def test_a_book_that_went_wrong_is_asked_for_again_on_the_same_connection() -> None:
    drive = Drive("v2").live()
    drive.quote()
    effects = drive.delta([{"p": "84077", "q": "0.1"}])
    assert drive.trust() is Trust.RESYNC
    assert drive.quote_trust() is Trust.LIVE
    assert drive.counted("resyncs") == 1
    assert scopes([json.loads(send.text) for send in drive.of(Send, effects)]) == ["subscribe orderbooks"]
    drive.delta(changes(("84077", "0.1", "0.51547")))
    assert drive.counted("ignored_frames") == 1
    drive.reply(ACK)
    drive.snapshot(BIDS[:1])
    drive.wait(0.25)
    assert drive.trust() is Trust.LIVE
    assert drive.held()[0] == {84077.0: 0.41547}
    assert drive.reasons() == []


def test_a_book_that_goes_wrong_again_at_once_costs_the_connection() -> None:
    drive = Drive("v2").live()
    for _ in range(2):
        drive.delta([{"p": "84077", "q": "0.1"}])
        drive.reply(ACK)
        drive.snapshot()
        drive.wait(0.25)
    assert drive.reasons() == [(RPC, Reason.PARSE_ERROR)]


def test_a_snapshot_that_was_asked_for_and_does_not_come_costs_the_connection() -> None:
    drive = Drive("v2").live()
    drive.delta([{"p": "84077", "q": "0.1"}])
    drive.reply(ACK)
    for _ in range(101):
        drive.wait(0.1)
        drive.quote()
    assert drive.reasons() == [(RPC, Reason.SNAPSHOT_TIMEOUT)]


def test_a_delta_before_the_first_snapshot_is_no_leftover() -> None:
    drive = Drive("v2").listed().acked()
    drive.delta()
    assert drive.counted("resyncs") == 1


def test_a_dead_book_is_asked_for_again_while_the_connection_lives_on() -> None:
    drive = Drive("v2").live()
    drive.wait(14.8)
    assert drive.trust() is Trust.STALE
    assert drive.counted("resyncs") == 1
    assert drive.reasons() == []


def test_a_closed_connection_takes_everything_with_it() -> None:
    drive = Drive("v2").live()
    drive.quote()
    drive.close(RPC)
    assert drive.trust() is Trust.STALE
    assert drive.quote_trust() is Trust.STALE
    drive.open(RPC)
    assert len(drive.sent) == 2 * len(spec.KINDS)
