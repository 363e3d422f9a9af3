"""A venue that sends prepared frames as fast as its client reads them, or at a given rate.

``python -m benchmarks.blaster VENUE FRAMES``. A client connects and subscribes as it would at the venue, and sees a
trickle of frames between the commands that come on standard input: ``blast COUNT``, or ``pace RATE COUNT``. Says
``port N``, ``streaming`` at a subscription, ``until MARK`` before what a command sends (the mark of its last frame)
and ``sent`` after it. Each subscription starts again at the first frame. Ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from aiohttp import WSMsgType, web

from benchmarks.answers import ASTER, HYPERLIQUID
from benchmarks.payloads import Aster, Payloads, prepare

CHUNK: Final = 64
"""Frames handed to the kernel at once while blasting."""
TRICKLE_S: Final = 0.05
PATIENCE_S: Final = 60.0
TEXT: Final = 0x81
PONG: Final = 0x8A


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A whole frame as servers send it: final, not masked."""
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    return bytes([opcode]) + length + payload


class Stream:
    """One client's frames, written by a thread of their own: sleeps of a fraction of a millisecond are its to make."""

    def __init__(
        self, sock: socket.socket, wire: list[bytes], mark: Callable[[int], int], commands: queue.Queue[str]
    ) -> None:
        self.position = 0
        """Frames sent."""
        self.says: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        """Answers that go between two frames."""
        self._sock = sock
        self._wire = wire
        self._mark = mark
        self._commands = commands
        sock.settimeout(PATIENCE_S)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._stream()
        except OSError:
            # The client has what it wanted, or is gone.
            pass
        finally:
            self._sock.close()

    def _stream(self) -> None:
        print("streaming", flush=True)
        while self.position < len(self._wire):
            self._send(1)
            try:
                word, *numbers = self._commands.get(timeout=TRICKLE_S).split()
            except queue.Empty:
                continue
            end = min(self.position + int(numbers[-1]), len(self._wire))
            print(f"until {self._mark(end - 1)}", flush=True)
            if word == "blast":
                while self.position < end:
                    self._send(min(CHUNK, end - self.position))
            else:
                self._pace(float(numbers[0]), end)
            print("sent", flush=True)
        while True:
            self._sock.sendall(self.says.get())

    def _pace(self, rate: float, end: int) -> None:
        start, first = time.perf_counter(), self.position
        while self.position < end:
            due = int((time.perf_counter() - start) * rate) + 1 + first - self.position
            if due > 0:
                self._send(min(due, end - self.position))
            time.sleep(max(0.0, start + (self.position - first) / rate - time.perf_counter()))

    def _send(self, count: int) -> None:
        while not self.says.empty():
            self._sock.sendall(self.says.get())
        chunk = self._wire[self.position : self.position + count]
        self.position += len(chunk)
        self._sock.sendall(b"".join(chunk))


class Blaster:
    """One client at a time."""

    def __init__(self, venue: str, payloads: Payloads, commands: queue.Queue[str]) -> None:
        self._venue = venue
        self._payloads = payloads
        self._wire = [frame(payload) for payload in payloads.frames]
        self._commands = commands
        self._stream: Stream | None = None

    @property
    def _position(self) -> int:
        return 0 if self._stream is None else self._stream.position

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection: acknowledge everything, stream once the book has been asked for."""
        ws = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=0)
        await ws.prepare(request)
        stream = self._begin(request) if "depth" in request.query_string else None
        async for message in ws:
            if message.type is WSMsgType.PING:
                said = frame(message.data, PONG)
            elif message.type is WSMsgType.TEXT:
                said = frame(json.dumps(self._answer(json.loads(message.data))).encode())
            else:
                continue
            if stream is not None:
                stream.says.put(said)
            elif request.transport is not None:
                request.transport.write(said)
                if message.type is WSMsgType.TEXT and ("l2Book" in message.data or "@depth" in message.data):
                    stream = self._begin(request)
        return ws

    def _begin(self, request: web.Request) -> Stream:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        own = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = Stream(own, self._wire, self._payloads.mark, self._commands)
        return self._stream

    def _answer(self, asked: dict[str, object]) -> dict[str, object]:
        if self._venue == "aster":
            return {"result": None, "id": asked.get("id")}
        return (
            {"channel": "pong"} if asked.get("method") == "ping" else {"channel": "subscriptionResponse", "data": asked}
        )

    async def aster(self, request: web.Request) -> web.Response:
        """REST of Aster; the book is the one after the frames sent so far. There is no spot market."""
        name = request.match_info["name"]
        if isinstance(self._payloads, Aster) and name == "depth":
            return web.json_response(self._payloads.book(self._position))
        if request.path.startswith("/api/"):
            return web.json_response({"symbols": []})
        return web.json_response(ASTER[name]) if name in ASTER else web.Response(status=404)

    async def info(self, request: web.Request) -> web.Response:
        """REST of Hyperliquid."""
        name = (await request.json())["type"]
        if name == "l2Book":
            newest = json.loads(self._payloads.frames[max(0, self._position - 1)])
            return web.json_response(newest["data"])
        return web.json_response(HYPERLIQUID[name]) if name in HYPERLIQUID else web.Response(status=404)


def _commands(commands: queue.Queue[str]) -> None:
    for line in sys.stdin:
        commands.put(line.strip())
    os._exit(0)


async def main(venue: str, count: int) -> None:
    """Serve until standard input ends."""
    commands: queue.Queue[str] = queue.Queue()
    payloads = prepare(venue, count, int(time.time() * 1000))
    blaster = Blaster(venue, payloads, commands)
    app = web.Application()
    for path in ("/ws", "/stream", "/ws/{rest:.*}"):
        app.router.add_get(path, blaster.serve)
    for path in ("/fapi/v1/{name}", "/fapi/v3/{name}", "/api/v3/{name}"):
        app.router.add_get(path, blaster.aster)
    app.router.add_post("/info", blaster.info)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"port {runner.addresses[0][1]}", flush=True)
    threading.Thread(target=_commands, args=(commands,), daemon=True).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
