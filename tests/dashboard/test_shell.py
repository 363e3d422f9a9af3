"""The process among real processes: it says who is silent, and it is there whatever else is not."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from bus.client import Subscriber
from bus.events import Telemetry
from bus.items import Message
from tests.conftest import Eventually
from tests.dashboard.conftest import Watched

pytestmark = pytest.mark.slow

ALONE = '[venues.aster]\nws_url = "ws://127.0.0.1:9"\nrest_url = "http://127.0.0.1:9"\n'


def dashboard(run_dir: Path, settings: str) -> subprocess.Popen[str]:
    """Start a dashboard with nothing else there."""
    (run_dir / "paraphina.toml").write_text(ALONE + settings)
    environment = {**os.environ, "PARAPHINA_CONFIG": str(run_dir / "paraphina.toml")}
    return subprocess.Popen(
        [sys.executable, "-m", "dashboard"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_stalled_venue_is_unhealthy_within_a_second_of_the_runner_saying_so_and_recovers(
    watched: Watched, eventually: Eventually
) -> None:
    # Without REST nothing stands in for the stream, so that the books go stale.
    watched.fault(fault="rest_error", venue="aster")
    watched.fault(fault="stall", venue="aster")
    with Subscriber(watched.plane.settings, kinds=("telemetry",), name="test") as subscriber:

        def said() -> bool:
            """The runner says that aster is not trusted."""
            events = [item.event for item in subscriber.poll(0.25) if isinstance(item, Message)]
            ticks = [event.body for event in events if isinstance(event, Telemetry)]
            return any(not tick["venues"]["aster"]["trusted"] for tick in ticks)  # type: ignore[index]

        eventually(said)
    told = time.monotonic()
    eventually(lambda: watched.status("/health/aster") == 503, within=1)
    assert time.monotonic() - told < 1
    answer = watched.ask("/health")
    assert answer.status_code == 503
    assert "the book must not be used" in "; ".join(answer.json()["venues"]["aster"]["problems"])
    assert watched.status("/health/paradex") == 200
    assert watched.status("/ready") == 503
    assert watched.metric('paraphina_venue_healthy{venue="aster"}') == 0
    eventually(lambda: "no usable book or quote for" in watched.problems("/health/aster"))
    eventually(lambda: watched.metric('paraphina_venue_fresh{venue="aster"}') == 0)
    watched.mend()
    eventually(lambda: watched.status("/health") == 200)
    assert watched.status("/ready") == 200
    assert watched.ask("/health/aster").json()["last_reconnect"] is not None


def test_a_killed_dashboard_comes_back_and_is_heard_like_any_process(watched: Watched, eventually: Eventually) -> None:
    eventually(lambda: watched.metric('paraphina_process_up{process="dashboard"}') == 1)
    before = watched.plane.programs()
    watched.kill("dashboard:dashboard")
    eventually(
        lambda: watched.plane.programs()["dashboard:dashboard"]["pid"] not in {0, before["dashboard:dashboard"]["pid"]}
    )
    eventually(lambda: watched.status("/health") == 200)
    after = watched.plane.programs()
    assert {name: info["pid"] for name, info in after.items() if "dashboard" not in name} == {
        name: info["pid"] for name, info in before.items() if "dashboard" not in name
    }


def test_it_stays_cheap_while_it_is_watched(watched: Watched, eventually: Eventually) -> None:
    pages = [requests.get(f"{watched.url}/events", stream=True, timeout=10) for _ in range(5)]
    streams = [page.iter_content(None) for page in pages]
    cpu = 'paraphina_process_cpu_seconds_total{process="dashboard"}'
    eventually(lambda: watched.metric(cpu) is not None)
    began, used = time.monotonic(), watched.metric(cpu) or 0.0
    while time.monotonic() < began + 10:
        for stream in streams:
            next(stream)
    spent = ((watched.metric(cpu) or 0.0) - used) / (time.monotonic() - began)
    assert spent < 0.05, "five pages cost no more than a twentieth of a core"
    assert (watched.metric('paraphina_process_resident_memory_bytes{process="dashboard"}') or 0) < 80e6
    for page in pages:
        page.close()


def test_a_page_that_does_not_read_is_cut_off(watched: Watched, eventually: Eventually) -> None:
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        slow.connect(("127.0.0.1", watched.plane.settings.dashboard.port))
        slow.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        eventually(lambda: watched.metric('paraphina_pages_cut_total{process="dashboard"}') == 1)
        assert watched.metric("paraphina_dashboard_pages") == 0
    assert watched.status("/health") == 200


def test_alone_it_serves_and_says_that_nothing_is_heard(run_dir: Path) -> None:
    process = dashboard(run_dir, "[dashboard]\nport = 0\n")
    try:
        assert process.stdout is not None
        found = re.search(r"url=(\S+)", process.stdout.readline())
        assert found
        answer = requests.get(f"{found[1]}health", timeout=10)
        assert answer.status_code == 503
        assert answer.json()["problems"] == ["no telemetry yet: nothing is heard on the bus, is the publisher running?"]
        page = requests.get(f"{found[1]}events", stream=True, timeout=10)
        assert next(page.iter_lines()) == b"retry: 500"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, "a page that is open does not hold it up"
        page.close()
    finally:
        process.kill()
        process.communicate()


def test_what_cannot_be_is_refused_with_an_exit_code_that_says_whether_trying_again_may_help(
    run_dir: Path, free_port: Callable[[], int]
) -> None:
    process = dashboard(run_dir, '[dashboard]\nport = 0\nrequired = ["atlantis"]\n')
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 78
    assert "dashboard.required" in said
    process = dashboard(run_dir, '[dashboard]\nport = 0\nhost = "203.0.113.1"\n')
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 78
    assert "dashboard.host" in said
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        process = dashboard(run_dir, f"[dashboard]\nport = {taken.getsockname()[1]}\n")
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "is in use" in said
