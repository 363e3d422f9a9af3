"""Delivery by real processes under load: a consumer stops, the publisher is killed, and nobody trusts a wrong book.

Producers are prepared (``benchmarks/load.py``), so that what every book must hold is known at every change; each
consumer that checks compares its book at each of them. ``PARAPHINA_LONG_TESTS``: the long stop, a second to heal.
"""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from benchmarks.load import Plane, faults, running

pytestmark = pytest.mark.slow

LONG = "PARAPHINA_LONG_TESTS" in os.environ
RATE = 400
"""Frames a second and producer: what two cores take with four consumers that compare every book at every event."""
STOPPED_S = 10.0 if LONG else 4.0
QUEUES = {"bus": {"consumer_hwm": 2_000}}
"""Queues that the stop outlasts, and ordinary slowness does not."""
HEALED_S = 1.0 if LONG else 10.0
"""The promise; the short form shares its machine with other tests, and only asks that it comes about."""


def flow(seconds: float) -> None:
    """Let the load go on: there is nothing to wait for but time."""
    time.sleep(seconds)


def whole_after(plane: Plane, consumer: int, since_ns: int) -> float:
    """Seconds from then until this consumer trusted every book and was up to date again."""
    while (at := int(plane.consumers[consumer].hear("whole", 60.0)[0])) < since_ns:
        pass
    return (at - since_ns) / 1e9


def test_a_consumer_that_stops_loses_alone_and_is_whole_soon_after_waking() -> None:
    with running(RATE, [True, True, False, False], QUEUES) as plane:
        flow(1.0)
        sleeper = plane.consumers[1]
        os.kill(sleeper.pid, signal.SIGSTOP)
        flow(STOPPED_S)
        sleeper.quiet()
        woken = time.monotonic_ns()
        os.kill(sleeper.pid, signal.SIGCONT)
        took = whole_after(plane, 1, woken)
        flow(1.0)
        sent, found = plane.finish()
    lost = [report["lost"] for report in found]
    sys.stdout.write(f"whole {took:.3f} s after waking; it lost {lost.pop(1)}, the others {lost}\n")
    assert [faults(report, sent) for report in found] == [[]] * len(found)
    assert took < HEALED_S
    for report in (found[0], *found[2:]):
        assert report["account"]["merged"] == report["account"]["dropped"] == 0
        assert not report["healed_ms"]
    assert found[0]["steps"] > RATE
    counted = found[1]["counters"].get("client_lost", 0)
    assert counted == found[1]["account"]["merged"] + found[1]["account"]["dropped"]
    assert counted, "nothing was lost: the stop was too short to show anything"
    assert found[0]["server"]["heals.c1"], "the publisher counts who had to be healed"


def test_a_killed_publisher_costs_no_wrong_book_and_everything_is_whole_soon_after_its_return() -> None:
    with running(RATE, [True, True, True, True]) as plane:
        flow(1.0)
        plane.publisher.kill()
        flow(2.0)
        for consumer in plane.consumers:
            consumer.quiet()
        plane.publish_again()
        back = time.monotonic_ns()
        took = [whole_after(plane, number, plane.publisher.started_ns) for number in range(4)]
        took = [round(seconds - (back - plane.publisher.started_ns) / 1e9, 3) for seconds in took]
        flow(1.0)
        sent, found = plane.finish()
    behind = max(each["behind_ms"] for each in sent)
    merged = sum(each["counters"].get("mp_pending_latest_replaced_count", 0) for each in sent)
    sys.stdout.write(
        f"whole {took} s after the publisher serves; {merged} merged, producers {behind} ms behind at most\n"
    )
    assert [faults(report, sent) for report in found] == [[]] * len(found)
    assert max(took) < HEALED_S
    assert all(report["steps"] > RATE for report in found)
