"""Every recorded Extended payload yields what its folder's README says, or a counted rejection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bus.events import Bbo, Book, Delta, Funding, Instrument, Reason, Side, Stats, Trade, Trust
from connectors.effects import Count, Effects, Reject
from tests.connectors.extended.drive import (
    BBO,
    BOOK,
    FUNDING,
    INDEX,
    MARK,
    MARKET,
    MS,
    RPC,
    SUBSCRIPTIONS,
    TRADE,
    Drive,
    row,
)

CONNS = {key: conn for conn, key in SUBSCRIPTIONS.items()}


@pytest.fixture
def samples(conformance_dir: Path) -> Path:
    """The folder of Extended's payloads."""
    return conformance_dir / "extended" / "samples"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def listed(symbol: str = "BTC-USD", transport: str = "v1") -> Drive:
    """A market by this name of the venue, confirmed, with its connections open."""
    market = symbol.removesuffix("-USD") + "-PERP"
    drive = Drive(transport, (market,))
    drive.start()
    drive.answer("markets", row(name=symbol), market=market)
    drive.open(*drive.wanted)
    return drive


def play(drive: Drive, conn: str, frame: dict[str, Any]) -> Effects:
    """A recorded frame as the next of its connection: recordings are excerpts, so their numbers have holes."""
    name = RPC if drive.v2 else conn
    frame = frame | {"seq": drive.seqs[name]}
    drive.seqs[name] += 1
    return drive.raw(conn, json.dumps(frame).encode())


# Path streams


def test_the_captured_book_of_btc_is_published_and_changed(samples: Path) -> None:
    drive = listed()
    for frame in lines(samples / "ws_v1_book_btc.jsonl"):
        play(drive, BOOK, frame)
        drive.wait(0.3)
    book, delta = drive.book_events
    assert isinstance(book, Book)
    assert (book.bid_px, book.bid_sz, book.ask_px, book.ask_sz) == ([63720.0], [14.79329], [63721.0], [5.1])
    assert (book.trust, book.venue_ns, book.venue_seq) == (Trust.LIVE, 1_785_778_403_000 * MS, 1)
    assert isinstance(delta, Delta)
    assert (delta.bid_px, delta.bid_sz, delta.ask_px, delta.venue_seq) == ([63717.0], [0.85928], [], 2)
    assert drive.reasons() == []


def test_the_captured_book_of_nvda_is_followed_to_its_trimmed_snapshot(samples: Path) -> None:
    drive = listed("NVDA_24_5-USD")
    conn = "book.NVDA_24_5-PERP"
    for frame in lines(samples / "ws_v1_book_nvda.jsonl"):
        play(drive, conn, frame)
        drive.wait(0.3)
    first, delta, empty, gone, again = drive.book_events
    assert isinstance(first, Book)
    assert isinstance(delta, Delta)
    assert (delta.bid_px, delta.bid_sz) == ([224.28, 224.23], [0.0, 0.0])
    assert (delta.ask_px, delta.ask_sz) == ([224.36, 224.47], [0.0, 17.9])
    assert (empty.bid_px, empty.ask_px, empty.trust) == ([], [], Trust.LIVE)
    # Its author trimmed both snapshots differently, so the second one is not the book that the first led to.
    assert gone.trust is Trust.RESYNC
    assert drive.counted("check_mismatches") == 1
    assert isinstance(again, Book)
    assert (again.bid_px, again.ask_px, again.trust) == ([224.1, 224.09], [224.26], Trust.LIVE)


def test_the_holes_in_the_recorded_numbers_are_gaps(samples: Path) -> None:
    drive = listed("NVDA_24_5-USD")
    for frame in lines(samples / "ws_v1_book_nvda.jsonl")[:2]:
        drive.raw("book.NVDA_24_5-PERP", json.dumps(frame).encode())
    assert drive.reasons() == [("book.NVDA_24_5-PERP", Reason.SEQ_GAP)]


def test_the_empty_book_of_an_rfq_market_is_not_believed_of_a_continuous_one(samples: Path) -> None:
    drive = listed("ATOM-USD")
    (frame,) = lines(samples / "ws_v1_book_rfq_empty.jsonl")
    play(drive, "book.ATOM-PERP", frame)
    drive.wait(1.5)
    assert drive.book_events == []
    assert drive.reasons() == [("book.ATOM-PERP", Reason.CROSSED_BOOK)]


def test_the_captured_quote_is_a_touch(samples: Path) -> None:
    drive = listed()
    (quote,) = drive.of(Bbo, play(drive, BBO, load(samples / "ws_v1_bbo_btc.json")))
    assert (quote.bid_px, quote.bid_sz, quote.ask_px, quote.ask_sz) == (82588.0, 4.09776, 82590.0, 0.00011)


def test_the_captured_trades_keep_side_size_and_every_digit_of_their_ids(samples: Path) -> None:
    first, second, other = lines(samples / "ws_v1_trades.jsonl")
    drive = listed()
    play(drive, TRADE, first)
    play(drive, TRADE, second)
    assert [(trade.trade_id, trade.side, trade.px, trade.sz, trade.history) for trade in drive.of(Trade)] == [
        ("2104498657029001217", Side.BUY, 82589.0, 0.3027, True),
        ("2104498792354025474", Side.SELL, 82575.0, 0.0002, False),
        ("2104498792354025475", Side.SELL, 82574.0, 0.00106, False),
    ]
    assert [type(effect) for effect in play(drive, TRADE, other)] == [Reject]
    ether = listed("ETH-USD")
    play(ether, "trade.ETH-PERP", other)
    assert [trade.trade_id for trade in ether.of(Trade)] == ["2084331146732113920"]


def test_captured_marks_have_no_time_of_their_own(samples: Path) -> None:
    drive = listed()
    found = [drive.of(Stats, play(drive, MARK, frame))[0] for frame in lines(samples / "ws_v1_mark_price.jsonl")]
    assert [(stats.mark_px, stats.venue_ns) for stats in found] == [
        (82603.900514499997, 1_790_586_555_172 * MS),
        (63807.605956624996, 1_785_778_593_418 * MS),
        (80988.400408625006, 1_778_641_421_485 * MS),
    ]


def test_the_documentations_examples_are_understood_but_for_candles(samples: Path) -> None:
    drive = listed()
    book, trades, funding, mark, index, candle = lines(samples / "ws_v1_doc_examples.jsonl")
    for conn, frame in ((BOOK, book), (TRADE, trades), (FUNDING, funding), (MARK, mark), (INDEX, index)):
        play(drive, conn, frame)
    drive.wait(0.3)
    assert [(event.bid_px, event.ask_px) for event in drive.of(Book)] == [([25670.0], [25770.0])]
    assert [trade.trade_id for trade in drive.of(Trade)] == ["25124"]
    assert [found.rate_hourly for found in drive.of(Funding)] == [0.001]
    assert (drive.of(Stats)[-1].mark_px, drive.of(Stats)[-1].index_px) == (25670.0, 25680.0)
    assert [type(effect) for effect in play(drive, TRADE, candle)] == [Reject]


# RPC


def test_the_captured_replies_acknowledge(samples: Path) -> None:
    drive = listed(transport="v2")
    *acks, listing = lines(samples / "ws_v2_acks.jsonl")
    kinds = ("orderbooks", "orderbooks.1", "trades", "prices.mark", "prices.index", "funding-rates")
    ids = {kind: sent["id"] for kind, sent in zip(kinds, drive.sent, strict=True)}
    for ack in acks:
        key = ack["result"]["subscription"].removesuffix(".BTC-USD")
        assert drive.raw(RPC, json.dumps(ack | {"id": ids[key]}).encode()) == []
    (late,) = drive.raw(RPC, json.dumps(listing | {"id": "99"}).encode())
    assert late == Count("ignored_frames")
    assert drive.reasons() == []


def test_the_captured_snapshot_and_its_delta_add_up(samples: Path) -> None:
    drive = listed(transport="v2")
    snapshot, delta = load(samples / "ws_v2_book_snapshot_btc.json"), load(samples / "ws_v2_book_delta_btc.json")
    drive.raw(RPC, json.dumps(snapshot).encode())
    drive.wait(0.3)
    drive.raw(RPC, json.dumps(delta).encode())
    book, change = drive.book_events
    assert isinstance(book, Book)
    assert (len(book.bid_px), len(book.ask_px)) == (44, 44)
    assert (book.bid_px[0], book.bid_px[-1], book.ask_px[0]) == (84077.0, 1.0, 84078.0)
    assert (book.venue_ns, book.venue_seq) == (1_790_425_441_918 * MS, 0)
    assert isinstance(change, Delta)
    assert (len(change.bid_px), change.ask_px, change.ask_sz) == (7, [84078.0], [2.54894])
    assert drive.held()[0][84050.0] == 0.71908, "written 84050.000000 in the snapshot"
    assert drive.counted("check_mismatches") == 0
    assert drive.reasons() == []


def test_the_captured_replay_of_trades_is_history(samples: Path) -> None:
    drive = listed(transport="v2")
    frame = load(samples / "ws_v2_trades_replay_btc.json")
    play(drive, TRADE, frame)
    trades = drive.of(Trade)
    assert [trade.trade_id for trade in trades] == [str(trade["i"]) for trade in frame["data"]]
    assert all(trade.history for trade in trades)
    assert drive.counted("history_trades") == len(frame["data"]) == 14


def test_captured_prices_and_funding_have_their_own_times(samples: Path) -> None:
    drive = listed(transport="v2")
    play(drive, MARK, load(samples / "ws_v2_mark_price_btc.json"))
    play(drive, INDEX, load(samples / "ws_v2_index_price_btc.json"))
    play(drive, FUNDING, load(samples / "ws_v2_funding_btc.json"))
    mark, index = drive.of(Stats)
    assert (mark.mark_px, mark.venue_ns) == (84058.473541750005, 1_790_425_443_253 * MS)
    assert (index.index_px, index.venue_ns) == (84105.013533499994, 1_790_425_443_000 * MS)
    at = 1_790_426_050_286
    assert drive.of(Funding) == [
        Funding(at * MS, 0.000013, "0.000013", 1.0, settled=False, next_ns=1_790_427_600_000 * MS)
    ]


def test_constructed_replies_are_answers_to_nobody_and_a_quote(samples: Path) -> None:
    drive = listed(transport="v2")
    *replies, quote = lines(samples / "ws_v2_constructed_replies.jsonl")
    for reply in replies:
        assert drive.raw(RPC, json.dumps(reply).encode()) == [Count("ignored_frames")]
    assert len(drive.of(Bbo, play(drive, BBO, quote))) == 1


# Scripts


@pytest.mark.parametrize("transport", ["v1", "v2"])
def test_the_constructed_sessions_lead_to_their_last_book(samples: Path, transport: str) -> None:
    drive = listed(transport=transport)
    numbers = {"1": drive.sent[0]["id"], "2": drive.sent[2]["id"]} if drive.v2 else {}
    for line in lines(samples / f"ws_sim_{transport}_script_constructed.jsonl"):
        if line["dir"] == "server" and "text" in line:
            frame = line["text"]
            if "id" in frame:
                frame["id"] = numbers[frame["id"]]
            drive.raw(CONNS.get(frame.get("subscription", ""), BOOK), json.dumps(frame).encode())
            drive.wait(0.3)
    bids, asks = drive.held()
    if transport == "v1":
        assert bids == {84077.0: 0.41547, 84073.0: 0.00175, 84050.0: 0.71908}
        (check,) = drive.checks()
        assert (check.compared, check.diverged) == (1, 0)
    else:
        assert (len(bids), bids[84074.0], len(drive.of(Trade))) == (8, 0.00118, 2)
    assert asks == {84078.0: 2.54894, 84079.0: 2.17109, 84080.0: 1.0}
    assert drive.trust() is Trust.LIVE
    assert drive.reasons() == []
    assert drive.rejects() == []


# REST


def test_the_captured_market_list_gives_the_instrument(samples: Path) -> None:
    drive = Drive()
    drive.start()
    drive.answer("markets", (samples / "rest_markets_btc.json").read_bytes())
    assert drive.of(Instrument) == [Instrument("BTC-USD", "1", "0.00001", "USD", min_size="0.0001")]


@pytest.mark.parametrize(
    ("name", "stats", "rate", "next_ms"),
    [
        ("btc", (77006.091897999984, 77050.739529925005, 1491.33012), 0.000012, 1_777_446_000_000),
        ("eth", (1963.0832622375, 1964.63264326875, 29713.437), 0.000013, 1_770_314_400_000),
    ],
)
def test_captured_stats(samples: Path, name: str, stats: tuple[float, float, float], rate: float, next_ms: int) -> None:
    drive = listed()
    drive.answer("stats", (samples / f"rest_stats_{name}.json").read_bytes())
    assert drive.of(Stats) == [Stats(None, *stats)]
    (funding,) = drive.of(Funding)
    assert (funding.rate_hourly, funding.next_ns, funding.settled) == (rate, next_ms * MS, False)


def test_the_captured_rest_book_stands_in(samples: Path) -> None:
    drive = listed()
    drive.wait(2.0)
    (book,) = drive.of(Book, drive.answer("book", (samples / "rest_orderbook_btc.json").read_bytes()))
    assert (book.bid_px, book.bid_sz, book.ask_px, book.ask_sz) == ([76214.0], [14.46084], [76215.0], [0.11585])
    assert book.trust is Trust.REST


def test_captured_funding_history_is_what_was_charged(samples: Path) -> None:
    drive = listed()
    drive.answer("settled", (samples / "rest_funding_history_btc.json").read_bytes())
    at = 1_777_507_201_028
    assert drive.of(Funding) == [Funding(at * MS, 0.000008, "0.000008", 1.0, settled=True)]


@pytest.mark.parametrize("name", ["rest_trades_btc.json", "rest_open_interests_btc.json"])
def test_answers_to_calls_that_are_not_made_are_not_taken_for_others(samples: Path, name: str) -> None:
    drive = listed()
    drive.answer("stats", (samples / name).read_bytes())
    assert len(drive.rejects()) == 1
    assert drive.of(Stats) == []


def test_errors_say_either_that_there_is_no_such_market_or_nothing(samples: Path) -> None:
    order, number, word = (samples / "rest_errors.jsonl").read_bytes().splitlines()
    for body, closed in ((order, False), (number, True), (word, True)):
        drive = Drive(markets=(MARKET,))
        drive.start()
        drive.answer("markets", body, 404)
        assert (drive.wanted == {}) is closed
