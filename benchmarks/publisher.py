"""What the publisher costs a message, beside plain ``zmq.proxy``: same messages, same sockets, same run."""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final

import zmq

from benchmarks.children import Child, SilentError
from benchmarks.figures import Section, Table
from bus.events import Book, Delta, Source, Trust
from bus.settings import parse
from bus.sockets import ProducerLink, prepare
from bus.wire import encode_header, encode_payload, topic

ROOM: Final = 1_000_000
"""Queue of each consumer: this measures forwarding, not losing."""
MARKETS: Final = 15
DELTAS: Final = 100
"""Deltas between two whole books of a market."""
LEVELS: Final = 10
SYNC: Final = [b"book.sync.-", encode_header("a", 2, 1, 1, 1, 1), b"\xc0"]
"""Not counted: tells that a consumer is reached."""


def _messages(count: int) -> list[list[bytes]]:
    """Books and deltas of several markets, numbered as a connector does."""
    prices, sizes = [100.0 - step for step in range(LEVELS)], [1.0] * LEVELS
    asks = [101.0 + step for step in range(LEVELS)]
    book = encode_payload(Book(1, 1, Trust.LIVE, 1, Source.STREAM, prices, sizes, asks, sizes))
    delta = encode_payload(Delta(1, 1, Trust.LIVE, 1, prices, sizes, asks, sizes))
    found = []
    for number in range(count):
        turn, market = divmod(number, MARKETS)
        kind, payload = ("delta", delta) if turn % DELTAS else ("book", book)
        found.append([topic(kind, "bench", f"M{market}-PERP"), encode_header("a", 1, turn + 1, 1, 1, 1), payload])
    return found


def proxy(inward: str, outward: str) -> None:
    """The process compared with: libzmq's own loop, in C."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sub, pub = context.socket(zmq.XSUB), context.socket(zmq.XPUB)
    pub.setsockopt(zmq.SNDHWM, ROOM)
    sub.bind(inward)
    pub.bind(outward)
    zmq.proxy(sub, pub)


def sink(endpoint: str, count: int) -> None:
    """A consumer that only counts, and says when it is reached and when it has all."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context.socket(zmq.SUB) as socket:
        socket.setsockopt(zmq.RCVHWM, 0)
        for prefix in (b"book.", b"delta."):
            socket.subscribe(prefix)
        socket.connect(endpoint)
        while count:
            if socket.recv_multipart()[0] == SYNC[0]:
                print("reached", flush=True)
            else:
                count -= 1
        print("done", time.monotonic_ns(), flush=True)
    context.destroy(linger=0)


def _reach(link: ProducerLink, sinks: list[Child]) -> None:
    """Go on until every consumer has heard something."""
    for one in sinks:
        give_up = time.monotonic() + 30
        while True:
            link.subscriptions()
            link.send(SYNC)
            try:
                one.hear("reached", 0.05)
                break
            except SilentError:
                if time.monotonic() > give_up:
                    raise


def _one(forwarder: str, consumers: int, messages: list[list[bytes]]) -> tuple[float, float]:
    """Messages a second and CPU µs a message of the forwarding process."""
    with ExitStack() as stack:
        run = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pb-", dir="/tmp")))
        settings = parse({"run": {"dir": str(run)}}, {}, base="/")
        inward, outward = prepare(settings.endpoint("market_in")), settings.endpoint("market_out")
        (run / "bench.toml").write_text(f'[run]\ndir = "{run}"\n[bus]\nconsumer_hwm = {ROOM}\n')
        environment = {"PARAPHINA_CONFIG": str(run / "bench.toml")}
        arguments = [forwarder] if forwarder == "publisher" else ["benchmarks.publisher", "proxy", inward, outward]
        child = stack.enter_context(Child(arguments, run / "log", environment=environment, speaks=False))
        sinks = [
            stack.enter_context(Child(["benchmarks.publisher", "sink", outward, str(len(messages))], run / "log"))
            for _ in range(consumers)
        ]
        context = stack.enter_context(zmq.Context())
        link = ProducerLink(inward, 10_000, context)
        stack.callback(link.close)
        _reach(link, sinks)
        cpu, began = child.cpu_ns(), time.monotonic_ns()
        for frames in messages:
            while not link.send(frames):
                time.sleep(0.0002)
        ended = max(int(one.hear("done", 300.0)[0]) for one in sinks)
        return len(messages) / (ended - began) * 1e9, (child.cpu_ns() - cpu) / 1e3 / len(messages)


def measure(*, quick: bool) -> Section:
    """Both forwarders in turn, several times, with one consumer and with four."""
    count, rounds = (20_000, 1) if quick else (200_000, 3)
    messages = _messages(count)
    rows: list[list[str | float]] = []
    for consumers in (1, 4):
        found: dict[str, list[tuple[float, float]]] = {"publisher": [], "zmq.proxy": []}
        for _ in range(rounds):
            for name, outcomes in found.items():
                outcomes.append(_one(name, consumers, messages))
        costs = {name: median(cost for _, cost in outcomes) for name, outcomes in found.items()}
        rows += [
            [f"{consumers} consumers", name, median(rate for rate, _ in found[name]), costs[name]] for name in found
        ]
    table = Table(
        "Publisher: messages passed on as fast as they come",
        ("", "forwarder", "messages/s", "CPU µs a message"),
        rows,
        f"Deltas of {LEVELS} levels a side, a whole book every {DELTAS}. CPU of the whole process, ZeroMQ's own thread "
        "included. The proxy is C and keeps no state.",
    )
    return Section("publisher", [table], [])


if __name__ == "__main__":
    if sys.argv[1] == "proxy":
        proxy(sys.argv[2], sys.argv[3])
    else:
        sink(sys.argv[2], int(sys.argv[3]))
