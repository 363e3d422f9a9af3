"""Ports, TLS, the control API, and a clean end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import requests
import websocket

from simulator.frames import Frame
from simulator.server import Simulator, write_atomically
from simulator.settings import Settings
from simulator.tls import server_context
from simulator.venues.lighter.facts import FIRST_NONCE
from simulator.venues.lighter.venue import Lighter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Eventually
    from tests.simulator.conftest import Running

    Simulate = Callable[..., Running]


def test_ports_are_fixed_offsets_from_a_base() -> None:
    settings = Settings(port_base=18090)
    names = ("hyperliquid", "paradex", "lighter", "extended", "aster")
    assert settings.port(None) == 18090
    assert [settings.port(name) for name in names] == [18091, 18092, 18093, 18094, 18095]
    assert Settings(port_base=0).port("aster") == 0


def test_the_truth_is_found_by_venue_and_market_only(simulate: Simulate) -> None:
    running = simulate(venues=("lighter", "hyperliquid"))
    for path in ("/truth/lighter/NOPE-PERP", "/truth/nowhere/BTC-PERP"):
        assert running.control("GET", path).status_code == 404
    assert running.control("GET", "/truth/lighter/BTC-PERP?seq=x").status_code == 400
    assert running.control("GET", "/truth/lighter/BTC-PERP?seq=1").status_code == 404
    answer = running.control("GET", "/truth/hyperliquid/BTC-PERP?seq=1")
    assert answer.status_code == 404
    assert "no sequence" in answer.json()["error"]


def test_the_truth_now_has_book_trades_and_rates(simulate: Simulate) -> None:
    running = simulate(venues=("lighter",))
    truth = running.truth("lighter", "BTC-PERP")
    assert truth["trades_total"] >= 100
    assert truth["last_trade"]["side"] in {"buy", "sell"}
    assert truth["next_funding_ms"] - truth["funding_settled_at_ms"] == 3_600_000
    assert abs(truth["ts_ms"] - time.time() * 1000) < 60_000
    assert float(truth["bids"][0][0]) < float(truth["mark"]) * 1.01
    assert len(truth["bids"]) >= 30


def test_a_seed_repeats_itself(simulate: Simulate) -> None:
    books = []
    for seed in (5, 5, 6):
        running = simulate(venues=("lighter",), seed=seed)
        books.append(running.call(partial(_first_book, running)))
    assert books[0] == books[1] != books[2]


def _first_book(running: Running) -> tuple[object, object]:
    truth = running.simulator.venues["lighter"].truths["BTC-PERP"]
    _, book = truth.as_of_seq(FIRST_NONCE)
    return book.top_bids(), book.top_asks()


def test_the_state_tells_connections_and_subscriptions(simulate: Simulate) -> None:
    running = simulate(venues=("lighter",))
    client = running.connect("lighter", "/stream")
    client.send({"type": "subscribe", "channel": "ticker/0"})
    client.until(lambda value: value["type"] == "subscribed/ticker")
    state = running.state()
    venue = state["venues"]["lighter"]
    assert venue["connections"][0]["subscriptions"] == ["ticker:0"]
    assert venue["connections_total"] == 1
    assert venue["frames_sent"] >= 2
    assert venue["markets"]["BTC-PERP"] == "BTC"
    assert state["uptime_s"] > 0
    assert state["violations"]["total"] == 0


def test_tls_is_trusted_with_the_test_authority_only(simulate: Simulate, run_dir: Path) -> None:
    running = simulate(venues=("lighter",), tls_dir=run_dir)
    url = running.ports["venues"]["lighter"]["ws"]
    assert url.startswith("wss://")
    client = running.connect("lighter", "/stream", sslopt={"ca_certs": str(run_dir / "ca.pem")})
    assert client.next()["type"] == "connected"
    rest = running.rest("lighter")
    assert requests.get(rest, verify=str(run_dir / "ca.pem"), timeout=20).json()["status"] == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        running.connect("lighter", "/stream")


def test_a_wrong_certificate_is_refused_by_who_trusts_the_right_one(simulate: Simulate, run_dir: Path) -> None:
    running = simulate(venues=("lighter",), tls_dir=run_dir, wrong_certificate=True)
    with pytest.raises(ssl.SSLCertVerificationError):
        running.connect("lighter", "/stream", sslopt={"ca_certs": str(run_dir / "ca.pem")})
    client = running.connect("lighter", "/stream", sslopt={"ca_certs": str(run_dir / "other-ca.pem")})
    assert client.next()["type"] == "connected"


def test_certificates_are_made_once(run_dir: Path) -> None:
    server_context(run_dir)
    before = (run_dir / "ca.pem").read_bytes()
    server_context(run_dir)
    server_context(run_dir, wrong=True)
    assert (run_dir / "ca.pem").read_bytes() == before
    assert (run_dir / "server.key").stat().st_mode & 0o077 == 0


def test_a_whole_file_is_seen_or_none(run_dir: Path) -> None:
    path = run_dir / "ports.json"
    write_atomically(path, b"1")
    write_atomically(path, b"22")
    assert path.read_bytes() == b"22"
    assert list(run_dir.iterdir()) == [path]


def test_a_client_that_does_not_read_is_cut(simulate: Simulate, eventually: Eventually) -> None:
    running = simulate(venues=("lighter",))
    client = running.connect("lighter", "/stream")
    client.next()
    frame = Frame(b" " * (1 << 20), "delta")

    def flood() -> None:
        for session in list(running.simulator.venues["lighter"].sessions.values()):
            for _ in range(200):
                session.send(frame)

    running.call(flood)
    eventually(lambda: running.state()["venues"]["lighter"]["slow_clients"] == 1)
    eventually(lambda: not running.state()["venues"]["lighter"]["connections"])
    assert client.until_closed().code == 1006


def launch(run_dir: Path, *options: str) -> tuple[subprocess.Popen[bytes], Path]:
    ports = run_dir / "ports.json"
    command = [sys.executable, "-m", "simulator", "--port-base", "0", "--ports-file", str(ports), *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE), ports


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_within_a_second(
    run_dir: Path, eventually: Eventually, number: signal.Signals
) -> None:
    process, path = launch(run_dir, "--venues", "hyperliquid,lighter")
    assert process.stderr is not None
    with process, process.stderr:
        eventually(path.exists)
        ports: dict[str, Any] = json.loads(path.read_bytes())
        assert ports["pid"] == process.pid
        assert set(ports["venues"]) == {"hyperliquid", "lighter"}
        ws = websocket.create_connection(ports["venues"]["lighter"]["ws"] + "/stream", timeout=20)
        assert json.loads(ws.recv())["type"] == "connected"
        began = time.monotonic()
        os.kill(process.pid, number)
        assert process.wait(20) == 0
        assert time.monotonic() - began < 3
        ws.shutdown()  # type: ignore[no-untyped-call]
        assert not path.exists()


@pytest.mark.slow
def test_a_busy_port_is_a_plain_error(run_dir: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    first, path = launch(run_dir, "--venues", "lighter", "--port-base", str(port))
    assert first.stderr is not None
    with first, first.stderr:
        first.stderr.readline()
        assert path.exists()
        second, _ = launch(run_dir / "..", "--venues", "lighter", "--port-base", str(port))
        assert second.stderr is not None
        with second, second.stderr:
            assert second.wait(20) == 1
            assert b"address already in use" in second.stderr.read().lower()
        first.terminate()
        assert first.wait(20) == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--venues", "nowhere"], "comma-separated"),
        (["--venues", "lighter,lighter"], "without repeats"),
        (["--wrong-certificate"], "needs --tls"),
        (["--port-base", "65531"], "65530"),
    ],
)
@pytest.mark.slow
def test_impossible_options_are_refused(options: list[str], text: str) -> None:
    command = [sys.executable, "-m", "simulator", *options]
    answer = subprocess.run(command, capture_output=True, check=False, timeout=20)
    assert answer.returncode == 2
    assert text in answer.stderr.decode()


def test_a_mistake_inside_ends_the_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        simulator = Simulator(Settings(port_base=0, venues=("lighter",)))
        await simulator.start()
        try:
            url = simulator.ports()["venues"]["lighter"]["rest"]
            async with aiohttp.ClientSession() as client, client.get(url) as answer:
                assert answer.status == 500
            async with asyncio.timeout(20):
                await simulator.failed
        finally:
            await simulator.stop()

    async def broken(self: object, request: object) -> None:
        raise ArithmeticError

    monkeypatch.setattr(Lighter, "_root", broken)
    with pytest.raises(ArithmeticError):
        asyncio.run(run())
