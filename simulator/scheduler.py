"""Periodic and one-shot callbacks on the event loop: drift-free and cancellable."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_BEHIND_S = 1.0
"""A machine that was asleep does not make up for more than this."""
MOST_AT_ONCE = 8
"""Turns of one timer before the sockets get theirs."""


class Timer:
    """A callback with a next time; ``cancel`` ends it."""

    __slots__ = ("_callback", "_due", "_handle", "_loop", "_on_error", "_period", "cancelled")

    def __init__(
        self,
        callback: Callable[[], object],
        period: Callable[[], float] | None,
        first: float,
        on_error: Callable[[Exception], None],
    ) -> None:
        self._callback = callback
        self._period = period
        self._on_error = on_error
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + first
        self.cancelled = False
        self._handle = self._loop.call_at(self._due, self._fire)

    def cancel(self) -> None:
        """Never call again."""
        self.cancelled = True
        self._handle.cancel()

    def _fire(self) -> None:
        for _ in range(MOST_AT_ONCE):
            try:
                self._callback()
            except Exception as error:  # noqa: BLE001 - handed on, and the simulator ends
                self._on_error(error)
                return
            if self._period is None:
                self.cancelled = True
            if self.cancelled or self._period is None:
                return
            now = self._loop.time()
            self._due = max(self._due, now - MOST_BEHIND_S) + self._period()
            if self._due > now:
                break
        self._handle = self._loop.call_at(self._due, self._fire)


class Scheduler:
    """Makes timers whose callbacks' failures go to ``on_error``."""

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self._on_error = on_error

    def after(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call once."""
        return Timer(callback, None, seconds, self._on_error)

    def every(
        self, period: float | Callable[[], float], callback: Callable[[], object], *, first: float | None = None
    ) -> Timer:
        """Call for ever; a callable period is asked anew each time; ``first`` is the first wait."""
        ask = period if callable(period) else lambda: period
        return Timer(callback, ask, ask() if first is None else first, self._on_error)
