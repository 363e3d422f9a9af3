"""Every recorded Aster payload yields what its folder's README says, or a counted rejection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bus.events import Bbo, Book, Delta, Funding, Instrument, Side, Stats, Trade, Trust
from connectors.aster import messages
from connectors.aster.joining import WHOLE, rolled
from connectors.effects import Count, Effects, Emit, Fetch, Note, Reconnect, Reject
from tests.connectors.aster.venue import BTC, Desk, counted, notes, only, push, reasons, row


@pytest.fixture
def samples(conformance_dir: Path) -> Path:
    """The folder of Aster's payloads."""
    return conformance_dir / "aster" / "samples"


def load(samples: Path, name: str) -> Any:  # noqa: ANN401 - a recorded payload of any shape
    return json.loads((samples / name).read_bytes())


def lines(samples: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (samples / name).read_bytes().splitlines()]


@pytest.fixture
def desk(samples: Path) -> Desk:
    """Connected and subscribed, with the recorded market list and funding intervals."""
    desk = Desk(BTC, "ETH-PERP", "SOL-PERP")
    desk.start()
    desk.open()
    desk.answer("markets", load(samples, "rest_exchange_info_20261008_real_trimmed.json"))
    desk.wait(0.5)
    desk.answer("intervals", load(samples, "rest_funding_info_real.json"))
    return desk


def frame(samples: Path, name: str, stream: str) -> bytes:
    """A recorded payload in the combined frame that it would have come in."""
    data = load(samples, name)
    return push(stream, data) if "stream" not in data else json.dumps(data, separators=(",", ":")).encode()


def test_the_constructed_session_meets_its_expectations(samples: Path) -> None:
    desk = Desk()
    desk.start()
    desk.open()
    desk.answer("markets", {"symbols": [row("BTC")]})
    done: dict[int, Effects] = {}
    for line in lines(samples, "ws_session_constructed.jsonl"):
        if line["dir"] != "server":
            continue
        if line["kind"] == "http":
            done[line["n"]] = desk.answer("book", line["body"], line["status"])
        else:
            done[line["n"]] = desk.frame(json.dumps(line["frame"], separators=(",", ":")).encode())
    assert [type(effect) for effect in done[5]] == [Fetch]
    assert done[7] == []
    (book,) = only(done[8], Book)
    assert (book.venue_seq, book.bid_px) == (453174309233, [74210.5, 74210.4, 74209.9, 74209.8])
    assert only(done[9], Delta)[0].bid_sz == [0.0]
    assert only(done[10], Delta)[0].venue_seq == 453174312601
    assert only(done[11], Trade)[0].side is Side.SELL
    assert only(done[12], Stats)[0].mark_px == 74209.8
    assert only(done[13][:1], Delta)[0].trust is Trust.RESYNC
    assert counted(done[13]) == {"resyncs": 1, "seq_gaps": 1}
    assert desk.asked("book")
    assert desk.books[BTC].best() == (74210.4, 0.25, 74210.5, 0.12)


def test_quotes_trades_and_mark_prices_are_events(desk: Desk, samples: Path) -> None:
    (quote,) = only(desk.frame(frame(samples, "ws_book_ticker.json", "btcusdt@bookTicker")), Bbo)
    assert (quote.bid_px, quote.bid_sz, quote.ask_px, quote.ask_sz) == (122046.7, 1.084, 122046.8, 0.001)
    assert (quote.venue_seq, quote.venue_ns) == (157240846459, 1754896692922_000_000)
    (trade,) = only(desk.frame(frame(samples, "ws_agg_trade.json", "btcusdt@aggTrade")), Trade)
    assert (trade.trade_id, trade.px, trade.sz, trade.side) == ("20505890", 114783.7, 0.02, Side.BUY)
    effects = desk.frame(frame(samples, "ws_mark_price.json", "btcusdt@markPrice@1s"))
    (stats,), (funding,) = only(effects, Stats), only(effects, Funding)
    assert (stats.mark_px, stats.index_px) == (116809.6, 116836.93534884)
    assert funding.rate_hourly == pytest.approx(0.0001 / 8)
    assert (funding.raw_rate, funding.next_ns) == ("0.00010000", 1754668800000_000_000)


@pytest.mark.parametrize("name", ["ws_depth_diff_doc", "ws_depth_partial_doc", "ws_depth_partial_real_trimmed"])
def test_depth_updates_are_read_level_by_level(desk: Desk, samples: Path, name: str) -> None:
    data = load(samples, f"{name}.json")
    assert data["U"] > data["pu"] + 1
    desk.frame(push("btcusdt@depth@100ms", data))
    (book,) = only(desk.answer("book", {"lastUpdateId": data["u"], "bids": [], "asks": []}, market=BTC), Book)
    assert [[px, sz] for px, sz in zip(book.bid_px, book.bid_sz, strict=True)] == sorted(
        numbers(data["b"]), reverse=True
    )
    assert [[px, sz] for px, sz in zip(book.ask_px, book.ask_sz, strict=True)] == sorted(numbers(data["a"]))
    assert (book.venue_ns, book.venue_seq) == (data["T"] * 1_000_000, data["u"])


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("ws_depth_diff_doc.json", "btcusdt@depth20@100ms"),
        ("ws_kline.json", "btcusdt@kline_1m"),
        ("ws_force_order_doc.json", "btcusdt@forceOrder"),
        ("ws_ticker_24hr.json", "cakeusdt@ticker"),
        ("ws_trade_off_book.json", ""),
        ("ws_tradepro_doc.json", ""),
    ],
)
def test_streams_that_were_not_asked_for_are_counted(desk: Desk, samples: Path, name: str, stream: str) -> None:
    effects = desk.frame(frame(samples, name, stream))
    assert counted(effects) == {"unknown_frames": 1}
    assert notes(effects) == ["unknown_frame"]


def test_answers_and_refusals_on_the_socket(desk: Desk, samples: Path) -> None:
    for line in lines(samples, "ws_control_doc.jsonl"):
        if line["dir"] == "server":
            assert [type(effect) for effect in desk.control(**line["frame"])] == [Count]
    for fault in lines(samples, "ws_errors_doc.jsonl"):
        assert notes(desk.control(**fault)) == ["request_refused"]
    assert reasons(desk.log) == []
    desk.acks = False
    desk.close()
    desk.open()
    fault = lines(samples, "ws_errors_doc.jsonl")[2]
    assert len(only(desk.control(**fault), Reconnect)) == 1


@pytest.mark.parametrize(
    ("name", "base", "instrument"),
    [
        ("rest_exchange_info_20261008_real_trimmed", "BTC", ("BTCUSDT", "0.1", "0.001")),
        ("rest_exchange_info_20261008_real_trimmed", "ETH", ("ETHUSDT", "0.01", "0.001")),
        ("rest_exchange_info_20261008_real_trimmed", "SOL", ("SOLUSDT", "0.0100", "0.01")),
        ("rest_exchange_info_symbols_real", "ASTER", ("ASTERUSDT", "0.00010", "0.01")),
        # The documents' row names DOGEUSDT with base asset BLZ: the assets count.
        ("rest_exchange_info_doc", "BLZ", ("DOGEUSDT", "0.0001", "1")),
    ],
)
def test_market_lists(samples: Path, name: str, base: str, instrument: tuple[str, str, str]) -> None:
    desk = Desk(f"{base}-PERP")
    desk.start()
    (found,) = only(desk.answer("markets", load(samples, f"{name}.json")), Instrument)
    assert (found.venue_symbol, found.tick, found.lot) == instrument
    assert found.quote == "USDT"


@pytest.mark.parametrize("name", ["rest_depth_btc_real", "rest_depth_doc", "rest_depth_sndkusd1_real"])
def test_snapshots_become_books_level_by_level(desk: Desk, samples: Path, name: str) -> None:
    body = load(samples, f"{name}.json")
    last = body["lastUpdateId"]
    before, after = {"u": last, "pu": last - 1}, {"u": last + 1_578, "pu": last}
    for ids in (before, after):
        data = {"e": "depthUpdate", "E": body["E"], "T": body["T"], "s": "BTCUSDT", **ids, "b": [], "a": []}
        desk.frame(push("btcusdt@depth@100ms", data))
    (book,) = only(desk.answer("book", body, market=BTC), Book)
    assert [[px, sz] for px, sz in zip(book.bid_px, book.bid_sz, strict=True)] == numbers(body["bids"])
    assert [[px, sz] for px, sz in zip(book.ask_px, book.ask_sz, strict=True)] == numbers(body["asks"])
    assert (book.trust, book.venue_seq) == (Trust.LIVE, last + 1_578)


def numbers(levels: list[list[str]]) -> list[list[float]]:
    return [[float(px), float(sz)] for px, sz in levels]


def test_every_decimal_survives_the_float(samples: Path) -> None:
    for name in ("rest_depth_btc_real", "rest_depth_sndkusd1_real"):
        body = load(samples, f"{name}.json")
        snapshot = messages.snapshot(json.dumps(body).encode())
        for level, (px, sz) in zip(snapshot.bids + snapshot.asks, body["bids"] + body["asks"], strict=True):
            assert (f"{level.px:.{len(px.partition('.')[2])}f}", f"{level.sz:.{len(sz.partition('.')[2])}f}") == (
                px,
                sz,
            )
        assert not rolled(snapshot, [], WHOLE).is_crossed()


def test_funding_intervals_settled_funding_and_open_interest(desk: Desk, samples: Path) -> None:
    hours = {
        each.symbol: each.hours for each in messages.rows(read(samples, "rest_funding_info_real"), messages.Interval)
    }
    assert (hours["BTCUSDT"], hours["ARGUSUSDT"], hours["雪球USDT"]) == (8.0, 1.0, 1.0)
    documented = messages.rows(read(samples, "rest_funding_info_doc"), messages.Interval)
    assert [each.hours for each in documented] == [8.0, 4.0]
    desk.wait(1.0)
    (settled,) = only(desk.answer("settled", load(samples, "rest_funding_rate_history.json"), market=BTC), Funding)
    assert (settled.raw_rate, settled.venue_ns, settled.settled) == ("0.00010000", 1747209600000_000_000, True)
    (stats,) = only(desk.answer("interest", load(samples, "rest_open_interest.json"), market=BTC), Stats)
    assert stats.open_interest == 6196.323


def read(samples: Path, name: str) -> bytes:
    return (samples / f"{name}.json").read_bytes()


def test_refusals_over_rest_are_rejected_and_asked_again(desk: Desk, samples: Path) -> None:
    for refusal in lines(samples, "rest_errors_doc.jsonl"):
        desk.wait(1.5)
        (reject,) = only(desk.answer("settled", refusal["body"], refusal["http"], BTC), Reject)
        assert str(refusal["body"]["code"]) in reject.problem


@pytest.mark.parametrize(
    "name",
    [
        *("rest_book_ticker_batch_real", "rest_book_ticker_one_sided", "rest_index_references_doc"),
        *("rest_premium_index", "rest_premium_index_real", "rest_ticker_24hr", "rest_time_doc", "rest_trades"),
    ],
)
def test_bodies_of_calls_that_are_not_made_are_no_snapshots(desk: Desk, samples: Path, name: str) -> None:
    desk.wait(0.5)
    effects = desk.answer("book", load(samples, f"{name}.json"), market=BTC)
    assert len(only(effects, Reject)) == 1
    assert [effect for effect in effects if isinstance(effect, Emit)] == []
    assert [note.event for note in only(effects, Note)] == ["rest_failed"]


def test_every_sample_is_named_here(samples: Path) -> None:
    source = Path(__file__).read_text()
    assert [path.name for path in samples.iterdir() if path.stem not in source and path.suffix != ".md"] == []
