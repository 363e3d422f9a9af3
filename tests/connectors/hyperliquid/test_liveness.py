"""How Hyperliquid's protocol finds what is missing, and what it does: deadlines, keepalive, REST, settled funding."""

from __future__ import annotations

import pytest

from bus.events import Bbo, Book, Delta, Funding, Reason, Source, Trust
from connectors.effects import Fetch
from connectors.hyperliquid import spec
from tests.connectors.drive import WALL, S, books, counted, events, notes, reasons, rejected
from tests.connectors.hyperliquid.venue import ASSETS, TIME, Drive, bbo, book, ctx, echo, sent, trade, trades


def test_a_request_without_any_answer_ends_the_connection() -> None:
    drive = Drive()
    drive.start()
    drive.listed()
    drive.open()
    for _ in range(10):
        drive.wait(0.5)
        drive.tick("BTC", "ETH")
    assert reasons(drive.all) == [Reason.ACK_TIMEOUT]
    assert drive.s == pytest.approx(5.0)


def test_no_book_at_all_after_the_acknowledgements_ends_the_connection() -> None:
    drive = Drive().ready()
    drive.wait(3)
    assert reasons(drive.all) == [Reason.SNAPSHOT_TIMEOUT]


def test_one_book_that_does_not_come_is_asked_for_anew_without_disturbing_the_others() -> None:
    drive = Drive().ready()
    effects = drive.flow(3.5, "ETH")
    assert sent(effects) == ["unsubscribe l2Book:BTC", "unsubscribe bbo:BTC"]
    assert reasons(effects) == []
    drive.frame(echo("l2Book", method="unsubscribe"))
    drive.tick("BTC")
    assert set(drive.trust.values()) == {Trust.LIVE}


def test_a_book_silent_for_half_its_threshold_is_asked_for_anew_and_was_never_stale() -> None:
    drive = Drive(stale_ms=10_000).live()
    effects = drive.flow(5.5, "ETH")
    assert sent(effects) == ["unsubscribe l2Book:BTC", "unsubscribe bbo:BTC"]
    assert sent(drive.frame(echo("l2Book", method="unsubscribe"))) == ["subscribe l2Book:BTC"]
    drive.frame(echo("l2Book"))
    drive.tick("BTC")
    drive.flow(4, "ETH")
    assert Trust.STALE not in {event.trust for event in events(drive.all, Delta)}


def test_a_book_silent_for_its_threshold_is_stale_at_once_and_alone() -> None:
    drive = Drive(stale_ms=10_000).live()
    drive.flow(9.9, "ETH")
    assert drive.trust["BTC-PERP"] is Trust.LIVE
    drive.frame(bbo(time=drive.time))
    effects = drive.flow(0.2, "ETH")
    assert [event.trust for event in events(effects, Delta)] == [Trust.STALE]
    assert [event.trust for event in events(effects, Bbo)] == [Trust.STALE]
    assert reasons(drive.all) == []
    assert drive.trust["ETH-PERP"] is Trust.LIVE


def test_a_market_that_stays_dead_is_asked_for_again_and_again_and_never_costs_the_others_their_connection() -> None:
    drive = Drive(stale_ms=10_000).live()
    effects = drive.flow(99, "ETH")
    assert reasons(effects) == []
    assert 15 <= counted(effects).count("resyncs") <= 25
    assert drive.trust == {"BTC-PERP": Trust.STALE, "ETH-PERP": Trust.LIVE}


@pytest.mark.parametrize("stale_ms", [1_500, 3_000, 10_000])
def test_silence_of_all_books_ends_the_connection_at_the_threshold(stale_ms: int) -> None:
    drive = Drive(stale_ms=stale_ms).live()
    drive.wait(stale_ms / 1e3 - 0.01)
    assert (drive.trust["BTC-PERP"], reasons(drive.all)) == (Trust.LIVE, [])
    effects = drive.wait(0.02)
    assert reasons(effects) == [Reason.STALE_WATCHDOG]
    assert [event.trust for event in events(effects, Delta)] == [Trust.STALE, Trust.STALE]


def test_other_frames_do_not_keep_a_dead_book_alive() -> None:
    drive = Drive("BTC-PERP", stale_ms=10_000).ready()
    drive.tick("BTC")
    for _ in range(11):
        drive.wait(1)
        drive.frame(bbo(time=drive.time))
        drive.frame({"channel": "pong"})
    assert reasons(drive.all) == [Reason.STALE_WATCHDOG]


def test_figures_that_fall_silent_are_asked_for_anew() -> None:
    drive = Drive("BTC-PERP").ready()
    drive.frame(ctx())
    effects = drive.flow(11, "BTC")
    assert sent(effects) == ["unsubscribe activeAssetCtx:BTC"]
    assert sent(drive.frame(echo("activeAssetCtx", method="unsubscribe"))) == ["subscribe activeAssetCtx:BTC"]


# -- keepalive


def test_a_ping_goes_out_every_interval_and_a_pong_settles_it() -> None:
    drive = Drive(ping_interval_ms=15_000).live()
    assert sent(drive.flow(60.5, "BTC", "ETH")) == ["ping :"] * 4
    assert reasons(drive.all) == []


def test_two_pings_unanswered_end_the_connection() -> None:
    drive = Drive(ping_interval_ms=15_000).live()
    while not reasons(drive.all) and drive.s < 60:
        drive.wait(0.5)
        drive.tick("BTC", "ETH")
    assert reasons(drive.all) == [Reason.PONG_TIMEOUT]
    assert drive.s == pytest.approx(40.0)
    assert sent(drive.all).count("ping :") == 2


def test_nothing_is_pinged_while_there_is_no_connection() -> None:
    drive = Drive().live()
    drive.close()
    drive.wait(120)
    assert sent(drive.all).count("ping :") == 0


# -- REST stands in


def fallen(seconds: float = 2.5) -> Drive:
    """A drive whose connection has been gone for so long."""
    drive = Drive().live()
    drive.close()
    drive.wait(seconds)
    return drive


def test_rest_books_are_asked_for_two_seconds_after_the_stream_is_gone() -> None:
    drive = fallen(1.9)
    assert drive.calls("book") == []
    drive.wait(0.2)
    assert [(call.market, call.json, call.weight) for call in drive.calls("book")] == [
        ("BTC-PERP", {"type": "l2Book", "coin": "BTC"}, 2),
        ("ETH-PERP", {"type": "l2Book", "coin": "ETH"}, 2),
    ]


def test_a_rest_book_is_marked_as_such_and_has_the_depth_of_the_stream() -> None:
    drive = fallen()
    bids = [(f"{84143 - n}.0", "1.0") for n in range(20)]
    effects = drive.answer(drive.calls("book")[0], book(time=drive.time, bids=bids)["data"])
    [event] = events(effects, Book)
    assert (event.trust, event.source, event.rebuild, event.depth) == (Trust.REST, Source.REST, 2, 5)
    assert len(event.bid_px) == 5
    assert counted(effects) == ["rest_books"]


def test_rest_books_are_repeated_every_second_until_the_stream_is_back() -> None:
    drive = fallen()
    for tries in range(1, 5):
        drive.answer(drive.calls("book")[-2], book(time=drive.time)["data"])
        drive.answer(drive.calls("book")[-1], book("ETH", time=drive.time)["data"])
        drive.wait(1)
        assert len(drive.calls("book")) == 2 * (tries + 1)
    late = drive.calls("book")[-2]
    drive.open()
    drive.acknowledge()
    drive.tick("BTC", "ETH")
    assert [event.trust for event in events(drive.all, Book)][-2:] == [Trust.LIVE, Trust.LIVE]
    asked = len(drive.calls("book"))
    assert counted(drive.answer(late, book(time=drive.time + 1)["data"])) == ["ignored_frames"]
    drive.flow(5, "BTC", "ETH")
    assert len(drive.calls("book")) == asked


def test_a_rest_book_older_than_what_was_shown_is_ignored() -> None:
    drive = fallen()
    effects = drive.answer(drive.calls("book")[0], book(time=TIME - 1)["data"])
    assert counted(effects) == ["ignored_frames"]
    assert books(effects) == []


def test_a_rest_book_that_is_crossed_is_not_shown() -> None:
    drive = fallen()
    call = drive.calls("book")[0]
    effects = drive.answer(call, book(time=drive.time, bids=[("84150.0", "1")])["data"])
    assert (counted(effects), books(effects)) == (["crossed_books"], [])


def test_a_rest_book_that_grows_old_is_taken_back() -> None:
    drive = fallen()
    drive.answer(drive.calls("book")[0], book(time=drive.time)["data"])
    drive.close()
    drive.wait(9.9)
    assert drive.trust == {"BTC-PERP": Trust.REST, "ETH-PERP": Trust.STALE}
    drive.wait(0.2)
    assert drive.trust == {"BTC-PERP": Trust.STALE, "ETH-PERP": Trust.STALE}


@pytest.mark.parametrize(
    ("status", "body", "problems"),
    [
        (200, b"null", 1),
        (200, b"<html>", 1),
        (200, b'{"coin":"BTC","time":1790000900000,"levels":[[{"px":"-1","sz":"1"}],[]]}', 1),
        (500, b"null", 0),
        (429, b"", 0),
        (None, b"", 0),
    ],
)
def test_an_unusable_rest_book_is_asked_for_again_later(status: int | None, body: bytes, problems: int) -> None:
    drive = fallen()
    effects = drive.answer(drive.calls("book")[0], body, status)
    assert (len(rejected(effects)), books(effects)) == (problems, [])
    drive.wait(35)
    assert len([call for call in drive.calls("book") if call.market == "BTC-PERP"]) >= 2


def test_retry_after_is_obeyed() -> None:
    drive = fallen()
    drive.answer(drive.calls("book")[0], b"", 429, **{"retry-after": "20"})
    asked = len([call for call in drive.calls("book") if call.market == "BTC-PERP"])
    drive.wait(19.9)
    assert len([call for call in drive.calls("book") if call.market == "BTC-PERP"]) == asked
    drive.wait(0.2)
    assert len([call for call in drive.calls("book") if call.market == "BTC-PERP"]) == asked + 1


def test_a_market_without_a_stream_book_is_read_over_rest_while_the_others_stream() -> None:
    drive = Drive(stale_ms=10_000).live()
    drive.flow(13, "ETH")
    assert {call.market for call in drive.calls("book")} == {"BTC-PERP"}


# -- settled funding


def row(hour: int, rate: str = "0.0000125") -> dict[str, object]:
    return {"coin": "BTC", "fundingRate": rate, "premium": "0.0001", "time": hour * 3_600_000 + 58}


HOUR = WALL // (3_600 * S)


def funded(body: object) -> tuple[Drive, list[Funding]]:
    drive = Drive("BTC-PERP").ready()
    drive.flow(6, "BTC")
    [call] = drive.calls("funding")
    return drive, events(drive.answer(call, body), Funding)


def test_settled_funding_is_stamped_with_its_hour() -> None:
    drive, [event] = funded([row(HOUR - 1, "0.1"), row(HOUR, "-0.0000081")])
    assert event == Funding(HOUR * 3_600 * S, -0.0000081, "-0.0000081", 1.0, True, (HOUR + 1) * 3_600 * S)
    [call] = drive.calls("funding")
    assert call.json == {"type": "fundingHistory", "coin": "BTC", "startTime": TIME + 5_000 - 7_200_000}
    drive.flow(2_700, "BTC")
    assert len(drive.calls("funding")) == 1
    drive.flow(101, "BTC")
    assert len(drive.calls("funding")) == 2


@pytest.mark.parametrize("body", [[], [row(HOUR - 1)]])
def test_an_hour_that_is_missing_is_asked_for_again_a_minute_later(body: list[object]) -> None:
    drive, _ = funded(body)
    drive.flow(60.5, "BTC")
    assert len(drive.calls("funding")) == 2
    assert events(drive.answer(drive.calls("funding")[-1], body), Funding) == []


def test_an_impossible_rate_is_rejected_and_the_poll_goes_on() -> None:
    drive, found = funded([row(HOUR, "7.0")])
    assert found == []
    drive.flow(61, "BTC")
    assert len(drive.calls("funding")) == 2


def test_answers_for_a_market_that_is_gone_change_nothing() -> None:
    drive = Drive().live()
    drive.flow(901, "BTC", "ETH")
    call = Fetch("book", "x", "BTC-PERP")
    drive.listed(ASSETS[1])
    assert books(drive.answer(call, book(time=drive.time)["data"])) == []
    assert drive.calls("funding")
    assert spec.SPEC.rest is not None


# -- trades


def volume(drive: Drive, *figures: str | None) -> list[str]:
    """A context a second with these volumes: what is sent."""
    found = []
    for figure in figures:
        found += sent(drive.flow(1, "BTC"))
        found += sent(drive.frame(ctx() if figure is None else ctx(dayBaseVlm=figure)))
    return [text for text in found if "trades" in text]


def test_trades_that_the_volume_shows_and_nobody_sent_are_asked_for_anew() -> None:
    drive = Drive("BTC-PERP").ready()
    drive.frame(trades(trade(time=drive.time)))
    assert volume(drive, *(str(100 + n) for n in range(14))) == []
    assert volume(drive, "200", "201", "202") == ["unsubscribe trades:BTC"]
    assert "stream_dead" in notes(drive.all)
    assert sent(drive.frame(echo("trades", method="unsubscribe"))) == ["subscribe trades:BTC"]


def test_a_volume_that_grows_by_the_last_trade_or_falls_proves_nothing() -> None:
    drive = Drive("BTC-PERP").ready()
    for number in range(4):
        drive.frame(trades(trade(tid=number + 2, time=drive.time)))
        assert volume(drive, None, *([str(100 + number)] * 5), *([str(99 + number)] * 10)) == []
