"""A simulator on free ports in a thread of its own, and small synchronous clients for it."""

from __future__ import annotations

# ruff: noqa: ANN401 - JSON and settings of any kind pass through
import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any, Self

import pytest
import requests
import websocket

from simulator.server import Simulator
from simulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 20.0


class Running:
    """A started simulator. ``call`` runs a function on its loop; the rest talks to it over loopback."""

    def __init__(self, **settings: Any) -> None:
        self.settings = Settings(**({"port_base": 0} | settings))
        self._ready = threading.Event()
        self._clients: list[Client] = []
        self._error: BaseException | None = None
        self.simulator: Simulator
        self.ports: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        if not self._ready.wait(PATIENCE_S) or self._error is not None:
            pytest.fail(f"simulator did not start: {self._error}")

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - shown by the test
            self._error = error
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self.simulator = Simulator(self.settings)
        try:
            await self.simulator.start()
            self.ports = self.simulator.ports()
            self._ready.set()
            stopped = asyncio.create_task(self._stopping.wait())
            await asyncio.wait((stopped, self.simulator.failed), return_when=asyncio.FIRST_COMPLETED)
            if self.simulator.failed.done():
                self.simulator.failed.result()
        finally:
            await self.simulator.stop()

    def stop(self) -> None:
        """Close the clients and end the simulator; its failure, if any, fails the test."""
        for client in self._clients:
            client.close()
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        assert self._error is None, repr(self._error)

    def call(self, function: Callable[[], Any]) -> Any:
        """Run a function on the simulator's loop and give its result."""

        async def run() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(PATIENCE_S)

    def rest(self, venue: str) -> str:
        return str(self.ports["venues"][venue]["rest"])

    def get(self, venue: str, path: str, **query: Any) -> requests.Response:
        return requests.get(self.rest(venue) + path, params=query, timeout=PATIENCE_S)

    def control(self, method: str, path: str, **options: Any) -> requests.Response:
        return requests.request(method, self.ports["control"] + path, timeout=PATIENCE_S, **options)

    def truth(self, venue: str, market: str, **query: Any) -> dict[str, Any]:
        answer = self.control("GET", f"/truth/{venue}/{market}", params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.control("GET", "/state").json()
        return found

    def connect(self, venue: str, path: str, **options: Any) -> Client:
        client = Client(self.ports["venues"][venue]["ws"] + path, **options)
        self._clients.append(client)
        return client


class Closed(Exception):  # noqa: N818 - what happened, not what went wrong
    """The connection ended: close code (1006 without a close frame) and reason."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Client:
    """A WebSocket client that keeps what it was told."""

    def __init__(self, url: str, header: dict[str, str] | None = None, **options: Any) -> None:
        self.ws = websocket.WebSocket(skip_utf8_validation=True, enable_multithread=False, **options)
        self.ws.connect(url, timeout=PATIENCE_S, header=header or {})  # type: ignore[no-untyped-call]
        self.seen: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close without waiting for the other side."""
        self.ws.shutdown()  # type: ignore[no-untyped-call]

    def send(self, value: Any) -> None:
        self.ws.send(value if isinstance(value, str) else json.dumps(value))

    def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame; raises Closed."""
        try:
            opcode, data = self.ws.recv_data(control_frame=True)
        except (websocket.WebSocketConnectionClosedException, ConnectionError) as error:
            raise Closed(1006) from error
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            raise Closed(int.from_bytes(data[:2]), data[2:].decode())
        return opcode, data

    def next(self) -> Any:
        """The next text message, decoded."""
        while True:
            opcode, data = self.frame()
            if opcode == websocket.ABNF.OPCODE_TEXT:
                value = json.loads(data)
                self.seen.append(value)
                return value

    def until(self, wanted: Callable[[Any], bool], most: int = 20_000) -> Any:
        """The next message that is wanted."""
        for _ in range(most):
            value = self.next()
            if wanted(value):
                return value
        pytest.fail(f"not among {most} messages")

    def until_closed(self, most: int = 20_000) -> Closed:
        """How the connection ends."""
        try:
            for _ in range(most):
                self.frame()
        except Closed as closed:
            return closed
        pytest.fail(f"still open after {most} frames")


@pytest.fixture
def simulate() -> Iterator[Callable[..., Running]]:
    """Give a function that starts a simulator with the given settings."""
    started: list[Running] = []

    def start(**settings: Any) -> Running:
        started.append(Running(**settings))
        return started[-1]

    yield start
    for running in started:
        running.stop()


@pytest.fixture
def lighter(simulate: Callable[..., Running]) -> Running:
    return simulate(venues=("lighter", "hyperliquid"), limits="count", frames_per_second=60)
