"""Every recorded Paradex payload yields what its folder's README says, or a counted rejection."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus.book import Book as Levels
from bus.events import Bbo, Book, Delta, Funding, Instrument, Stats, Trade
from connectors.effects import Count, Effects, Emit, Fetch, Note, Reply
from connectors.paradex import messages as wire
from tests.connectors.paradex.venue import Driver, counted, events, of, rejects

ROWS = {"BTC-PERP": "BTC-USD-PERP", "ETH-PERP": "ETH-USD-PERP", "SOL-PERP": "SOL-USD-PERP"}
RATE = ("0.000123456789", 8.0)


@pytest.fixture
def samples(conformance_dir: Path) -> Path:
    """The folder of Paradex's payloads."""
    return conformance_dir / "paradex" / "samples"


@pytest.fixture
def driver(samples: Path) -> Driver:
    """Connected and subscribed, with the recorded market list."""
    driver = Driver()
    driver.start()
    driver.opened()
    driver.answer("markets", (samples / "rest_markets_simulator.json").read_bytes())
    driver.log.clear()
    return driver


def lines(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def load(path: Path) -> Any:  # noqa: ANN401 - a recorded payload of any shape
    return msgspec.json.decode(path.read_bytes())


def play(driver: Driver, line: dict[str, Any]) -> Effects:
    return driver.say(line["text"].encode()) if "text" in line else driver.push(base64.b64decode(line["b64"]))


def numbers(levels: list[list[str]]) -> list[tuple[float, float]]:
    return [(float(px), float(sz)) for px, sz in levels]


@pytest.mark.parametrize("name", ["ws_sbe_book_deltas_btc", "ws_sbe_book_multimarket"])
def test_captured_books_follow_their_decoded_text_step_by_step(driver: Driver, samples: Path, name: str) -> None:
    books = {symbol: Levels() for symbol in ROWS.values()}
    markets = {symbol: market for market, symbol in ROWS.items()}
    decoded = lines(samples / f"{name}_decoded.jsonl")
    for line, truth in zip(lines(samples / f"{name}.jsonl"), decoded, strict=True):
        effects = play(driver, line)
        assert rejects(effects) == []
        if "text" in truth:
            continue
        (event,) = events(effects, Book) + events(effects, Delta)
        bids, asks = numbers(truth["bids"]), numbers(truth["asks"])
        change = books[truth["market"]].replace if truth["pkgType"] == "SNAPSHOT" else books[truth["market"]].apply
        change([x for x, _ in bids], [x for _, x in bids], [x for x, _ in asks], [x for _, x in asks])
        mirror = driver.mirrors[markets[truth["market"]]]
        assert mirror.live
        assert mirror.levels.levels() == books[truth["market"]].levels()
        assert (event.venue_seq, event.venue_ns) == (truth["seq"], truth["ts_us"] * 1_000)


def test_the_recorded_session_has_35_frames_of_which_16_deltas_are_empty(driver: Driver, samples: Path) -> None:
    recorded = lines(samples / "ws_sbe_book_deltas_btc.jsonl")
    effects = [effect for line in recorded for effect in play(driver, line)]
    (book,) = events(effects, Book)
    assert (len(book.bid_px), len(book.ask_px), book.venue_seq) == (115, 60, 7_687_289_234)
    deltas = events(effects, Delta)
    assert (len(deltas), sum(not delta.bid_px and not delta.ask_px for delta in deltas)) == (33, 16)
    assert driver.btc.seq == 7_687_289_267


def test_captured_quotes(driver: Driver, samples: Path) -> None:
    decoded = lines(samples / "ws_sbe_bbo_btc_decoded.jsonl")
    for line, truth in zip(lines(samples / "ws_sbe_bbo_btc.jsonl"), decoded, strict=True):
        effects = play(driver, line)
        if "text" in truth:
            # The recorded session asked for the quote with its first request, this one for a book.
            assert counted(effects) == {"unknown_frames": 1}
            continue
        (quote,) = events(effects, Bbo)
        assert (quote.bid_px, quote.bid_sz) == (float(truth["bidPrice"]), float(truth["bidSize"]))
        assert (quote.ask_px, quote.ask_sz) == (float(truth["askPrice"]), float(truth["askSize"]))
        assert quote.venue_seq == truth["seq"]


def summarise(effects: Effects) -> list[object]:
    """Kinds of what came of a frame."""
    return [
        type(e.event) if isinstance(e, Emit) else e.label if isinstance(e, Count) else type(e)
        for e in effects
        if not isinstance(e, Note)
    ]


VECTORS: dict[str, list[object]] = {
    "trade_v1": [Trade],
    "trade_v2": [Trade],
    "trade_v2_without_id": ["duplicates"],
    "trade_liquidation_seq0": ["duplicates"],
    "bbo": [Bbo],
    "bbo_no_asks": [Bbo],
    "book_snapshot": [Book],
    "book_delta_1001": [Delta],
    "book_delta_1002_empty": [Delta],
    "book_delta_1003_long_entries": [Delta],
    "book_delta_1005_gap": ["seq_gaps", Delta, "resyncs"],
    "book_snapshot_empty_side": ["ignored_frames"],
    "summary_v0": [Stats, Funding],
    "summary_v1": [Stats, Funding],
    "summary_v3": [Stats, Funding],
    "funding_v0": [],
    "funding_v1": [],
    "funding_rate_comparison_v1": ["ignored_frames"],
    "heartbeat": ["ignored_frames"],
    "unknown_template": ["unknown_frames"],
}
"""In their order: the same trade three times without and with its id, a snapshot before its new acknowledgement, and a
coarse funding rate while a finer one is fresh."""


def test_the_vectors_of_the_schema(driver: Driver, samples: Path) -> None:
    found = {}
    for line in lines(samples / "ws_sbe_synthetic_vectors.jsonl"):
        effects = [effect for effect in play(driver, line) if type(effect).__name__ != "Send"]
        found[line["name"]] = summarise(effects)
    assert found == VECTORS
    rates = events(driver.log, Funding)
    assert (rates[-1].raw_rate, rates[-1].raw_interval_hours) == RATE


def test_every_vector_decodes_to_the_official_decoders_figures(samples: Path) -> None:
    for line in lines(samples / "ws_sbe_synthetic_vectors.jsonl"):
        model = line["official_decoder"].get("model")
        event = wire.decode(base64.b64decode(line["b64"]))
        if isinstance(event, wire.BookEvent):
            bid_px, bid_sz, ask_px, ask_sz = event.levels
            assert list(zip(bid_px, bid_sz, strict=True)) == numbers(model["bids"])
            assert list(zip(ask_px, ask_sz, strict=True)) == numbers(model["asks"])
        elif isinstance(event, wire.TradeEvent):
            assert (event.trade.px, event.trade.sz) == (float(model["price"]), float(model["size"]))
            assert event.trade.trade_id == model["trade_id_str"]
        elif isinstance(event, wire.SummaryEvent):
            assert (event.mark_px, event.index_px) == (float(model["mark_price"]), float(model["index_price"]))
            assert event.open_interest == float(model["open_interest"])
        elif isinstance(event, wire.FundingEvent):
            assert wire.decimal(event.rate or 0, 8) == model["funding_rate"]
            assert event.hours == model["funding_period_hours"]
        else:
            assert isinstance(event, wire.BboEvent | wire.OtherEvent)


def test_acknowledgements_are_matched_and_others_counted(driver: Driver, samples: Path) -> None:
    recorded = load(samples / "ws_acks.json")
    said = [counted(driver.say(ack)) for ack in recorded["captured_2026_10_08"]]
    # The second and fourth are for channels that were not asked for under these numbers.
    assert said == [{}, {"unknown_frames": 1}, {}, {"unknown_frames": 1}]
    for name in ("documentation_subscribe", "documentation_unsubscribe", "documentation_auth"):
        assert counted(driver.say(recorded[name])) == {"unknown_frames": 1}


def test_refusals_are_told(driver: Driver, samples: Path) -> None:
    for name, refusal in load(samples / "ws_errors.json").items():
        if "error" in refusal:
            effects = driver.say(refusal)
            assert [note.event for note in of(effects, Note)] == ["refused"], name


def test_json_of_before_the_binary_feed_is_unknown(driver: Driver, samples: Path) -> None:
    for path in sorted(samples.glob("ws_legacy_json_*.json")):
        payload = load(path)
        for message in payload.values() if "jsonrpc" not in payload else [payload]:
            assert counted(driver.say(message)) == {"unknown_frames": 1}, path.name


def test_requests_have_the_documented_form(samples: Path) -> None:
    documented = load(samples / "ws_requests.json")
    for name in ("subscribe_book_deltas", "subscribe_bbo", "subscribe_trades", "subscribe_summary", "unsubscribe"):
        asked = documented[name]
        assert msgspec.json.decode(wire.request(asked["id"], asked["method"], asked["params"]["channel"])) == asked


def test_market_lists(samples: Path) -> None:
    for name in ("rest_markets_simulator.json", "rest_markets_observed.json"):
        driver = Driver(markets=("BTC-PERP", "ETH-PERP"))
        driver.start()
        effects = driver.answer("markets", (samples / name).read_bytes())
        assert [(i.venue_symbol, i.tick, i.lot, i.quote) for i in events(effects, Instrument)] == [
            ("BTC-USD-PERP", "0.1", "0.00001", "USD"),
            ("ETH-USD-PERP", "0.01", "0.0001", "USD"),
        ]


def test_rest_book_and_summary(driver: Driver, samples: Path) -> None:
    driver.mono += 1
    effects = driver.answer("summary", (samples / "rest_markets_summary.json").read_bytes(), "BTC-PERP")
    assert [(s.mark_px, s.index_px, s.open_interest) for s in events(effects, Stats)] == [
        (68465.17449906, 67367.37268422, 162.272)
    ]
    assert [(f.raw_rate, f.raw_interval_hours) for f in events(effects, Funding)] == [("0.01629574927887", 8.0)]
    driver.run(2_100_000_000)
    (book,) = events(driver.answer("book", (samples / "rest_orderbook.json").read_bytes(), "BTC-PERP"), Book)
    assert (book.bid_px, book.bid_sz, book.ask_px, book.ask_sz) == ([68477.6], [0.1], [69578.2], [3.019])
    assert (book.venue_seq, book.venue_ns) == (14_115_975, 1_718_172_538_340_000_000)


@pytest.mark.parametrize("name", ["rest_errors", "rest_system", "rest_bbo_doc", "rest_funding_data", "rest_trades"])
@pytest.mark.parametrize("call", ["markets", "summary", "book", "audit"])
def test_other_bodies_in_the_place_of_an_answer_are_rejected(
    driver: Driver, samples: Path, name: str, call: str
) -> None:
    body = (samples / f"{name}.json").read_bytes()
    request = Fetch(call, "https://x", None if call == "markets" else "BTC-PERP")
    effects = driver.do(driver.protocol.fetched(request, Reply(200, body), driver.now))
    told = [note.event for note in of(effects, Note)]
    assert rejects(effects) or told[0] == "market_rows_unreadable"
    assert events(effects, Book) == []
