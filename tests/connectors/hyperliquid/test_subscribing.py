"""How Hyperliquid's protocol asks for streams: answers, refusals, and the coin that kills the connection."""

from __future__ import annotations

from bus.events import Reason, Trust
from tests.connectors.drive import counted, notes, reasons
from tests.connectors.hyperliquid.venue import (
    Drive,
    book,
    echo,
    sent,
)

CROSSED = book(bids=[("84150.0", "1.0")], asks=[("84150.0", "1.0")])


# -- acknowledgements and errors


def test_an_acknowledgement_of_nothing_is_ignored() -> None:
    drive = Drive().ready()
    assert counted(drive.frame(echo("l2Book", "SOL"))) == ["ignored_frames"]


def test_already_subscribed_is_as_good_as_an_acknowledgement() -> None:
    drive = Drive("BTC-PERP")
    drive.start()
    drive.listed()
    drive.open()
    subscription = '{"type":"%s","coin":"BTC","nSigFigs":null,"mantissa":null,"fast":true}'
    for kind in ("l2Book", "bbo", "trades", "activeAssetCtx"):
        assert drive.frame({"channel": "error", "data": "Already subscribed: " + subscription % kind}) == []
    drive.frame(book())
    assert reasons(drive.wait(9)) == []


def test_already_unsubscribed_lets_the_subscription_go_on() -> None:
    drive = Drive().live()
    drive.frame(CROSSED)
    text = 'Already unsubscribed: {"type":"l2Book","coin":"BTC","nSigFigs":null,"mantissa":null,"fast":true}'
    assert sent(drive.frame({"channel": "error", "data": text})) == ["subscribe l2Book:BTC"]


def refusal(kind: str = "bbo") -> dict[str, str]:
    request = f'{{"method":"subscribe","subscription":{{"type":"{kind}","coin":"BTC"}}}}'
    return {"channel": "error", "data": f"Error parsing JSON into valid websocket request: {request}"}


def test_a_refused_subscription_is_tried_on_another_connection() -> None:
    drive = Drive()
    drive.start()
    drive.listed()
    drive.open()
    effects = drive.frame(refusal())
    assert notes(effects) == ["venue_error"]
    assert reasons(effects) == [Reason.SUBSCRIBE_ERROR]


def test_a_subscription_refused_twice_does_not_cost_the_others_any_more() -> None:
    drive = Drive()
    drive.start()
    drive.listed()
    drive.open()
    drive.frame(refusal())
    drive.open()
    assert reasons(drive.frame(refusal())) == []
    for coin in ("BTC", "ETH"):
        for kind in ("l2Book", "bbo", "trades", "activeAssetCtx"):
            drive.frame(echo(kind, coin))
    for _ in range(10):
        drive.wait(1)
        drive.tick("BTC", "ETH")
    assert reasons(drive.all) == [Reason.SUBSCRIBE_ERROR]
    assert set(drive.trust.values()) == {Trust.LIVE}


def test_an_error_about_nothing_that_waits_is_only_noted() -> None:
    drive = Drive().live()
    effects = drive.frame({"channel": "error", "data": "Cannot track more than 15 total users"})
    assert notes(effects) == ["venue_error"]
    assert reasons(effects) == []


# -- the silent killer


def burst(drive: Drive) -> list[str]:
    """Open a connection and let it die of its first coin that is poison, as the venue does: without a word."""
    requests = sent(drive.open())
    asked = list(requests)
    while requests:
        kind, _, coin = requests.pop(0).removeprefix("subscribe ").partition(":")
        if coin == "ETH":
            drive.wait(0.1)
            drive.close()
            break
        for request in sent(drive.frame(echo(kind, coin))):
            requests.append(request)
            asked.append(request)
    return asked


def test_a_coin_that_kills_the_connection_is_found_and_left_out() -> None:
    drive = Drive("ETH-PERP", "BTC-PERP", "SOL-PERP")
    drive.start()
    drive.listed()
    assert len(burst(drive)) == 12
    assert notes(drive.all)[-1] == "died_after_subscribing"
    assert burst(drive) == ["subscribe l2Book:ETH"]
    second = burst(drive)
    assert second[-1] == "subscribe l2Book:ETH"
    assert len(second) == 9
    assert notes(drive.all)[-1] == "market_barred"
    last = burst(drive)
    assert drive.is_open
    assert {request.partition(":")[2] for request in last} == {"BTC", "SOL"}
    drive.frame(book("BTC"))
    assert drive.trust == {"BTC-PERP": Trust.LIVE}


def test_a_barred_market_is_given_another_chance_when_rest_knows_it() -> None:
    drive = Drive("ETH-PERP", "BTC-PERP")
    drive.start()
    drive.listed()
    for _ in range(4):
        burst(drive)
    drive.wait(3)
    [call] = [call for call in drive.calls("book") if call.market == "ETH-PERP"][-1:]
    drive.answer(call, book("ETH", drive.time)["data"])
    assert drive.trust["ETH-PERP"] is Trust.REST
    drive.close()
    assert "subscribe l2Book:ETH" in sent(drive.open())


def test_a_server_that_hangs_up_on_everybody_bars_nobody() -> None:
    drive = Drive()
    drive.start()
    drive.listed()
    for _ in range(10):
        drive.open()
        drive.close()
    assert "market_barred" not in notes(drive.all)
    drive.open()
    for _ in range(8):
        drive.acknowledge()
    assert len(set(sent(drive.all))) == 8


def test_a_connection_that_dies_later_is_no_suspect() -> None:
    drive = Drive().live()
    drive.wait(3)
    drive.close()
    assert len(sent(drive.open())) == 8
    drive.acknowledge()
    drive.close()
    assert len(sent(drive.open())) == 8
