"""Faults as a client sees them: over sockets, set and taken away by the control API."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest
import requests
import websocket

from simulator.fault_hook import FaultHook
from tests.simulator.faulty import add, chain_breaks, is_update, remove, subscribed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Eventually
    from tests.simulator.conftest import Running

    Simulate = Callable[..., Running]


def test_a_fault_has_an_end_and_a_log(lighter: Running, eventually: Eventually) -> None:
    began = time.time_ns()
    fault = add(lighter, "stall", venue="lighter", at_s=0.1, for_s=0.2)
    assert [one["id"] for one in lighter.control("GET", "/faults").json()["scheduled"]] == [fault]
    log = eventually(lambda: lighter.control("GET", "/faults").json()["log"])
    assert log[0]["id"] == fault
    assert log[0]["began_ns"] - began >= 90_000_000
    assert log[0]["ended_ns"] - log[0]["began_ns"] >= 190_000_000
    assert lighter.call(lambda: lighter.simulator.mischief.hook.idle)


def test_faults_are_deleted_by_id_or_all_at_once(lighter: Running) -> None:
    add(lighter, "stall", at_s=100)
    add(lighter, "deaf")
    assert lighter.control("DELETE", "/faults/f99").status_code == 404
    assert lighter.control("DELETE", "/faults").json() == {"ended": 2}
    report = lighter.control("GET", "/faults").json()
    assert (report["active"], report["scheduled"], len(report["log"])) == ([], [], 2)


def test_a_list_is_scheduled_whole_or_not_at_all(lighter: Running) -> None:
    bad = lighter.control("POST", "/faults", json=[{"fault": "stall"}, {"fault": "nothing"}])
    assert bad.status_code == 400
    assert "unknown fault 'nothing'" in bad.json()["error"]
    assert lighter.control("GET", "/faults").json()["active"] == []
    assert lighter.control("POST", "/faults", data="{").status_code == 400
    good = lighter.control("POST", "/faults", json=[{"fault": "stall"}, {"fault": "deaf"}])
    assert len(good.json()["ids"]) == 2


def test_the_catalogue_explains_itself(lighter: Running) -> None:
    catalogue = lighter.control("GET", "/faults/catalogue").json()
    assert catalogue["gap"] == {
        "params": {"kinds": "", "times": 1, "every": 1, "count": 1},
        "about": "so many book frames in a row are lost",
    }


@pytest.mark.parametrize("code", [1000, 1001, 1012, 4001])
def test_connections_end_with_the_code_asked_for(lighter: Running, code: int) -> None:
    client = subscribed(lighter)
    add(lighter, "close", venue="lighter", params={"code": code, "reason": "so"})
    closed = client.until_closed()
    assert (closed.code, closed.reason) == (code, "so")
    assert lighter.control("GET", "/faults").json()["log"][0]["applied"] == 1


def test_connections_of_one_market_end_where_the_path_names_it(simulate: Simulate) -> None:
    running = simulate(venues=("extended",))
    path = "/stream.extended.exchange/v1/orderbooks/{}?depth=1"
    options = {"header": ["User-Agent: test"]}
    one, other = (running.connect("extended", path.format(symbol), **options) for symbol in ("BTC-USD", "ETH-USD"))
    add(running, "close", market="BTC-PERP", params={"code": 1001})
    assert one.until_closed().code == 1001
    assert other.next()["data"]["m"] == "ETH-USD"


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_connections_end_without_a_word(lighter: Running, how: str) -> None:
    client = subscribed(lighter)
    add(lighter, how, venue="lighter")
    assert client.until_closed().code == 1006


def test_a_reset_is_a_reset(lighter: Running) -> None:
    client = lighter.connect("lighter", "/stream")
    client.next()
    add(lighter, "reset", venue="lighter")
    assert client.ws.sock is not None
    with pytest.raises(ConnectionResetError):
        client.ws.sock.recv(1)


def test_a_refusing_port_serves_again(lighter: Running) -> None:
    client = subscribed(lighter)
    fault = add(lighter, "refuse", venue="lighter", params={"drop": True})
    assert client.until_closed().code == 1006
    with pytest.raises(ConnectionRefusedError):
        lighter.connect("lighter", "/stream")
    with pytest.raises(requests.ConnectionError):
        lighter.get("lighter", "/")
    lighter.connect("hyperliquid", "/ws").send({"method": "ping"})
    remove(lighter, fault)
    assert subscribed(lighter).until(is_update)


def test_open_connections_survive_a_refusing_port(lighter: Running) -> None:
    client = subscribed(lighter)
    client.until(is_update)
    add(lighter, "refuse", venue="lighter")
    assert chain_breaks(client, 20) == 0


def test_a_black_hole_swallows_connects(lighter: Running) -> None:
    add(lighter, "blackhole", venue="lighter")
    host, port = lighter.rest("lighter").removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(b"GET /stream HTTP/1.1\r\n\r\n")
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)


@pytest.mark.parametrize("kind", ["accept_close", "accept_reset"])
def test_accepted_connections_end_at_once(lighter: Running, kind: str) -> None:
    add(lighter, kind, venue="lighter")
    with pytest.raises((ConnectionError, websocket.WebSocketException)):
        lighter.connect("lighter", "/stream")


def test_the_last_of_two_port_faults_counts_and_the_first_remains(lighter: Running) -> None:
    add(lighter, "refuse", venue="lighter")
    second = add(lighter, "accept_close", venue="lighter")
    listener = lighter.simulator.listeners["lighter"]
    modes: list[str] = [listener.mode]
    remove(lighter, second)
    modes.append(listener.mode)
    lighter.control("DELETE", "/faults")
    assert [*modes, listener.mode] == ["accept_close", "refuse", "serve"]


def test_an_upgrade_can_be_followed_by_a_close(lighter: Running) -> None:
    add(lighter, "greet_close", venue="lighter", params={"code": 1013})
    assert lighter.connect("lighter", "/stream").until_closed().code == 1013


@pytest.mark.parametrize("status", [401, 403, 418, 429, 503])
def test_upgrades_are_refused_with_the_status_asked_for(lighter: Running, status: int) -> None:
    add(lighter, "handshake", venue="lighter", params={"status": status, "retry_after": 3})
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        lighter.connect("lighter", "/stream")
    assert caught.value.status_code == status
    assert {key.lower(): value for key, value in (caught.value.resp_headers or {}).items()}["retry-after"] == "3"
    assert lighter.get("lighter", "/").status_code == 200


def test_a_slow_upgrade_succeeds_late(lighter: Running) -> None:
    add(lighter, "handshake", venue="lighter", params={"delay_s": 0.4})
    began = time.monotonic()
    assert lighter.connect("lighter", "/stream").next()["type"] == "connected"
    assert time.monotonic() - began >= 0.4


def test_a_skewed_clock_is_printed_and_translated_back(lighter: Running) -> None:
    add(lighter, "clock_skew", venue="hyperliquid", params={"offset_s": -5.0})
    client = lighter.connect("hyperliquid", "/ws")
    client.send({"method": "subscribe", "subscription": {"type": "l2Book", "coin": "BTC", "fast": True}})
    data = client.until(lambda value: value["channel"] == "l2Book")["data"]
    assert 4.5 < time.time() - data["time"] / 1000 < 15
    truth = lighter.truth("hyperliquid", "BTC-PERP", ts_ms=data["time"])
    shown = [[float(level["px"]), float(level["sz"])] for level in data["levels"][0]]
    assert shown == [[float(price), float(size)] for price, size in truth["bids"][:5]]
    assert lighter.state()["venues"]["lighter"]["skew_us"] == 0


def test_skews_drift_add_up_and_go_away(lighter: Running, eventually: Eventually) -> None:
    clock = lighter.simulator.venues["lighter"].clock
    add(lighter, "clock_skew", venue="lighter", params={"offset_s": 5.0})
    add(lighter, "clock_skew", venue="lighter", params={"offset_s": 0.0, "drift": 1.0})
    eventually(lambda: clock.skew_us > 5_400_000)
    lighter.control("DELETE", "/faults")
    assert clock.skew_us == 0


def test_rest_fails_hangs_crawls_and_babbles(lighter: Running) -> None:
    fault = add(lighter, "rest_error", venue="lighter", params={"status": 418, "retry_after": 2, "path": "funding"})
    answer = lighter.get("lighter", "/api/v1/funding-rates")
    assert (answer.status_code, answer.headers["Retry-After"]) == (418, "2")
    assert lighter.get("lighter", "/").status_code == 200
    remove(lighter, fault)
    fault = add(lighter, "rest_slow", venue="lighter", params={"delay_s": 0.3})
    assert lighter.get("lighter", "/").elapsed.total_seconds() >= 0.3
    remove(lighter, fault)
    fault = add(lighter, "rest_garbage", venue="lighter")
    with pytest.raises(requests.JSONDecodeError):
        lighter.get("lighter", "/").json()
    remove(lighter, fault)
    add(lighter, "rest_timeout", venue="lighter", params={"hold_s": 0.3})
    with pytest.raises(requests.ConnectionError):
        lighter.get("lighter", "/")


def test_connections_end_at_an_age(lighter: Running) -> None:
    add(lighter, "lifetime", venue="lighter", params={"after_s": 0.5, "how": "close", "code": 1001})
    began = time.monotonic()
    client = lighter.connect("lighter", "/stream")
    assert client.until_closed().code == 1001
    assert time.monotonic() - began >= 0.4


def test_maintenance_ends_and_refuses_everything_for_a_while(lighter: Running, eventually: Eventually) -> None:
    clients = [lighter.connect("lighter", "/stream"), lighter.connect("hyperliquid", "/ws")]
    add(lighter, "maintenance", params={"retry_after": 1}, for_s=1.5)
    assert [client.until_closed().code for client in clients] == [1012, 1012]
    for venue, path in (("lighter", "/stream"), ("hyperliquid", "/ws")):
        with pytest.raises(websocket.WebSocketBadStatusException, match="503"):
            lighter.connect(venue, path)
    assert lighter.get("lighter", "/").status_code == 503
    eventually(lambda: lighter.get("lighter", "/").status_code == 200)
    assert subscribed(lighter).until(is_update)


def test_faults_of_a_scenario_file_begin_by_themselves(
    simulate: Simulate, run_dir: Path, eventually: Eventually
) -> None:
    path = run_dir / "s.toml"
    path.write_text('[[fault]]\nfault = "close"\nvenue = "lighter"\nat_s = 0.4\nparams = { code = 1008 }\n')
    running = simulate(venues=("lighter",), scenario=path)
    assert running.connect("lighter", "/stream").until_closed().code == 1008
    assert eventually(lambda: running.control("GET", "/faults").json()["log"])[0]["fault"] == "close"


def test_a_run_without_faults_skips_the_hook(lighter: Running) -> None:
    hook = lighter.simulator.mischief.hook
    assert isinstance(hook, FaultHook)
    assert hook.idle
