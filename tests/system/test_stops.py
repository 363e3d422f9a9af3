"""Whatever process hangs is found by another and replaced, within the time a heartbeat may be late and a second."""

from __future__ import annotations

import os
import signal
import time
from types import TracebackType
from typing import Self

import pytest

from bus.client import Subscriber
from bus.events import Heartbeat
from bus.items import Message
from bus.settings import VENUES
from tests.conftest import Eventually
from tests.system.conftest import Start, System
from tests.system.watcher import Watcher

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("PARAPHINA_LONG_TESTS" not in os.environ, reason="minutes: set PARAPHINA_LONG_TESTS"),
]

PATIENCE_S = 5.0
"""``sentinel.heartbeat_timeout_ms`` as it comes."""
PROGRAMS = (
    *(f"connectors:{venue}" for venue in VENUES),
    "publisher:publisher",
    "runner:runner",
    "sentinel:sentinel",
    "dashboard:dashboard",
)


def test_every_process_that_is_stopped_is_replaced_and_its_work_goes_on(start: Start, eventually: Eventually) -> None:
    system = start()
    took: dict[str, float] = {}
    with Watcher(system.settings) as watcher, Beats(system) as beats:

        def well() -> bool:
            watcher.poll(0.02)
            return all(watcher.live(venue) for venue in VENUES)

        for program in PROGRAMS:
            eventually(lambda: well() and system.all_live() and beats.of(*PROGRAMS), every=0)
            pid, stopped = system.kill(program, signal.SIGSTOP), time.monotonic()

            def mended() -> bool:
                watcher.poll(0.02)
                if not system.replaced(program, pid):  # noqa: B023
                    return False
                venue = program.partition(":")[2]  # noqa: B023
                books = [seen for (at, _), seen in watcher.markets.items() if at == venue or program[:1] == "p"]  # noqa: B023
                return all(seen.live and seen.since > stopped for seen in books) or not books  # noqa: B023

            eventually(mended, every=0, within=30)
            took[program] = time.monotonic() - stopped
    print("\n" + ", ".join(f"{name.partition(':')[2]} {seconds:.2f} s" for name, seconds in took.items()))  # noqa: T201
    assert max(took.values()) <= PATIENCE_S + 1.0, took


class Beats:
    """Whose heartbeats the bus brings."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._subscriber = Subscriber(system.settings, kinds=("heartbeat",), name="beats")
        self._heard: set[int] = set()

    def of(self, *programs: str) -> bool:
        """Whether the present process of each of these has been heard."""
        for item in self._subscriber.poll(0.01):
            if isinstance(item, Message) and isinstance(item.event, Heartbeat):
                self._heard.add(item.event.pid)
        known = self._system.plane.programs()
        return all(known[program]["pid"] in self._heard for program in programs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._subscriber.close()


def test_sentinel_and_runner_stopped_together_are_found_by_the_publisher(start: Start, eventually: Eventually) -> None:
    system = start(venues=("aster",), settings={"sentinel": {"heartbeat_timeout_ms": 2_000}})
    hung = "sentinel:sentinel", "runner:runner"
    with Beats(system) as beats:
        eventually(lambda: system.all_live() and beats.of(*hung))
        stopped = {name: system.kill(name, signal.SIGSTOP) for name in hung}
        for name, pid in stopped.items():
            eventually(lambda: system.replaced(name, pid), within=30)  # noqa: B023
        assert f"pid={stopped['sentinel:sentinel']}" in system.log("publisher")
        eventually(lambda: system.all_live() and beats.of(*hung))


def test_a_supervisord_that_is_stopped_costs_no_data_and_goes_on_where_it_was(
    start: Start, eventually: Eventually
) -> None:
    system = start(venues=("aster",), settings={"sentinel": {"heartbeat_timeout_ms": 2_000}})
    with Watcher(system.settings) as watcher, Beats(system) as beats:
        eventually(lambda: system.all_live() and beats.of("sentinel:sentinel", "runner:runner"))
        assert system.plane.pid is not None
        os.kill(system.plane.pid, signal.SIGSTOP)
        until = time.monotonic() + 10

        def past() -> bool:
            watcher.poll(0.05)
            return time.monotonic() > until

        eventually(past, every=0)
        assert watcher.live("aster")
        assert not any(seen.lost for seen in watcher.markets.values())
        os.kill(system.plane.pid, signal.SIGCONT)
        killed = system.kill("connectors:aster")
        eventually(lambda: system.replaced("connectors:aster", killed))
        eventually(lambda: system.all_live() and beats.of("sentinel:sentinel", "runner:runner"))
