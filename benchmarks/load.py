"""Five producers at a given rate, a publisher, four consumers: nothing lost, every merge counted, every book right.

Producers are prepared frames behind the product's own outbox and sockets (no venue, no connector); publisher and
Subscribers are the product's. The processes are in ``benchmarks/loading.py``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any, Final

from benchmarks.bench import Bench, bench
from benchmarks.children import Child
from benchmarks.figures import Aim, Cell, Section, Table
from benchmarks.loading import LEVELS, MARKETS, Truth
from bus.settings import VENUES

BOOKS: Final = len(VENUES) * len(MARKETS)
RATES: Final = (2_000, 1_000, 500, 250)
"""Frames a second and producer: the promised one first."""
CONSUMERS: Final = 4
CHAIN_RATES: Final = (10, 40, 100, 200)
"""Book frames a second and market of the whole chain."""
KEPT_UP: Final = 0.9
PATIENCE_S: Final = 20.0
"""For what is under way to arrive when producers have ended."""


def told(child: Child, word: str) -> Any:  # noqa: ANN401  (what JSON has)
    """What a process ``say``s next under this word. Raises SilentError."""
    return json.loads(" ".join(child.hear(word, 60.0)))


class Plane:
    """What is running, and what it said."""

    def __init__(
        self, place: Bench, rate: float, checked: Iterable[bool], stack: ExitStack, tree: Mapping[str, Any]
    ) -> None:
        place.settings(tree)
        self._place = place
        self._stack = stack
        self.publisher = stack.enter_context(place.child("publisher", speaks=False))
        self.consumers = [
            stack.enter_context(
                place.child("benchmarks.loading", "consumer", f"c{number}", "check" if check else "plain")
            )
            for number, check in enumerate(checked)
        ]
        self.producers = [
            stack.enter_context(place.child("benchmarks.loading", "producer", venue, str(rate))) for venue in VENUES
        ]
        for consumer in self.consumers:
            consumer.hear("whole", 60.0)
        for producer in self.producers:
            producer.tell("go")

    def publish_again(self) -> None:
        """Start another publisher in the place of one that was killed, and wait until it serves."""
        starts = self._starts()
        self.publisher = self._stack.enter_context(self._place.child("publisher", speaks=False))
        self.publisher.until(lambda: self._starts() > starts, "start")

    def _starts(self) -> int:
        return self._place.log.read_bytes().count(b"event=started")

    def finish(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """What each producer sent and what each consumer made of it, when all has arrived."""
        for producer in self.producers:
            producer.tell("stop")
        sent = [told(producer, "ended") for producer in self.producers]
        found = []
        for consumer in self.consumers:
            until = time.monotonic() + PATIENCE_S
            while True:
                consumer.tell("report")
                found.append(told(consumer, "report"))
                if _complete(found[-1], sent) or time.monotonic() > until:
                    break
                found.pop()
                time.sleep(0.1)
        for producer in self.producers:
            producer.tell("end")
        return sent, found


def _complete(report: dict[str, Any], sent: list[dict[str, Any]]) -> bool:
    return len(report["books"]) == BOOKS and not faults(report, sent) and not report["account"]["in_flight"]


def faults(report: dict[str, Any], sent: list[dict[str, Any]]) -> list[str]:
    """What is wrong with a consumer in the end; trades that it lost were announced, or are missing here."""
    found = [f"wrong book trusted: {text}" for text in report["wrong"]]
    account = report["account"]
    if account["imbalance"] or account["published"] != sum(account[name] for name in ("applied", "merged", "dropped")):
        found.append(f"account {account}")
    if report["trades"] + account["dropped"] != sum(sum(each["trades"].values()) for each in sent):
        found.append(f"{report['trades']} trades")
    for venue, each in zip(VENUES, sent, strict=True):
        for market, number in each["numbers"].items():
            seq, levels = report["books"].get(f"{venue} {market}", (None, None))
            truth = Truth()
            truth.advance(number)
            if seq != number or tuple(levels) != truth.levels():
                found.append(f"{venue} {market} ends at {seq}, not {number}, or differs")
    return found


@contextmanager
def running(rate: float, checked: Iterable[bool], tree: Mapping[str, Any] | None = None) -> Iterator[Plane]:
    """Publisher, consumers and producers at ``rate`` frames a second each, all of them whole; ``tree``: settings."""
    with bench() as place, ExitStack() as stack:
        yield Plane(place, rate, checked, stack, tree or {})


def measure(*, quick: bool) -> Section:
    """Prepared events at falling rates until nothing of the log class is lost, then the whole chain at rising rates."""
    seconds = 5.0 if quick else 60.0
    rows: list[list[Cell]] = []
    for rate in RATES:
        rows.append(_prepared(rate, seconds))
        if not rows[-1][3]:
            break
    table = Table(
        f"{len(VENUES)} producers of prepared events, a publisher, {CONSUMERS} consumers: {seconds:g} s",
        (
            "frames/s each", "behind ms", "merged", "log events lost", "wrong", "publisher µs", "consumer µs", "p50 ms",
            "p99 ms",
        ),
        rows,
        f"Of 20 frames 18 change {LEVELS} levels a side. Merged: by producers, and state that consumers made up for. "
        "Lost: announced, all consumers together. Wrong: books, accounts and trades that do not agree in the end. µs: "
        "CPU a message. Age: applied − handed to the outbox.",
    )  # fmt: skip
    aims = [
        Aim("log events lost at the promised rate", "", _number(rows[0][3]), at_most=0),
        Aim("books, accounts and trades that do not agree", "", sum(_number(row[4]) for row in rows), at_most=0),
    ]
    return Section("load", [table, _chain(3.0 if quick else 10.0)], aims)


def _prepared(rate: int, seconds: float) -> list[Cell]:
    with running(rate, [False] * CONSUMERS) as plane:
        cpu = plane.publisher.cpu_ns()
        before = [told_account(consumer) for consumer in plane.consumers]
        time.sleep(seconds)
        cpu = plane.publisher.cpu_ns() - cpu
        after = [told_account(consumer) for consumer in plane.consumers]
        sent, found = plane.finish()
    applied = [now["account"]["applied"] - then["account"]["applied"] for then, now in zip(before, after, strict=True)]
    spent = sum(now["cpu_s"] - then["cpu_s"] for then, now in zip(before, after, strict=True))
    return [
        rate,
        max(each["behind_ms"] for each in sent),
        sum(each["counters"].get("mp_pending_latest_replaced_count", 0) for each in sent)
        + sum(report["account"]["merged"] for report in found),
        sum(each["counters"].get("log_dropped", 0) for each in sent)
        + sum(report["account"]["dropped"] for report in found),
        sum(len(faults(report, sent)) for report in found),
        cpu / 1e3 / (rate * len(VENUES) * seconds),
        spent * 1e6 / max(1, sum(applied)),
        median(report["p50_ms"] or 0.0 for report in after),
        max(report["p99_ms"] or 0.0 for report in after),
    ]


def _number(cell: Cell) -> float:
    return cell if isinstance(cell, int | float) else 0.0


def _chain(seconds: float) -> Table:
    rows = []
    for rate in CHAIN_RATES:
        rows.append(_links(rate, seconds))
        if isinstance(rows[-1][1], float) and rows[-1][1] < KEPT_UP * rate * BOOKS:
            break
    return Table(
        "The whole chain: simulator, five connectors, publisher, four consumers",
        ("book frames/s asked", "book events/s", "p50 ms", "p99 ms", "lost", "imbalance"),
        rows,
        f"Fifteen markets; ends with the first rate of which less than {100 * KEPT_UP:.0f} % arrives. The simulator's "
        "own cost is in it, on the same machine.",
    )


def _links(rate: int, seconds: float) -> list[Cell]:
    with bench() as place, ExitStack() as stack:
        plane = place.settings(sim=True)
        stack.enter_context(place.simulator(plane, "--frames-per-second", str(rate), "--limits", "count"))
        stack.enter_context(place.child("publisher", speaks=False))
        for venue in VENUES:
            stack.enter_context(place.child("connectors", venue, speaks=False))
        consumers = [
            stack.enter_context(place.child("benchmarks.loading", "consumer", f"c{number}", "plain"))
            for number in range(CONSUMERS)
        ]
        for consumer in consumers:
            consumer.hear("whole", 60.0)
        before = [told_account(consumer) for consumer in consumers]
        began = time.monotonic()
        time.sleep(seconds)
        after = [told_account(consumer) for consumer in consumers]
        rates = [report["changes"] / (time.monotonic() - began) for report in after]
    return [
        rate * BOOKS,
        min(rates),
        median(report["p50_ms"] or 0.0 for report in after),
        max(report["p99_ms"] or 0.0 for report in after),
        sum(sum(report["lost"].values()) for report in after) - sum(sum(report["lost"].values()) for report in before),
        sum(report["account"]["imbalance"] for report in after),
    ]


def told_account(consumer: Child) -> Any:  # noqa: ANN401  (what JSON has)
    """What a consumer has made of it so far."""
    consumer.tell("report")
    return told(consumer, "report")
