"""The client for asyncio: the same items, and other tasks have their turn."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import zmq

from bus.aio import AsyncSubscriber
from bus.items import Message
from tests.bus import samples
from tests.bus.conftest import Stage
from tests.bus.plane import Talker, serving, settings_of


async def talk(talker: Talker) -> None:
    """Say one trade after another, for ever."""
    number = 0
    while True:
        talker.turn()
        number += 1
        talker.say(samples.trade(number), samples.stats())
        await asyncio.sleep(0.001)


def test_items_come_while_other_tasks_run(stage: Stage) -> None:
    settings = stage.settings
    talker = stage.talker()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    async def main() -> list[int]:
        talking = asyncio.create_task(talk(talker))
        found: list[int] = []
        async with AsyncSubscriber(settings, kinds=["trade"], context=context) as subscriber:
            async for item in subscriber:
                if isinstance(item, Message):
                    found.append(item.header.seq)
                if len(found) == 100:
                    break
        talking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await talking
        return found

    with serving(settings):
        found = asyncio.run(asyncio.wait_for(main(), 60))
    assert found == list(range(found[0], found[0] + 100))
    context.destroy(linger=0)


def test_a_poll_ends_when_its_time_is_over(run_dir: Path) -> None:
    async def main() -> list[object]:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        async with AsyncSubscriber(settings_of(run_dir), kinds=["trade"], context=context) as subscriber:
            items: list[object] = [*await subscriber.poll(0.05)]
        context.destroy(linger=0)
        return items

    assert asyncio.run(main()) == []
