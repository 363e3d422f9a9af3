"""Socket to consumer: how long after the connector read a frame its event is in a consumer's book."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from benchmarks.applied import Report
from benchmarks.bench import Bench, bench
from benchmarks.children import Child, SilentError
from benchmarks.figures import Aim, Cell, Section, Table, quantile

VENUE: Final = "aster"
RATES: Final = (200, 2_000, 10_000)
JUDGED: Final = 2_000
SETTLE_S: Final = 2.0
WARM: Final = 0.1
"""Share of the first events that is left out: caches and books are still filling."""


def measure(*, quick: bool) -> Section:
    """One run for each rate. Quick: only the rate that the aims are about."""
    seconds = 2.0 if quick else 6.0
    found = {rate: _rate(rate, seconds) for rate in ((JUDGED,) if quick else RATES)}
    judged = found[JUDGED]
    rows: list[list[Cell]] = [[f"{rate:,}", *_row(report)] for rate, report in found.items()]
    table = Table(
        f"{VENUE} frames of 2×20 levels, µs from the connector's socket",
        ["frames/s", "applied p50", "p90", "p99", "p99.9", "max", "of it to the bus p50", "p99", "events", "losses"],
        rows,
        "Four processes: feeder, connector, publisher, and a Subscriber that keeps the book.",
    )
    p50, p99 = (_at(judged, 0.5), _at(judged, 0.99))
    return Section(
        "latency",
        [table],
        [
            Aim(f"p50 at {JUDGED:,} frames/s", "µs", p50, at_most=300.0),
            Aim(f"p99 at {JUDGED:,} frames/s", "µs", p99, at_most=2_000.0),
        ],
    )


def _at(report: Report | None, share: float) -> float | None:
    return None if report is None or not report.applied else quantile(sorted(report.applied), share)


def _row(report: Report | None) -> list[Cell]:
    if report is None or not report.applied:
        return [None] * 9
    applied, published = sorted(report.applied), sorted(report.published)
    return [
        *(quantile(applied, share) for share in (0.5, 0.9, 0.99, 0.999, 1.0)),
        *(quantile(published, share) for share in (0.5, 0.99)),
        len(applied),
        report.lost,
    ]


def _rate(rate: int, seconds: float) -> Report | None:
    try:
        with bench() as place, place.child("benchmarks.blaster", VENUE, str(int(rate * seconds) + 200)) as blaster:
            report = _run(place, blaster, rate, seconds)
    except SilentError as problem:
        print(f"{rate} frames/s: not measured: {problem}")
        return None
    first = int(len(report.applied) * WARM)
    return Report(report.published[first:], report.applied[first:], report.lost)


def _run(place: Bench, blaster: Child, rate: int, seconds: float) -> Report:
    (port,) = blaster.hear("port")
    place.blasted(VENUE, port)
    with (
        place.child("publisher", speaks=False),
        place.child("benchmarks.applied", VENUE) as consumer,
        place.child("connectors", VENUE, speaks=False),
    ):
        blaster.hear("streaming")
        time.sleep(SETTLE_S)
        consumer.tell("count")
        blaster.tell(f"pace {rate} {int(rate * seconds)}")
        blaster.hear("sent", seconds + 30.0)
        time.sleep(0.5)
        consumer.tell("report")
        return msgspec.json.decode(consumer.hear("latency")[0], type=Report)
