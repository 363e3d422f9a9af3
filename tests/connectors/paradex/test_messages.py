"""Paradex's frames and bodies decode to what its documents say, and lies in them are refused."""

from __future__ import annotations

import struct
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import FrameError, VenueError
from bus.events import Side
from connectors.paradex import messages as wire
from tests.connectors.paradex import venue


def test_a_snapshot_has_its_market_step_time_and_levels() -> None:
    event = wire.decode(venue.snapshot(7_687_289_234, [(83472.2, 0.01198), (1.0, 5.0)], [(83487.2, 0.00015)]))
    assert isinstance(event, wire.BookEvent)
    assert (event.market, event.seq, event.snapshot, event.ts) == (
        b"BTC-USD-PERP",
        7_687_289_234,
        True,
        1_790_000_000_000_000,
    )
    assert event.levels == ([83472.2, 1.0], [0.01198, 5.0], [83487.2], [0.00015])


def test_the_documented_delta_decodes_byte_by_byte() -> None:
    frame = bytes.fromhex(
        "5900030001000100de4ad449 5d060000".replace(" ", "")
        + "93b932ca01000000"
        + "01"
        + "0000000000000080" * 9
        + "10000100"
        + "0081741796070000"
        + "384a000000000000"
        + "10000000"
        + "0c"
        + b"BTC-USD-PERP".hex()
    )
    event = wire.decode(frame)
    assert isinstance(event, wire.BookEvent)
    assert (event.seq, event.snapshot, event.levels) == (7_687_289_235, False, ([83412.2], [0.00019], [], []))


def test_a_delta_may_have_no_levels() -> None:
    event = wire.decode(venue.book(5, [], []))
    assert isinstance(event, wire.BookEvent)
    assert event.levels == ([], [], [], [])


def test_a_longer_block_and_longer_entries_are_skipped_by_their_stated_lengths() -> None:
    event = wire.decode(venue.book(5, [(2.0, 1.0), (1.0, 1.0)], [(3.0, 4.0)], extra=8))
    assert isinstance(event, wire.BookEvent)
    assert event.levels == ([2.0, 1.0], [1.0, 1.0], [3.0], [4.0])
    assert event.market == b"BTC-USD-PERP"


@pytest.mark.parametrize("cut", range(1, 150))
def test_a_book_frame_cut_anywhere_is_refused(cut: int) -> None:
    frame = venue.book(5, [(2.0, 1.0)], [(3.0, 4.0)])
    assert len(frame) == 150
    with pytest.raises(FrameError):
        wire.decode(frame[:-cut])


def test_bytes_after_the_last_known_string_are_ignored() -> None:
    assert wire.decode(venue.book(5, [], []) + b"more") == wire.decode(venue.book(5, [], []))


@pytest.mark.parametrize(
    ("at", "lie"),
    [
        (0, struct.pack("<H", 88)),  # a block shorter than the schema's
        (0, struct.pack("<H", 60_000)),  # a block beyond the frame
        (24, b"\x02"),  # neither snapshot nor delta
        (97, struct.pack("<H", 8)),  # entries too short for a level
        (97, struct.pack("<H", 40_000)),  # entries beyond the frame
        (99, struct.pack("<H", 65_535)),  # more entries than there are bytes
        (137, b"\x00"),  # no market
        (137, b"\xff"),  # a market longer than the frame
    ],
)
def test_lying_lengths_and_counts_are_refused(at: int, lie: bytes) -> None:
    frame = venue.book(5, [(2.0, 1.0)], [(3.0, 4.0)])
    with pytest.raises(FrameError):
        wire.decode(frame[:at] + lie + frame[at + len(lie) :])


def test_more_wide_entries_than_there_are_bytes_are_refused() -> None:
    frame = venue.header(3, 89) + bytes(89) + struct.pack("<2H", 24, 60_000) + bytes(48)
    with pytest.raises(FrameError, match="60000 entries of 24 bytes"):
        wire.decode(frame)


def test_a_quote_has_a_side_or_null() -> None:
    both = wire.decode(venue.bbo(9, (99.5, 1.0), (100.5, 2.0)))
    assert isinstance(both, wire.BboEvent)
    assert (both.seq, both.touch) == (9, (99.5, 1.0, 100.5, 2.0))
    one = wire.decode(venue.bbo(9, (99.5, 1.0), None))
    assert isinstance(one, wire.BboEvent)
    assert one.touch == (99.5, 1.0, None, None)
    empty = wire.decode(venue.bbo(9, (99.5, 0.0), None))
    assert isinstance(empty, wire.BboEvent)
    assert empty.touch == (None, None, None, None)


def test_half_a_null_side_is_refused() -> None:
    frame = venue.header(2, 48) + struct.pack("<6q", 1, 2, venue.NULL, 5, 6, 7) + venue.text(venue.BTC)
    with pytest.raises(FrameError, match="half"):
        wire.decode(frame)


def test_a_trade_of_version_2_has_its_real_id() -> None:
    event = wire.decode(venue.trade(trade_id="1791421540120201703989430001"))
    assert isinstance(event, wire.TradeEvent)
    made = event.trade
    assert (made.trade_id, event.key) == ("1791421540120201703989430001",) * 2
    assert (made.venue_ns, made.side, made.px, made.sz, made.history, made.category) == (
        1_790_000_000_000_000_000,
        Side.BUY,
        100.5,
        0.25,
        False,
        "trade",
    )


def test_a_trade_without_id_is_known_by_all_that_is_known_of_it() -> None:
    event = wire.decode(venue.trade(trade_id=None))
    assert isinstance(event, wire.TradeEvent)
    assert event.trade.trade_id is None
    assert event.key == (1_001, 1_790_000_000_000_000, 1, venue.e8(100.5), venue.e8(0.25), -5)
    nameless = wire.decode(venue.trade(trade_id=""))
    assert isinstance(nameless, wire.TradeEvent)
    assert nameless.key == event.key


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (1, "trade"),
        (2, "liquidation"),
        (3, "unwind_transfer"),
        (4, "settlement"),
        (5, "rpi"),
        (6, "block"),
        (254, "unspecified"),
    ],
)
def test_trade_types_have_words(kind: int, word: str) -> None:
    event = wire.decode(venue.trade(kind=kind))
    assert isinstance(event, wire.TradeEvent)
    assert event.trade.category == word


@pytest.mark.parametrize(("side", "taker"), [(1, Side.BUY), (2, Side.SELL), (254, None)])
def test_the_side_is_the_takers(side: int, taker: Side | None) -> None:
    event = wire.decode(venue.trade(side=side))
    assert isinstance(event, wire.TradeEvent)
    assert event.trade.side is taker


@pytest.mark.parametrize("frame", [venue.trade(px=0.0), venue.trade(sz=0.0), venue.trade(px=-1.0)])
def test_a_trade_without_a_positive_price_and_size_is_refused(frame: bytes) -> None:
    with pytest.raises(FrameError, match="positive"):
        wire.decode(frame)


def test_a_trade_id_longer_than_the_frame_is_refused_and_odd_bytes_stay_visible() -> None:
    with pytest.raises(FrameError):
        wire.decode(venue.trade()[:-1])
    event = wire.decode(venue.trade()[:-2] + b"\xff7")
    assert isinstance(event, wire.TradeEvent)
    assert event.trade.trade_id == "\\xff7"


@pytest.mark.parametrize(
    ("frame", "rate"),
    [
        (venue.summary(precise=None), (12_345, 8)),
        (venue.summary(), (123_456_789, 12)),
        (venue.summary(appended=1), (123_456_789, 12)),
        (venue.summary(precise=venue.NULL), (12_345, 8)),
        (venue.summary(rate=venue.NULL, precise=None), (None, 8)),
    ],
)
def test_a_summary_has_its_figures_and_the_finest_rate_of_its_version(frame: bytes, rate: tuple[int, int]) -> None:
    event = wire.decode(frame)
    assert isinstance(event, wire.SummaryEvent)
    assert (event.mark_px, event.index_px, event.open_interest) == (83480.1023, 83479.55, 812.34567)
    assert (event.rate, event.digits) == rate


def test_a_summary_shorter_than_version_0_is_refused() -> None:
    with pytest.raises(FrameError, match="216 are known"):
        wire.decode(venue.header(4, 208) + bytes(208) + venue.text(venue.BTC))


def test_null_figures_are_absent() -> None:
    event = wire.decode(venue.summary(mark=venue.NULL, index=venue.NULL, interest=venue.NULL))
    assert isinstance(event, wire.SummaryEvent)
    assert (event.mark_px, event.index_px, event.open_interest) == (None, None, None)


@pytest.mark.parametrize("impact", [None, 31_000])
def test_funding_has_rate_period_and_the_time_of_the_rate(impact: int | None) -> None:
    event = wire.decode(venue.funding(impact=impact))
    assert event == wire.FundingEvent(b"BTC-USD-PERP", 1_790_000_000_000_000, 12_345, 8)
    absent = wire.decode(venue.funding(rate=venue.NULL))
    assert isinstance(absent, wire.FundingEvent)
    assert absent.rate is None


def test_other_templates_and_schemas_are_named_not_refused() -> None:
    assert wire.decode(venue.header(40, 16) + bytes(16)) == wire.OtherEvent(40, 1)
    assert wire.decode(venue.header(3, 89, schema=2)) == wire.OtherEvent(3, 2)


def test_less_than_a_header_is_refused() -> None:
    with pytest.raises(FrameError, match="header"):
        wire.decode(bytes(7))


def test_what_a_broken_frame_may_still_tell() -> None:
    frame = venue.book(5, [(2.0, 1.0)], [])
    assert (wire.template_of(frame), wire.seq_of(frame)) == (3, 5)
    assert (wire.template_of(frame[:7]), wire.seq_of(frame[:23])) == (None, None)


@given(st.integers(min_value=-(2**63) + 1, max_value=2**63 - 1))
def test_every_mantissa_becomes_the_float_of_its_decimal(mantissa: int) -> None:
    assert mantissa / wire.E8 == float(wire.decimal(mantissa, 8)) == float(Decimal(mantissa).scaleb(-8))


@given(st.integers(min_value=1, max_value=10**15 - 1))
def test_prices_of_15_digits_come_back_as_the_same_decimal(mantissa: int) -> None:
    event = wire.decode(
        venue.header(3, 89)
        + struct.pack("<2qB9q", 1, 2, 0, *[venue.NULL] * 9)
        + struct.pack("<2H2q2H", 16, 1, mantissa, 1, 16, 0)
        + venue.text(venue.BTC)
    )
    assert isinstance(event, wire.BookEvent)
    assert Decimal(repr(event.levels[0][0])) == Decimal(mantissa).scaleb(-8)


@pytest.mark.parametrize(
    ("mantissa", "digits", "shown"),
    [(12_345, 8, "0.00012345"), (-6_992, 8, "-0.00006992"), (123_456_789, 12, "0.000123456789"), (0, 8, "0.00000000")],
)
def test_a_rate_is_shown_with_all_its_digits(mantissa: int, digits: int, shown: str) -> None:
    assert wire.decimal(mantissa, digits) == shown


@pytest.mark.parametrize(
    ("us", "ns"), [(1_790_000_000_000_000, 1_790_000_000_000_000_000), (0, None), (venue.NULL, None)]
)
def test_a_time_is_nanoseconds_or_absent(us: int, ns: int | None) -> None:
    assert wire.nanoseconds(us) == ns
    assert wire.nanoseconds(2**63 - 1) is None


def test_answers_and_refusals() -> None:
    ack = wire.decode_text(b'{"jsonrpc":"2.0","id":1,"result":{"channel":"bbo.BTC-USD-PERP"},"usIn":1,"usDiff":2}\n')
    assert (ack.id, ack.result, ack.error) == (1, wire.RpcResult("bbo.BTC-USD-PERP"), None)
    no = wire.decode_text(
        b'{"id":"x","error":{"code":-32600,"message":"invalid subscribe request","data":"invalid channel"}}'
    )
    assert (no.id, no.error) == ("x", wire.RpcError(-32600, "invalid subscribe request", "invalid channel"))


@pytest.mark.parametrize("frame", [b"", b"[]", b'{"id":1.5}', b"\xff\xfe", b"[" * 100_000, b'{"result":7}', b"<html>"])
def test_text_that_is_no_answer_is_refused(frame: bytes) -> None:
    with pytest.raises(FrameError):
        wire.decode_text(frame)


def test_a_request_names_its_channel() -> None:
    assert msgspec.json.decode(wire.request(7, "subscribe", "bbo.BTC-USD-PERP")) == {
        "jsonrpc": "2.0",
        "id": 7,
        "method": "subscribe",
        "params": {"channel": "bbo.BTC-USD-PERP"},
    }


def test_a_market_list_survives_a_row_that_cannot_be_read() -> None:
    rows, bad = wire.market_rows(venue.results(venue.row(), {"symbol": 5}, venue.row(venue.ETH, expiry_at="0")))
    assert ([row.symbol for row in rows], bad) == ([venue.BTC, venue.ETH], 1)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"results":{}}', b"<html></html>", b"[" * 100_000])
def test_bodies_without_results_are_refused(body: bytes) -> None:
    with pytest.raises(FrameError):
        wire.market_rows(body)
    with pytest.raises(FrameError):
        wire.rest_book(body)


def test_a_rest_book_is_sorted_best_first() -> None:
    book = wire.rest_book(venue.rest_book(7, [(1.0, 1.0), (2.0, 5.0)], [(4.0, 1.0), (3.0, 2.0)]))
    assert book.seq_no == 7
    assert book.levels() == ([2.0, 1.0], [5.0, 1.0], [3.0, 4.0], [2.0, 1.0])


@pytest.mark.parametrize("price", ["NaN", "Infinity", "-1", "0"])
def test_a_rest_book_of_impossible_levels_is_refused(price: str) -> None:
    body = f'{{"seq_no":1,"bids":[["{price}","1"],["5","1"]],"asks":[]}}'.encode()
    with pytest.raises(VenueError):
        wire.rest_book(body)


def test_a_summary_is_found_by_its_symbol() -> None:
    assert wire.summary_row(venue.rest_summary(), venue.BTC).mark_price == "68465.17449906"
    with pytest.raises(FrameError, match="no summary of ETH"):
        wire.summary_row(venue.rest_summary(), venue.ETH)
    with pytest.raises(FrameError):
        wire.summary_row(venue.results({"symbol": venue.BTC, "created_at": "x"}), venue.BTC)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("1.5", 1.5),
        (8, 8.0),
        (0.5, 0.5),
        ("", None),
        (None, None),
        ("x", None),
        ("NaN", None),
        ("1e999", None),
        (10**400, None),
    ],
)
def test_numbers_come_as_text_or_numbers_or_not_at_all(value: wire.Loose, found: float | None) -> None:
    assert wire.number(value) == found
