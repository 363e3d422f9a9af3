"""A consumer as strategies are: how long after the socket each event is applied.

``python -m benchmarks.applied VENUE``: a ``Subscriber`` that keeps the venue's books. After ``count`` on standard input
it notes every book event; after ``report`` it says ``latency JSON``, microseconds by event in order of arrival:
socket to bus, and socket to applied. Ends with its standard input.
"""

from __future__ import annotations

import queue
import sys
import threading
from array import array

import msgspec

from bus.client import Subscriber
from bus.items import Lost, Message

POLL_S = 0.1


class Report(msgspec.Struct):
    """What was noted, in microseconds."""

    published: list[float]
    """Read from the venue's socket → handed to ZeroMQ by the connector."""
    applied: list[float]
    """Read from the venue's socket → in the consumer's book."""
    lost: int
    """Announced losses."""


def main(venue: str) -> None:
    """Run until standard input ends."""
    commands: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(commands,), daemon=True).start()
    published, applied, lost = array("d"), array("d"), 0
    with Subscriber(venues=[venue], kinds=["book"], name="bench") as subscriber:
        while True:
            for item in subscriber.poll(POLL_S):
                if isinstance(item, Message):
                    header = item.header
                    published.append((header.pub_ns - header.mono_ns) / 1e3)
                    applied.append((item.applied_ns - header.mono_ns) / 1e3)
                elif isinstance(item, Lost):
                    lost += 1
            if commands.empty():
                continue
            if commands.get() == "count":
                published, applied, lost = array("d"), array("d"), 0
            else:
                report = Report(list(published), list(applied), lost)
                print(f"latency {msgspec.json.encode(report).decode()}", flush=True)


def _listen(commands: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        commands.put(line.strip())


if __name__ == "__main__":
    main(sys.argv[1])
