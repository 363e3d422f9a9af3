"""A day of telemetry: bounded memory, and time that leaves room within half a minute."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from bus.settings import VENUES
from cli.evidence.build import Inputs, facts
from cli.evidence.scan import Scan
from tests.cli.evidence.runs import BEGIN_MS, calm, lines, venue

pytestmark = pytest.mark.slow

DAY = 345_600
MARKETS = ("BTC-PERP", "ETH-PERP", "SOL-PERP")


def day() -> Iterator[bytes]:
    """Lines of five venues with three markets each, every second with details."""
    patterns = []
    ticks = calm(4, VENUES)
    for one in ticks:
        for name in VENUES:
            about = venue(20)
            about["markets"] = dict.fromkeys(MARKETS, about["markets"]["BTC-PERP"])
            one["venues"][name] = about
    for line in lines(ticks):
        for key in (b"t", b"as_of_ms", b"up_ms", b"silent_ms"):
            line = re.sub(rb'"%s":\d+' % key, b'"%s":%%(%s)d' % (key, key), line)  # noqa: PLW2901
        patterns.append(line)
    for t in range(DAY):
        # An outage of half an hour, in which every tick has an age of its own.
        silent = 250 * (t % 7_200) if 100_800 <= t < 108_000 else 20
        yield patterns[t % 4] % {b"t": t, b"as_of_ms": BEGIN_MS + 250 * t, b"up_ms": 250 * t, b"silent_ms": silent}


def test_a_day_is_read_in_bounded_memory_and_a_minute_of_cpu() -> None:
    code = (
        "import json, resource, time\n"
        "from tests.cli.evidence.test_day import scanned\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "ticks, seconds, plateaus = scanned()\n"
        "grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024\n"
        "print(ticks, round(seconds, 1), round(grown), plateaus)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ticks, seconds, grown_mb, plateaus = (float(word) for word in done.stdout.split())
    assert ticks == DAY
    assert plateaus == 1
    assert grown_mb < 150
    # 17 s on an idle machine; twice and more on one that is busy with other tests.
    assert seconds < 90


def scanned() -> tuple[int, float, int]:
    """Ticks, CPU seconds, and plateaus of 30 s."""
    scan = Scan(whole_run=True)
    began = time.process_time()
    scan.feed(day())
    found = facts(Inputs(scan))
    return found.runner.ticks, time.process_time() - began, found.venues[0].plateaus[1].count
