"""A stage for real sockets: whatever a test opens on it is closed in the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.bus.plane import Listener, Talker, settings_of


class Stage:
    """Settings for a run directory of the test's own, and parts that are closed with it."""

    def __init__(self, run_dir: Path, closing: ExitStack) -> None:
        self.run_dir = run_dir
        self.settings = settings_of(run_dir)
        self._closing = closing

    def talker(self, venue: str = "aster") -> Talker:
        talker = Talker(self.settings, venue)
        self._closing.callback(talker.close)
        return talker

    def listener(self, **choices: Any) -> Listener:  # noqa: ANN401  (arguments of Subscriber)
        listener = Listener(self.settings, **choices)
        self._closing.callback(listener.close)
        return listener


@pytest.fixture
def stage(run_dir: Path) -> Iterator[Stage]:
    with ExitStack() as closing:
        yield Stage(run_dir, closing)
