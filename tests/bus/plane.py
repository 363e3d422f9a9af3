"""A publisher on sockets of its own, in a thread or as a process, and producers and consumers that find it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq

from bus.client import Subscriber
from bus.clock import now
from bus.counters import Counters
from bus.events import NO_MARKET, BusEvent
from bus.items import Item
from bus.process import Pulse, Usage
from bus.settings import Settings, parse
from bus.sockets import Producer, new_epoch
from publisher.shell import Publisher

ROOT = Path(__file__).resolve().parents[2]


def settings_of(run_dir: Path, **sections: Any) -> Settings:  # noqa: ANN401  (settings as in the file)
    return parse({"run": {"dir": str(run_dir)}, **sections}, {}, base="/")


class Quiet:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, event: str, **_: object) -> None:
        self.lines.append(event)

    warning = info


@contextmanager
def serving(settings: Settings) -> Iterator[Publisher]:
    """A publisher in a thread of this process."""
    publisher = Publisher(settings, Quiet())
    thread = threading.Thread(target=publisher.run)
    thread.start()
    try:
        yield publisher
    finally:
        publisher.stop()
        thread.join(30)
        assert not thread.is_alive()


def start(run_dir: Path) -> subprocess.Popen[bytes]:
    """A publisher as a process."""
    environment = {**os.environ, "PARAPHINA_RUN_DIR": str(run_dir)}
    return subprocess.Popen([sys.executable, "-m", "publisher"], env=environment, cwd=ROOT, stdout=subprocess.DEVNULL)


class Talker:
    """A producer that is attended to whenever the test turns the wheel."""

    def __init__(self, settings: Settings, venue: str = "aster") -> None:
        self.counters = Counters()
        epoch = new_epoch()
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.producer = Producer(settings, venue, epoch, self.counters, self.context)
        self.pulse = Pulse(os.getpid(), epoch, self.counters)

    def say(self, *events: BusEvent, market: str = "BTC-PERP") -> None:
        mono, wall = now()
        for event in events:
            self.producer.publish(market, event, wall, mono)

    def turn(self) -> None:
        self.producer.attend()
        mono, _ = now()
        if mono >= self.pulse.deadline:
            self.say(self.pulse.beat(Usage(1, 0.0), mono), market=NO_MARKET)

    def sent(self, chain: str) -> int:
        """Last sequence sent on a chain of this producer, after a turn."""
        self.turn()
        return self.producer.outbox.chains().get(chain, 0)

    def close(self) -> None:
        self.producer.close()
        self.context.destroy(linger=0)


class Listener:
    """A consumer and everything it was given."""

    def __init__(self, settings: Settings, **choices: Any) -> None:  # noqa: ANN401  (arguments of Subscriber)
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.subscriber = Subscriber(settings, context=self.context, **choices)
        self.items: list[Item] = []

    def turn(self) -> None:
        self.items += self.subscriber.poll(0.01)

    def close(self) -> None:
        self.subscriber.close()
        self.context.destroy(linger=0)


def turning(*parts: Talker | Listener) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Make a condition that turns all wheels before it looks."""

    def condition(look: Callable[[], object]) -> Callable[[], object]:
        def turned() -> object:
            for part in parts:
                part.turn()
            return look()

        return turned

    return condition
