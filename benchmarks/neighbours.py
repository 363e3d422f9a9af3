"""Clients that a user might take instead, on the same frames.

``python -m benchmarks.neighbours NAME PORT``. Each is used as its documentation says, pointed at another host, and
gives every book to a callback that counts. They publish to nobody. Says ``live`` at the first frame. After ``count
FRAMES SECONDS`` on standard input: ``done FRAMES CPU_NS WALL_NS`` after so many frames or seconds.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar, Final


class Tally:
    """Counts frames of one client in its own process."""

    def __init__(self) -> None:
        self._seen = self._target = self._until = 0
        self._cpu = self._wall = 0
        threading.Thread(target=self._commands, daemon=True).start()

    def frame(self) -> None:
        """One frame has been digested and its book handed over."""
        self._seen += 1
        if self._seen == 1 and not self._cpu:
            print("live", flush=True)
        if self._target and (self._seen >= self._target or self._seen % 64 == 0):
            self._judge()

    def _judge(self) -> None:
        wall = time.monotonic_ns()
        if self._seen >= self._target or wall >= self._until:
            self._target = 0
            print(f"done {self._seen} {time.process_time_ns() - self._cpu} {wall - self._wall}", flush=True)

    def _commands(self) -> None:
        for line in sys.stdin:
            _, frames, seconds = line.split()
            # What came before this is the trickle, and not counted.
            self._cpu, self._wall = time.process_time_ns(), time.monotonic_ns()
            self._seen, self._until, self._target = 0, self._wall + int(float(seconds) * 1e9), int(frames)


def cryptofeed(port: int, tally: Tally) -> None:
    """Its class for the exchange whose wire format Aster's is, with a book kept from diffs."""
    from cryptofeed import FeedHandler
    from cryptofeed.connection import RestEndpoint, WebsocketEndpoint
    from cryptofeed.defines import L2_BOOK
    from cryptofeed.exchanges import BinanceFutures

    class Local(BinanceFutures):  # type: ignore[misc]
        options: ClassVar = {"compression": None}
        websocket_endpoints: ClassVar = [WebsocketEndpoint("wss://localhost", options=options, authentication=True)]
        rest_endpoints: ClassVar = [
            RestEndpoint(f"http://127.0.0.1:{port}", routes=BinanceFutures.rest_endpoints[0].routes)
        ]

        async def _ws_authentication(self, address: str, options: dict[str, object]) -> tuple[str, object]:
            """Its hook before connecting: any address but a TLS one is refused earlier."""
            return address.replace("wss://localhost", f"ws://127.0.0.1:{port}"), options

    async def book(_: object, __: float) -> None:
        tally.frame()

    handler = FeedHandler(config={"log": {"disabled": True}})
    handler.add_feed(Local(symbols=["BTC-USDT-PERP"], channels=[L2_BOOK], callbacks={L2_BOOK: book}))
    handler.run()


def ccxt_client(venue: str, symbol: str, settle: Callable[[Any, int], None]) -> Callable[[int, Tally], None]:
    """``watch_order_book`` of ccxt pro; counted where frames are digested, for it hands over only the newest."""

    def run(port: int, tally: Tally) -> None:
        import ccxt.pro

        _never_pause()
        base = getattr(ccxt.pro, venue)

        class Counting(base):  # type: ignore[misc,valid-type]
            def handle_order_book(self, client: object, message: object) -> None:
                super().handle_order_book(client, message)
                tally.frame()

        async def watch() -> None:
            exchange = Counting({"newUpdates": False, "enableRateLimit": False})
            settle(exchange, port)
            try:
                while True:
                    await exchange.watch_order_book(symbol)
            finally:
                await exchange.close()

        asyncio.run(watch())

    return run


def _never_pause() -> None:
    """Without this ccxt stalls for ever after a thousand frames in a backlog, with aiohttp 3.14.

    It takes messages out of aiohttp's queue behind its back, and aiohttp then counts 128 bytes more for each than ccxt
    gives back, until it stops reading. So here the queue has room for everything.
    """
    from aiohttp import client

    queue = client.WebSocketDataQueue  # type: ignore[attr-defined]

    def roomy(protocol: Any, _: int, *, loop: asyncio.AbstractEventLoop) -> object:  # noqa: ANN401 - aiohttp's own
        return queue(protocol, 1 << 28, loop=loop)

    client.WebSocketDataQueue = roomy  # type: ignore[assignment,attr-defined]


def _aster(exchange: Any, port: int) -> None:  # noqa: ANN401 - ccxt has no types
    api = exchange.urls["api"]
    api["fapiPublic"] = f"http://127.0.0.1:{port}/fapi"
    api["sapiPublic"] = f"http://127.0.0.1:{port}/api"
    # It tells futures from spot by the host's name.
    api["ws"]["public"]["swap"] = f"ws://127.0.0.1:{port}/stream?host=fstream"


def _hyperliquid(exchange: Any, port: int) -> None:  # noqa: ANN401 - ccxt has no types
    exchange.urls["api"]["public"] = f"http://127.0.0.1:{port}"
    exchange.urls["api"]["ws"]["public"] = f"ws://127.0.0.1:{port}/ws"
    exchange.options["fetchMarkets"] = {"types": ["swap"]}


def sdk(port: int, tally: Tally) -> None:
    """The venue's own SDK."""
    from hyperliquid.info import Info

    info = Info(f"http://127.0.0.1:{port}")
    info.subscribe({"type": "l2Book", "coin": "BTC"}, lambda _: tally.frame())


CLIENTS: Final[dict[str, Callable[[int, Tally], None]]] = {
    "cryptofeed": cryptofeed,
    "ccxt-aster": ccxt_client("aster", "BTC/USDT:USDT", _aster),
    "ccxt-hyperliquid": ccxt_client("hyperliquid", "BTC/USDC:USDC", _hyperliquid),
    "hyperliquid-sdk": sdk,
}


if __name__ == "__main__":
    CLIENTS[sys.argv[1]](int(sys.argv[2]), Tally())
