"""The Paradex protocol when a connection is lost, and when frames are not what they should be."""

from __future__ import annotations

import pytest

from bus.events import Book, Trade, Trust
from connectors.effects import Send
from connectors.feed import Rebuilds, SeenTrades
from connectors.paradex.protocol import Paradex, protocol
from connectors.venue import Context
from tests.connectors.paradex import venue
from tests.connectors.paradex.venue import Driver, counted, events, notes, of, rejects

BIDS, ASKS = [(99.0, 1.0)], [(101.0, 2.0), (102.0, 3.0)]


@pytest.fixture
def driver() -> Driver:
    return Driver().live()


# -- closing


def test_a_lost_connection_makes_everything_stale_first_and_starts_anew(driver: Driver) -> None:
    driver.push(venue.bbo(1_000, BIDS[0], ASKS[0]))
    effects = driver.closed()
    assert {mirror.trust for mirror in driver.mirrors.values()} == {Trust.STALE}
    assert driver.btc.quote is not None
    assert driver.btc.quote.trust is Trust.STALE
    assert of(effects, Send) == []
    sent = driver.opened()
    assert len(driver.requests(sent)) == 15
    (book,) = events(driver.push(venue.snapshot(400, BIDS, ASKS)), Book)
    assert (book.rebuild, book.trust, book.venue_seq) == (2, Trust.LIVE, 400)


def test_trades_seen_before_a_reconnect_are_not_published_again(driver: Driver) -> None:
    driver.push(venue.trade())
    driver.closed()
    driver.opened()
    assert events(driver.push(venue.trade()), Trade) == []


# -- bad frames


def test_a_garbled_book_frame_is_held_against_the_book_whose_step_it_was(driver: Driver) -> None:
    effects = driver.push(venue.book(2_001, [(98.0, 1.0)], [], venue.ETH)[:-5])
    assert len(rejects(effects)) == 1
    assert [m.trust for m in driver.mirrors.values()] == [Trust.LIVE, Trust.RESYNC, Trust.LIVE]


@pytest.mark.parametrize("frame", [b"", b"\x59", venue.book(77, [], [])[:20], venue.book(77, [], [])[:60]])
def test_what_may_have_been_any_books_step_is_held_against_all(driver: Driver, frame: bytes) -> None:
    effects = driver.push(frame)
    assert len(rejects(effects)) == 1
    assert {m.trust for m in driver.mirrors.values()} == {Trust.RESYNC}
    assert counted(effects) == {"resyncs": 3}


def test_a_garbled_quote_is_held_against_every_quote_and_no_book(driver: Driver) -> None:
    driver.push(venue.bbo(1_001, BIDS[0], ASKS[0]))
    driver.push(venue.bbo(1_002, BIDS[0], ASKS[0])[:-3])
    assert driver.btc.quote is not None
    assert driver.btc.quote.trust is Trust.RESYNC
    assert driver.btc.live


def test_a_garbled_figure_harms_nothing(driver: Driver) -> None:
    for frame in (venue.trade(), venue.summary(), venue.funding()):
        effects = driver.push(frame[:40])
        assert len(rejects(effects)) == 1
    assert driver.btc.live


def test_templates_that_are_not_used_or_not_known(driver: Driver) -> None:
    assert counted(driver.push(venue.header(40, 16) + bytes(16))) == {"ignored_frames": 1}
    unknown = venue.header(99, 16) + bytes(16)
    assert notes(driver.push(unknown)) == ["template_unknown"]
    effects = driver.push(unknown, venue.header(3, 16, schema=9) + bytes(16))
    assert counted(effects) == {"unknown_frames": 2}
    assert notes(effects) == ["template_unknown"]


def test_a_market_that_was_not_asked_for_is_counted(driver: Driver) -> None:
    frames = [venue.bbo(5, BIDS[0], None, "X-USD-PERP"), venue.book(5, [], [], "X-USD-PERP"), venue.summary(market="Y")]
    effects = driver.push(*frames)
    assert counted(effects) == {"unknown_frames": 3}
    assert driver.btc.live


def test_a_books_next_step_under_another_name_is_a_step_that_it_lost(driver: Driver) -> None:
    effects = driver.push(venue.book(1_001, [(98.0, 1.0)], [], "BTD-USD-PERP"))
    assert len(rejects(effects)) == 1
    assert driver.btc.trust is Trust.RESYNC
    assert driver.mirrors["ETH-PERP"].live


def test_the_factory_makes_a_protocol() -> None:
    made = protocol(Context(venue.settings(), Rebuilds(), SeenTrades()))
    assert isinstance(made, Paradex)
    assert made.deadline is None


def test_notes_are_bounded(driver: Driver) -> None:
    told = [notes(driver.push(venue.header(100 + index, 0))) for index in range(300)]
    assert 0 < sum(map(len, told)) <= 200
