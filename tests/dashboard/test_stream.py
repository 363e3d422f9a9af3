"""Pages get every message or are cut off: nobody is waited for, and their number is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bus.counters import Counter, Counters
from dashboard import stream
from dashboard.stream import ABORT, QUEUE, Hub


class Page:
    """A browser as the server sees it. ``reading`` is whether it takes what it is sent."""

    def __init__(self, hub: Hub) -> None:
        self.got: list[bytes] = []
        self.status = 0
        self.aborted = False
        self.ended = False
        self.reading = asyncio.Event()
        self.reading.set()
        self._left = asyncio.Event()
        self.task = asyncio.create_task(hub({"type": "http", ABORT: self._abort}, self._receive, self._send))

    def leave(self) -> None:
        """Close the connection."""
        self._left.set()

    def _abort(self) -> None:
        self.aborted = True
        self._left.set()

    async def _receive(self) -> dict[str, Any]:
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:  # noqa: ANN401
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        await self.reading.wait()
        self.got.append(message["body"])
        self.ended = not message.get("more_body", False)


async def settle(condition: Callable[[], object]) -> None:
    """Let the loop turn until the condition holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


def run(story: Callable[[], Awaitable[None]]) -> None:
    """Run a story to its end."""

    async def main() -> None:
        await story()

    asyncio.run(main())


def test_a_page_gets_the_greeting_and_then_every_message_in_order() -> None:
    async def story() -> None:
        counters = Counters()
        hub = Hub(lambda: b"hello", counters)
        page = Page(hub)
        await settle(lambda: page.got)
        for number in range(QUEUE):
            hub.publish(b"%d" % number)
        await settle(lambda: len(page.got) == QUEUE + 1)
        assert page.got == [b"hello", *(b"%d" % number for number in range(QUEUE))]
        assert (page.status, len(hub)) == (200, 1)
        page.leave()
        await page.task
        assert (len(hub), counters.get(Counter.PAGES_CUT), page.aborted) == (0, 0, False)

    run(story)


def test_a_page_that_does_not_keep_up_is_cut_off_and_the_others_are_not_held_up() -> None:
    async def story() -> None:
        counters = Counters()
        hub = Hub(lambda: b"hello", counters)
        slow, good = Page(hub), Page(hub)
        await settle(lambda: slow.got and good.got)
        slow.reading.clear()
        for number in range(QUEUE + 2):
            hub.publish(b"x")
            await settle(lambda number=number: len(good.got) == number + 2)  # type: ignore[misc]
        await slow.task
        assert slow.aborted
        assert (counters.get(Counter.PAGES_CUT), len(hub)) == (1, 1)
        good.leave()
        await good.task

    run(story)


def test_a_page_that_takes_nothing_is_cut_off_even_when_little_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "STALLED_S", 0.01)

    async def story() -> None:
        counters = Counters()
        hub = Hub(lambda: b"hello", counters)
        page = Page(hub)
        page.reading.clear()
        await asyncio.wait_for(page.task, 20)
        assert page.aborted
        assert counters.get(Counter.PAGES_CUT) == 1

    run(story)


def test_more_pages_than_the_bound_are_refused_and_a_place_that_is_left_is_free() -> None:
    async def story() -> None:
        counters = Counters()
        hub = Hub(lambda: b"hello", counters, max_clients=1)
        first = Page(hub)
        await settle(lambda: first.got)
        second = Page(hub)
        await second.task
        assert (second.status, counters.get(Counter.PAGES_REFUSED), second.got) == (
            503,
            1,
            [b"too many pages are open\n"],
        )
        first.leave()
        await first.task
        third = Page(hub)
        await settle(lambda: third.got)
        assert third.status == 200
        third.leave()
        await third.task

    run(story)


def test_at_the_end_every_stream_is_ended_in_order_and_new_pages_are_refused() -> None:
    async def story() -> None:
        counters = Counters()
        hub = Hub(lambda: b"hello", counters)
        page = Page(hub)
        await settle(lambda: page.got)
        hub.close()
        await page.task
        assert (page.ended, page.aborted, counters.get(Counter.PAGES_CUT)) == (True, False, 0)
        late = Page(hub)
        await late.task
        assert late.status == 503

    run(story)
