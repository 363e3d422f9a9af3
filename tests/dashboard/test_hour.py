"""An hour before the page with nothing wrong: nothing grows, no alert fires. PARAPHINA_WATCH_MINUTES: how long."""

from __future__ import annotations

import faulthandler
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Final

import pytest
import requests

from cli.plane import prepare
from tests.conftest import Eventually
from tests.dashboard.browser import Browser
from tests.dashboard.conftest import Watched

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("PARAPHINA_LONG_TESTS" not in os.environ, reason="an hour: set PARAPHINA_LONG_TESTS"),
]

RULES: Final = Path(__file__).resolve().parent.parent.parent / "deploy" / "prometheus" / "alerts.yml"
PROMETHEUS: Final = shutil.which("prometheus")
MINUTES: Final = float(os.environ.get("PARAPHINA_WATCH_MINUTES", "60"))
"""Read at once: tests run without the settings of whoever runs them."""
EVERY_S: Final = 15.0
WARM_S: Final = 180.0
"""Until books are whole, charts full and allocators settled."""
MB_AN_HOUR: Final = 12.0
"""What a connector keeps of an hour's trade ids, and some unrest; a leak of 0.8 MB a minute was seen here once."""
SCRAPE: Final = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs: [{{job_name: paraphina, static_configs: [{{targets: ["{target}"]}}]}}]
"""


@pytest.fixture
def plane(run_dir: Path, free_port: Callable[[], int], eventually: Eventually) -> Iterator[Watched]:
    """Give the five venues, captured and live."""
    found = prepare(
        run_dir, sim=True, settings={"dashboard": {"port": free_port()}, "record": {"enabled": True, "keep_mb": 4_000}}
    )
    found.start()
    try:
        watched = Watched(found)
        eventually(lambda: watched.status("/health") == 200)
        yield watched
    finally:
        found.stop()


@pytest.fixture
def alerting(plane: Watched, tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Callable[[], set[str]]]:
    """Give the names of all alerts that have fired, by a Prometheus with our own rules."""
    if PROMETHEUS is None:
        pytest.skip("no prometheus here")
    port = free_port()
    configuration = tmp_path / "prometheus.yml"
    configuration.write_text(SCRAPE.format(rules=RULES, target=plane.url.removeprefix("http://")))
    places = [f"--config.file={configuration}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    command = [PROMETHEUS, *places, f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]

    def fired() -> set[str]:
        query = {"query": 'max_over_time(ALERTS{alertstate="firing"}[2h])'}
        told = requests.get(f"http://127.0.0.1:{port}/api/v1/query", params=query, timeout=10).json()
        return {series["metric"]["alertname"] for series in told["data"]["result"]}

    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield fired
        finally:
            process.terminate()


def resident_mb(plane: Watched) -> dict[str, float]:
    """Of each program, by its pid: a restart is another one."""
    pids = {f"{name} {info['pid']}": info["pid"] for name, info in plane.plane.programs().items()}
    pages = {name: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for name, pid in pids.items()}
    return {name: count * os.sysconf("SC_PAGE_SIZE") / 1e6 for name, count in pages.items()}


def test_nothing_grows_and_no_alert_fires(
    plane: Watched, alerting: Callable[[], set[str]], browser: Browser, eventually: Eventually
) -> None:
    # It is to take longer than any test that hangs.
    faulthandler.cancel_dump_traceback_later()
    browser.open(plane.url)
    eventually(lambda: "All 5 venues live" in browser.words("#verdict"))
    began = time.monotonic()
    heaps: list[int] = []
    sizes: list[dict[str, float]] = []
    while (passed := time.monotonic() - began) < MINUTES * 60:
        # A book rebuilt in a moment is no alert; what was wrong is shown when one fires.
        if problems := plane.problems():
            print(f"{passed:.0f} s: {problems}")  # noqa: T201
        if passed > WARM_S:
            heaps.append(browser.heap_bytes())
            sizes.append(resident_mb(plane))
        time.sleep(EVERY_S)
    third = len(heaps) // 3
    assert third >= 3, "too short to tell"
    print(f"page: {median(heaps[:third]) / 1e6:.2f} to {median(heaps[-third:]) / 1e6:.2f} MB")  # noqa: T201
    assert median(heaps[-third:]) < 1.3 * median(heaps[:third])
    assert sizes[0].keys() == sizes[-1].keys(), "something was restarted"
    between = (len(sizes) - third) * EVERY_S / 3_600
    growth = {
        name: (median(at[name] for at in sizes[-third:]) - median(at[name] for at in sizes[:third])) / between
        for name in sizes[0]
    }
    print({name: f"{rate:.1f} MB/h" for name, rate in growth.items()})  # noqa: T201
    assert {name: rate for name, rate in growth.items() if rate > MB_AN_HOUR} == {}
    assert alerting() == set()
    assert browser.said == []
