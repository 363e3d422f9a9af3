"""Timers keep their rhythm, can be cancelled, and report failures."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from simulator.scheduler import MOST_AT_ONCE, Scheduler


def test_a_period_is_kept_without_drift() -> None:
    async def run() -> list[float]:
        calls: list[float] = []
        reached = asyncio.Event()
        loop = asyncio.get_running_loop()
        began = loop.time()

        def tick() -> None:
            calls.append(loop.time() - began)
            if len(calls) == 50:
                reached.set()

        timer = Scheduler(_fail).every(0.004, tick)
        await asyncio.wait_for(reached.wait(), 20)
        timer.cancel()
        return calls

    late = [when - 0.004 * (number + 1) for number, when in enumerate(asyncio.run(run()))]
    assert min(late) > -0.0005
    # A machine may be late for a while, and what it missed is made up for; a drift would never come back.
    assert min(late[25:]) < 0.01


def _fail(error: Exception) -> None:
    raise error


def test_a_cancelled_timer_is_never_called() -> None:
    async def run() -> list[str]:
        said: list[str] = []
        scheduler, done = Scheduler(_fail), asyncio.Event()
        scheduler.after(0.001, lambda: said.append("cancelled")).cancel()

        def once() -> None:
            said.append("once")
            stopping.cancel()

        stopping = scheduler.every(0.001, once)
        scheduler.after(0.02, done.set)
        await asyncio.wait_for(done.wait(), 20)
        return said

    assert asyncio.run(run()) == ["once"]


def test_a_late_timer_catches_up_in_bounded_portions() -> None:
    async def run() -> list[int]:
        portions: list[int] = []
        calls, done = 0, asyncio.Event()
        scheduler = Scheduler(_fail)

        def tick() -> None:
            nonlocal calls
            calls += 1
            if calls > 30:
                timer.cancel()
                done.set()

        def count() -> None:
            portions.append(calls)
            if not done.is_set():
                asyncio.get_running_loop().call_soon(count)

        timer = scheduler.every(0.0, tick)
        asyncio.get_running_loop().call_soon(count)
        await asyncio.wait_for(done.wait(), 20)
        return portions

    portions = asyncio.run(run())
    assert max(b - a for a, b in pairwise(portions)) <= MOST_AT_ONCE


def test_a_failing_callback_is_reported_and_not_repeated() -> None:
    async def run() -> list[Exception]:
        errors: list[Exception] = []
        done = asyncio.Event()
        scheduler = Scheduler(errors.append)
        scheduler.every(0.001, lambda: 1 / 0)
        scheduler.after(0.03, done.set)
        await asyncio.wait_for(done.wait(), 20)
        return errors

    errors = asyncio.run(run())
    assert [type(error) for error in errors] == [ZeroDivisionError]
