"""The asyncio form of the client: the same items, awaited.

::

    async with AsyncSubscriber(kinds=["trade"]) as subscriber:
        async for item in subscriber:
            ...

It belongs to the event loop it was entered in, and to one task at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Self

import zmq

from bus.client import BATCH, NS_PER_S, Feed, Views
from bus.clock import mono
from bus.items import Item
from bus.settings import Settings


class AsyncSubscriber(Views):
    """As ``bus.client.Subscriber``, for asyncio."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        kinds: Iterable[str] | None = None,
        venues: Iterable[str] | None = None,
        markets: Iterable[str] | None = None,
        books: bool = True,
        name: str = "consumer",
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        super().__init__(Feed(settings, kinds, venues, markets, books=books, name=name, context=context))
        self.backlog = False
        """Whether the last ``poll`` stopped at its limit."""
        self._descriptors = [
            int(socket.getsockopt(zmq.FD)) for socket in (self._feed.subscription, self._feed.requests)
        ]
        self._signal = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def poll(self, timeout_s: float | None = None, limit: int = BATCH) -> list[Item]:
        """As ``Subscriber.poll``, without blocking the loop; gives other tasks a turn each time."""
        until = None if timeout_s is None else mono() + int(timeout_s * NS_PER_S)
        await asyncio.sleep(0)
        while True:
            # Cleared before draining: ZeroMQ's descriptors tell of changes only, and one that comes meanwhile counts.
            self._signal.clear()
            self.backlog = self._feed.drain(limit)
            items = self._feed.items()
            if items or (until is not None and mono() >= until):
                return items
            if not self.backlog:
                await self._wait(self._feed.wait_ms(until))

    async def _wait(self, wait_ms: int | None) -> None:
        try:
            async with asyncio.timeout(None if wait_ms is None else wait_ms / 1000):
                await self._signal.wait()
        except TimeoutError:
            return

    async def __aiter__(self) -> AsyncIterator[Item]:
        """Every item, for ever."""
        while True:
            for item in await self.poll():
                yield item

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        for descriptor in self._descriptors:
            self._loop.add_reader(descriptor, self._signal.set)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None:
            for descriptor in self._descriptors:
                self._loop.remove_reader(descriptor)
        self._feed.close()
