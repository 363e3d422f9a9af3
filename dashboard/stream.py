"""Server-sent events to a bounded number of pages. A page that does not keep up is cut off, never waited for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from starlette.types import Message, Receive, Scope, Send

from bus.counters import Counter, Counters

MAX_CLIENTS: Final = 16
QUEUE: Final = 8
"""Messages that may wait for one page: about two seconds of them."""
STALLED_S: Final = 5.0
"""A page that takes nothing for so long is cut off even when little waits for it."""
ABORT: Final = "paraphina.abort"
"""Key of the connection's ``abort`` in the scope, see ``dashboard.serve``."""
HEADERS: Final = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]


class Client:
    """What waits for one page."""

    def __init__(self) -> None:
        self.queue: deque[bytes] = deque()
        self.ready = asyncio.Event()
        self.over = asyncio.Event()
        """Set when the page is to be cut off."""


class Hub:
    """All pages."""

    def __init__(self, hello: Callable[[], bytes], counters: Counters, *, max_clients: int = MAX_CLIENTS) -> None:
        self._hello = hello
        self._counters = counters
        self._max = max_clients
        self._clients: set[Client] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._clients)

    def publish(self, message: bytes) -> None:
        """Queue a message for every page."""
        for client in self._clients:
            if len(client.queue) >= QUEUE:
                client.over.set()
            else:
                client.queue.append(message)
                client.ready.set()

    def close(self) -> None:
        """End every page's stream; new ones are refused."""
        self._closed = True
        for client in self._clients:
            client.over.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one page until it leaves or is cut off."""
        if self._closed or len(self._clients) >= self._max:
            self._counters.add(Counter.PAGES_REFUSED)
            await _refuse(send)
            return
        client = Client()
        client.queue.append(self._hello())
        client.ready.set()
        self._clients.add(client)
        try:
            await self._serve(client, scope, receive, send)
        finally:
            self._clients.discard(client)

    async def _serve(self, client: Client, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(_send(client, send))
        leaving = asyncio.create_task(_left(receive))
        over = asyncio.create_task(client.over.wait())
        tasks = (sending, leaving, over)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            slow = not leaving.done() and not self._closed
            if slow:
                self._counters.add(Counter.PAGES_CUT)
                # What waits in the socket's buffer would keep the connection, and its memory, for as long as it likes.
                scope.get(ABORT, _nothing)()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._closed:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            # The connection is gone, or going: the server learns it when its turn comes.
            await _left(receive)


async def _send(client: Client, send: Send) -> None:
    """Send what is queued; returns when the page takes nothing for too long."""
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    while True:
        await client.ready.wait()
        client.ready.clear()
        while client.queue:
            message: Message = {"type": "http.response.body", "body": client.queue.popleft(), "more_body": True}
            try:
                async with asyncio.timeout(STALLED_S):
                    await send(message)
            except TimeoutError:
                return


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"retry-after", b"5")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": b"too many pages are open\n"})


def _nothing() -> None:
    """Abort of a server that cannot."""
