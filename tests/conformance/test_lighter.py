"""Every recorded Lighter payload yields what its folder's README says, or a counted rejection."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from bus.events import Bbo, Book, Delta, Funding, Instrument, Side, Source, Stats, Trade, Trust
from connectors.effects import Effects, Fetch
from connectors.lighter import messages
from tests.connectors.drive import Frame, counted, events, notes, rejected
from tests.connectors.lighter.venue import Drive, row, sent

IDS = {"ETH": 0, "BTC": 1, "SOL": 2, "CRV": 36, "ADA": 39}
ROWS: list[Frame] = [row(symbol, number) for symbol, number in IDS.items()]


@pytest.fixture
def samples(conformance_dir: Path) -> Path:
    """The folder of Lighter's payloads."""
    return conformance_dir / "lighter" / "samples"


def drive() -> Drive:
    """Every market of the samples listed and subscribed."""
    found = Drive(*(f"{symbol}-PERP" for symbol in IDS))
    found.start()
    found.listed(*ROWS)
    found.open()
    return found


def frames(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return [line for line in data.splitlines() if line.strip()] if path.suffix == ".jsonl" else [data]


def one(path: Path) -> Effects:
    """Effects of a file with one frame, as the first of a connection."""
    [frame] = frames(path)
    return drive().frame(frame)


def test_a_whole_recorded_run_of_a_book(samples: Path) -> None:
    found = drive()
    found.frame(frames(samples / "ws_order_book_snapshot_crv.json")[0])
    shape = []
    for frame in frames(samples / "ws_order_book_updates_crv.jsonl"):
        [event] = events(found.frame(frame), Delta)
        assert event.trust is Trust.LIVE
        bid_px, bid_sz, ask_px, ask_sz = found.book("CRV-PERP")
        assert (bid_px[0], bid_sz[0], ask_px[0], ask_sz[0]) == (0.2035, 2495.4, 0.20382, 7816.7)
        shape.append((len(bid_px), len(ask_px)))
    assert shape == [(38, 40), (38, 40), (38, 40), (37, 40), (37, 39), (38, 39)]


def test_a_recorded_run_with_a_gap(samples: Path) -> None:
    found = drive()
    [event] = events(found.frame(frames(samples / "ws_order_book_snapshot_eth_truncated.json")[0]), Book)
    assert (event.bid_px[0], event.ask_px[0], event.venue_seq) == (1914.22, 1914.28, 17926042877)
    *chained, after = frames(samples / "ws_order_book_updates_eth.jsonl")
    touches = []
    for frame in chained:
        found.frame(frame)
        bid_px, bid_sz, ask_px, _ = found.book("ETH-PERP")
        touches.append((bid_px[0], bid_sz[0], ask_px[0]))
    assert touches == [(1914.24, 0.19, 1914.28), (1914.24, 0.19, 1914.28), (1914.25, 0.4622, 1914.28)]
    effects = found.frame(after)
    assert counted(effects) == ["seq_gaps", "resyncs"]
    assert found.trust["ETH-PERP"] is Trust.RESYNC


def test_a_difference_without_its_snapshot(samples: Path) -> None:
    assert counted(one(samples / "ws_order_book_update_btc.json")) == ["ignored_frames"]


def test_a_book_that_last_changed_long_before_it_was_sent(samples: Path) -> None:
    [event] = events(one(samples / "ws_order_book_subscribed_testnet_eth.json"), Book)
    assert (event.venue_ns, event.bid_px, event.ask_px) == (1778138389655150000, [2000.0], [2325.0, 2341.25])


def test_a_never_used_book(samples: Path) -> None:
    [event] = events(one(samples / "ws_order_book_subscribed_empty.json"), Book)
    assert (event.venue_ns, event.venue_seq, event.bid_px, event.trust) == (None, 0, [], Trust.LIVE)


@pytest.mark.parametrize(
    ("name", "touch"),
    [
        ("ws_ticker_update_btc.json", (63777.2, 2.4922, 63777.3, 0.0002)),
        ("ws_ticker_subscribed_sol.json", (75.511, 4.777, 75.515, 52.981)),
        ("ws_ticker_subscribed_testnet_eth.json", (2000.0, 0.02, 2325.0, 99.0)),
        ("ws_ticker_subscribed_empty.json", (None, None, None, None)),
    ],
)
def test_quotes(samples: Path, name: str, touch: tuple[float | None, ...]) -> None:
    [event] = events(one(samples / name), Bbo)
    assert (event.bid_px, event.bid_sz, event.ask_px, event.ask_sz) == touch


@pytest.mark.parametrize(
    ("name", "trade"),
    [
        ("ws_trade_update_eth.json", ("26280867773", 1913.99, 0.0008)),
        ("ws_trade_update_crv.json", ("26412422124", 0.20382, 0.7)),
    ],
)
def test_trades(samples: Path, name: str, trade: tuple[str, float, float]) -> None:
    [event] = events(one(samples / name), Trade)
    assert (event.trade_id, event.px, event.sz) == trade
    assert (event.side, event.history, event.category) == (Side.BUY, False, "trade")


def test_replayed_trades_are_history_liquidations_included(samples: Path) -> None:
    found = events(one(samples / "ws_trade_subscribed_crv_trimmed.json"), Trade)
    assert [(event.history, event.category) for event in found] == [
        (True, "liquidation"),
        (True, "trade"),
        (True, "trade"),
    ]
    assert found[0].side is Side.SELL


def test_figures(samples: Path) -> None:
    effects = one(samples / "ws_market_stats_update_eth.json")
    [stats] = events(effects, Stats)
    assert (stats.mark_px, stats.index_px, stats.open_interest) == (1914.32, 1915.31, 45224.6035)
    assert [event.rate_hourly for event in events(effects, Funding)] == [-0.000011, -0.000012]
    [stats] = events(one(samples / "ws_market_stats_subscribed_btc.json"), Stats)
    assert stats.open_interest == 1586.84712


def test_figures_of_all_markets_are_not_asked_for_and_rejected(samples: Path) -> None:
    assert len(rejected(one(samples / "ws_market_stats_update_all.json"))) == 1


@pytest.mark.parametrize("name", ["ws_connected.json", "ws_height_update.json", "ws_unsubscribed_order_book.json"])
def test_what_is_known_and_not_needed(samples: Path, name: str) -> None:
    assert counted(one(samples / name)) == ["ignored_frames"]


def test_control_frames(samples: Path) -> None:
    assert one(samples / "ws_pong.json") == []
    assert sent(one(samples / "ws_server_ping.json")) == ["pong"]
    assert notes(one(samples / "ws_shutdown.json")) == ["shutdown_announced"]


def test_refusals(samples: Path) -> None:
    found = [drive().frame(frame) for frame in frames(samples / "ws_errors.jsonl")]
    assert [rejected(effects) for effects in found] == [[]] * 5
    # Already subscribed but without a snapshot: asked for anew. Not subscribed: nothing to do.
    assert sent(found[0]) == ["unsubscribe order_book/0", "subscribe order_book/0"]
    assert counted(found[1]) == ["ignored_frames"]
    assert [notes(effects) for effects in found[2:]] == [["venue_error"]] * 3


def test_what_a_client_sends_is_unknown_from_a_venue(samples: Path) -> None:
    found = [drive().frame(frame) for frame in frames(samples / "ws_client_frames.jsonl")]
    assert [counted(effects) for effects in found[:6]] == [["unknown_frames"]] * 6


def rest(name: str, body: bytes, status: int = 200) -> Effects:
    found = drive()
    found.close()
    call = found.calls("markets")[0] if name == "markets" else Fetch(name, "", "ETH-PERP")
    return found.answer(call, body, status)


def test_the_market_list(samples: Path) -> None:
    effects = rest("markets", (samples / "rest_order_book_details_eth.json").read_bytes())
    [event] = events(effects, Instrument)
    assert (event.venue_id, event.tick, event.lot, event.min_size) == (0, "0.01", "0.0001", "0.0050")
    listing = json.loads((samples / "rest_order_books_5rows.json").read_text())["order_books"]
    rows, bad = messages.rows(messages.Details([msgspec.Raw(json.dumps(item).encode()) for item in listing]))
    assert (len(rows), bad) == (5, [])
    found = {name: messages.find(rows, f"{name}-PERP") for name in ("ETH", "CRV", "HYPE", "ETH/USDC")}
    assert [found["ETH"] and found["ETH"].market_id, found["CRV"] and found["CRV"].market_id] == [0, 36]
    assert found["ETH/USDC"] is None


def test_a_row_cut_by_its_source_is_rejected(samples: Path) -> None:
    effects = rest("markets", (samples / "rest_order_book_details_btc_partial.json").read_bytes())
    assert len(rejected(effects)) == 1


def test_the_other_market_list_is_rejected_because_it_is_another_call(samples: Path) -> None:
    assert len(rejected(rest("markets", (samples / "rest_order_books_5rows.json").read_bytes()))) == 1


def test_rest_books(samples: Path) -> None:
    [event] = events(rest("book", (samples / "rest_order_book_orders_eth_partial.json").read_bytes()), Book)
    assert (event.source, event.bid_px, event.ask_px[0]) == (Source.REST, [2579.82, 2579.75, 2579.73], 2579.97)
    assert event.bid_sz == [6.4693, 0.5871, 14.0997]
    [event] = events(rest("book", (samples / "rest_order_book_orders_eth_trimmed.json").read_bytes()), Book)
    assert (event.bid_px, event.bid_sz, event.ask_sz) == ([2361.17], [3.4125], [0.0317])
    effects = rest("book", (samples / "rest_order_book_orders_unknown_market.json").read_bytes())
    assert notes(effects) == ["rest_book_empty"]


@pytest.mark.parametrize(
    "name", ["rest_recent_trades_eth_trimmed.json", "rest_fundings_eth.json", "rest_funding_rates_btc_trimmed.json"]
)
def test_answers_that_are_not_asked_for_are_rejected(samples: Path, name: str) -> None:
    for call in ("markets", "book", "probe"):
        assert len(rejected(rest(call, (samples / name).read_bytes()))) == 1


def test_rest_errors(samples: Path) -> None:
    for line in frames(samples / "rest_errors.jsonl"):
        assert len(rejected(rest("markets", line))) == 1
        assert events(rest("markets", line, 429)) == []


def test_every_sample_is_looked_at(samples: Path) -> None:
    text = Path(__file__).read_text()
    assert [path.name for path in samples.iterdir() if path.suffix != ".md" and f'"{path.name}"' not in text] == []
