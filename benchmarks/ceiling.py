"""The ceiling: the fastest C WebSocket client for Python, a typed decode, and the same event on the same bus.

``python -m benchmarks.ceiling VENUE PORT ENDPOINT``. It keeps no book, checks nothing, watches nothing, and loses in
silence what the bus does not take; what a connector costs beyond it is the price of those.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Final

import msgspec
import picows
import zmq

from benchmarks.payloads import Aster
from bus import wire
from bus.events import Book, Delta, Source, Trust


class _Level(msgspec.Struct, array_like=True, gc=False):
    px: float
    sz: float


class _Update(msgspec.Struct, gc=False):
    E: int
    u: int
    b: list[_Level]
    a: list[_Level]


class _Combined(msgspec.Struct, gc=False):
    data: _Update


class _Row(msgspec.Struct, gc=False):
    px: float
    sz: float


class _Whole(msgspec.Struct, gc=False):
    time: int
    levels: tuple[list[_Row], list[_Row]]


class _Channel(msgspec.Struct, gc=False):
    data: _Whole


_combined = msgspec.json.Decoder(_Combined, strict=False).decode
_channel = msgspec.json.Decoder(_Channel, strict=False).decode


def _delta(frame: bytes) -> Delta:
    data = _combined(frame).data
    bids, asks = data.b, data.a
    return Delta(
        data.E * 1_000_000,
        data.u,
        Trust.LIVE,
        1,
        [level.px for level in bids],
        [level.sz for level in bids],
        [level.px for level in asks],
        [level.sz for level in asks],
    )


def _book(frame: bytes) -> Book:
    data = _channel(frame).data
    bids, asks = data.levels
    return Book(
        data.time * 1_000_000,
        None,
        Trust.LIVE,
        1,
        Source.STREAM,
        [level.px for level in bids],
        [level.sz for level in bids],
        [level.px for level in asks],
        [level.sz for level in asks],
        5,
    )


DEPTH: Final = f'{{"method":"SUBSCRIBE","params":["{Aster.stream}"],"id":1}}'
BOOKS: Final = '{"method":"subscribe","subscription":{"type":"l2Book","coin":"BTC","fast":true}}'
VENUES: Final[dict[str, tuple[str, str, bytes, Callable[[bytes], Book | Delta]]]] = {
    "aster": ("/stream", DEPTH, b"delta.aster.BTC-PERP", _delta),
    "hyperliquid": ("/ws", BOOKS, b"book.hyperliquid.BTC-PERP", _book),
}


class Listener(picows.WSListener):  # type: ignore[misc]
    """Frame in, message out."""

    def __init__(self, venue: str, bus: zmq.Socket[bytes]) -> None:
        _, self._request, self._topic, self._event = VENUES[venue]
        self._bus = bus
        self._seq = 0

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        """Subscribe."""
        transport.send(picows.WSMsgType.TEXT, self._request.encode())

    def on_ws_frame(self, _: picows.WSTransport, frame: picows.WSFrame) -> None:
        """One frame. An acknowledgement is no book."""
        if frame.msg_type != picows.WSMsgType.TEXT:
            return
        try:
            event = self._event(frame.get_payload_as_memoryview())
        except msgspec.DecodeError:
            return
        self._seq += 1
        mono, wall = time.monotonic_ns(), time.time_ns()
        header = wire.encode_header("a", 1, self._seq, wall, mono, time.monotonic_ns())
        self._bus.send(self._topic, zmq.SNDMORE)
        self._bus.send(header, zmq.SNDMORE)
        self._bus.send(wire.encode_payload(event))


async def main(venue: str, port: int, endpoint: str) -> None:
    """Run until killed."""
    bus: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUB)
    bus.setsockopt(zmq.SNDHWM, 200_000)
    bus.connect(endpoint)
    url = f"ws://127.0.0.1:{port}{VENUES[venue][0]}"
    await picows.ws_connect(lambda: Listener(venue, bus), url)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
