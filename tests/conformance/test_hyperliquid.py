"""Every recorded Hyperliquid payload yields what its folder's README says, or a counted rejection."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.events import Bbo, Book, Funding, Instrument, Side, Source, Stats, Trade, Trust
from connectors.effects import Effects, Fetch
from connectors.hyperliquid import messages
from tests.connectors.drive import Frame, counted, events, notes, rejected
from tests.connectors.hyperliquid.venue import Drive

MARKETS = ("BTC-PERP", "ETH-PERP", "SOL-PERP", "DYDX-PERP", "KPEPE-PERP")
ASSETS: list[Frame] = [{"name": name, "szDecimals": 1} for name in ("BTC", "ETH", "SOL", "DYDX", "kPEPE")]


@pytest.fixture
def samples(conformance_dir: Path) -> Path:
    """The folder of Hyperliquid's payloads."""
    return conformance_dir / "hyperliquid" / "samples"


def drive() -> Drive:
    """Every coin of the samples listed and subscribed."""
    found = Drive(*MARKETS)
    found.start()
    found.listed(*ASSETS)
    found.open()
    return found


def frames(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return [line for line in data.splitlines() if line.strip()] if path.suffix == ".jsonl" else [data]


def play(path: Path, *, fresh: bool = True) -> list[Effects]:
    """Effects of each frame; ``fresh``: each on a connection of its own, for the lines of a file may be unrelated."""
    one = drive()
    return [(drive() if fresh else one).frame(frame) for frame in frames(path)]


@pytest.mark.parametrize(
    ("name", "books"),
    [
        ("ws_l2book_default_20levels.json", [("BTC", 106217.0, 106233.0, 5)]),
        ("ws_l2book_default_trimmed.jsonl", [("BTC", 84143.0, 84144.0, 3), ("kPEPE", 0.004411, 0.004413, 3), None]),
        ("ws_l2book_empty_delisted.json", [None]),
    ],
)
def test_books(samples: Path, name: str, books: list[tuple[str, float, float, int] | None]) -> None:
    for effects, expected in zip(play(samples / name), books, strict=True):
        if expected is None:
            assert counted(effects) == ["ignored_frames"]
            continue
        [event] = events(effects, Book)
        assert (event.bid_px[0], event.ask_px[0], len(event.bid_px)) == expected[1:]
        assert (event.trust, event.depth) == (Trust.LIVE, 5)


def test_a_book_then_a_quote_then_the_next_book(samples: Path) -> None:
    first, quote, second = play(samples / "ws_l2book_fast_then_bbo.jsonl", fresh=False)
    [one], [touch], [two] = events(first, Book), events(quote, Bbo), events(second, Book)
    assert len(one.bid_px) == len(two.ask_px) == 5
    assert (touch.bid_px, touch.ask_px) == (two.bid_px[0], two.ask_px[0])
    assert set(one.bid_px) - set(two.bid_px) == {63460.0}


def test_quotes(samples: Path) -> None:
    found = [events(effects, Bbo) for effects in play(samples / "ws_bbo.jsonl")]
    assert [event.bid_px for [event] in found] == [84143.0, 69172.0, 63457.0]


def test_trades(samples: Path) -> None:
    [[one], [two]] = [events(effects, Trade) for effects in play(samples / "ws_trades.jsonl")]
    assert (one.side, one.px, one.sz, one.trade_id) == (Side.SELL, 84143.0, 0.00036, "1790232216193-1045359869404765")
    assert two.venue_ns == 1751430933565 * 1_000_000


def test_replayed_trades_are_history(samples: Path) -> None:
    [effects] = play(samples / "ws_trades_replay_on_subscribe.json")
    assert [(event.history, event.side) for event in events(effects, Trade)] == [(True, Side.BUY), (True, Side.BUY)]


def test_figures(samples: Path) -> None:
    one, two = play(samples / "ws_active_asset_ctx.jsonl")
    assert events(one, Stats) == [Stats(None, 84148.0, 84198.0, 36585.31848)]
    assert [event.rate_hourly for event in events(one, Funding)] == [0.0000018952]
    assert [event.rate_hourly for event in events(two, Funding)] == [0.0000125]


def test_acknowledgements(samples: Path) -> None:
    effects = play(samples / "ws_acks.jsonl")
    assert [counted(found) for found in effects] == [[], [], [], [], []]
    assert [rejected(found) for found in effects] == [[], [], [], [], []]


def test_errors(samples: Path) -> None:
    duplicate, *others = play(samples / "ws_errors.jsonl")
    # The duplicate is of the slow book, but one and the same stream here.
    assert (notes(duplicate), rejected(duplicate)) == ([], [])
    assert [notes(effects) for effects in others] == [["venue_error"], ["venue_error"]]


UNKNOWN = {
    "ws_all_dexs_asset_ctxs_trimmed.json": 1,
    "ws_all_mids_trimmed.json": 1,
    "ws_l2_undocumented_snapshot_shape.json": 1,
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_channels_that_are_not_used_are_counted_as_unknown(samples: Path, name: str) -> None:
    assert [counted(effects) for effects in play(samples / name)] == [["unknown_frames"]] * UNKNOWN[name]


NO_FRAMES = {
    "ws_subscribe_requests.jsonl": "what a client sends",
    "ws_fast_asset_ctxs_vector.json": "a self-test vector",
}


@pytest.mark.parametrize("name", NO_FRAMES)
def test_what_is_no_frame_of_the_venue_is_rejected(samples: Path, name: str) -> None:
    assert all(len(rejected(effects)) == 1 for effects in play(samples / name))


def test_a_ping_is_ours_and_a_pong_theirs(samples: Path) -> None:
    ping, pong = play(samples / "ws_ping_pong.jsonl")
    assert (len(rejected(ping)), pong) == (1, [])


@pytest.mark.parametrize("name", ["ws_post_l2book.jsonl", "ws_l2_undocumented_delta.jsonl"])
def test_other_channels_beside_notes_of_the_recorder(samples: Path, name: str) -> None:
    found = play(samples / name)
    assert all(counted(effects) == ["unknown_frames"] or len(rejected(effects)) == 1 for effects in found)
    assert any(counted(effects) == ["unknown_frames"] for effects in found)


def rest(name: str, body: bytes, status: int = 200) -> Effects:
    found = drive()
    found.close()
    found.wait(3)
    calls: dict[str, Callable[[], Fetch]] = {
        "markets": lambda: found.calls("markets")[0],
        "book": lambda: next(call for call in found.calls("book") if call.market == "DYDX-PERP"),
        "funding": lambda: Fetch("funding", "", "BTC-PERP"),
    }
    return found.answer(calls[name](), body, status)


def test_the_market_list(samples: Path) -> None:
    for name in ("rest_meta.json", "rest_meta_testnet.json"):
        found = messages.body("markets", (samples / name).read_bytes())
        assert isinstance(found, messages.Universe)
        ticks = {asset.name: messages.instrument(asset).tick for asset in found.universe}
        assert ticks["BTC"] == "0.1"
        assert ticks["SOL"] == "0.0001"
    meta = json.loads((samples / "rest_meta_and_asset_ctxs.json").read_text())[0]
    effects = rest("markets", json.dumps(meta).encode())
    assert notes(effects) == ["market_unavailable"] * 3
    assert [event.lot for event in events(effects, Instrument)] == ["0.00001", "0.0001"]


def test_the_market_list_with_contexts_is_no_market_list(samples: Path) -> None:
    assert len(rejected(rest("markets", (samples / "rest_meta_and_asset_ctxs.json").read_bytes()))) == 1


def test_a_rest_book(samples: Path) -> None:
    data = json.loads((samples / "rest_l2book_full_2023.json").read_text())
    [event] = events(rest("book", json.dumps(data).encode()), Book)
    assert (event.source, event.trust, event.bid_px[0], len(event.ask_px)) == (Source.REST, Trust.REST, 2.111, 5)
    assert len(rejected(rest("book", (samples / "rest_l2book_unknown_coin.json").read_bytes()))) == 1


def test_settled_funding(samples: Path) -> None:
    [event] = events(rest("funding", (samples / "rest_funding_history.json").read_bytes()), Funding)
    assert (event.rate_hourly, event.settled, event.venue_ns) == (0.0000125, True, 1787950800 * 10**9)


@pytest.mark.parametrize("name", ["rest_predicted_fundings.json", "rest_exchange_status.json"])
def test_answers_that_are_not_asked_for_are_rejected(samples: Path, name: str) -> None:
    for call in ("markets", "book", "funding"):
        assert len(rejected(rest(call, (samples / name).read_bytes()))) == 1


def test_rest_errors(samples: Path) -> None:
    for line in frames(samples / "rest_errors.jsonl"):
        reply = json.loads(line)
        effects = rest("funding", reply["body"].encode(), reply["status"])
        assert events(effects) == []


def test_every_sample_is_looked_at(samples: Path) -> None:
    text = Path(__file__).read_text()
    assert [path.name for path in samples.iterdir() if path.suffix != ".md" and f'"{path.name}"' not in text] == []
