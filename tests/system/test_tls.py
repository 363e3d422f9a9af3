"""Every venue works over TLS with a configured authority; a certificate of another one is refused with a clear line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bus.client import Subscriber
from bus.events import State, Status
from bus.items import Message
from bus.settings import VENUES, Settings, parse
from tests.conftest import Eventually

pytestmark = pytest.mark.slow

Run = Callable[..., Path]


@pytest.fixture
def run(run_dir: Path) -> Iterator[Run]:
    """Give a function that runs ``python -m …`` in the background with its output in a file."""
    with ExitStack() as stack:

        def begin(*arguments: str) -> Path:
            log = run_dir / f"{'-'.join(arguments[:2])}.log"
            file = stack.enter_context(log.open("wb"))
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={"PARAPHINA_CONFIG": str(run_dir / "paraphina.toml"), "PATH": "/usr/bin:/bin"},
            )
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
            return log

        yield begin


def secured(run_dir: Path, run: Run, eventually: Eventually, *options: str) -> Settings:
    """Simulated venues over TLS, and settings that trust their authority."""
    ports_file = run_dir / "ports.json"
    tls = run_dir / "tls"
    run("simulator", "--port-base", "0", "--tls", str(tls), "--ports-file", str(ports_file), *options)
    eventually(ports_file.exists)
    urls = json.loads(ports_file.read_text())["venues"]
    assert all(urls[venue]["ws"].startswith("wss://") for venue in VENUES)
    lines = []
    for venue in VENUES:
        lines += [f"[venues.{venue}]", f'ws_url = "{urls[venue]["ws"]}"', f'rest_url = "{urls[venue]["rest"]}"']
        lines += [f'ca_file = "{tls / "ca.pem"}"']
    (run_dir / "paraphina.toml").write_text("\n".join(lines))
    tree = {
        venue: {"ws_url": urls[venue]["ws"], "rest_url": urls[venue]["rest"], "ca_file": str(tls / "ca.pem")}
        for venue in VENUES
    }
    return parse({"venues": tree}, {}, base=str(run_dir))


def test_every_venue_comes_live_over_tls(run_dir: Path, run: Run, eventually: Eventually) -> None:
    settings = secured(run_dir, run, eventually)
    run("publisher")
    for venue in VENUES:
        run("connectors", venue)
    live: set[str] = set()
    with Subscriber(settings, kinds=("status",), name="test") as subscriber:

        def all_live() -> bool:
            for item in subscriber.poll(0.1):
                if isinstance(item, Message) and isinstance(item.event, Status) and item.market == "-":
                    (live.add if item.event.state is State.LIVE else live.discard)(item.venue)
            return live == set(VENUES)

        eventually(all_live)


def test_a_certificate_of_an_unknown_authority_is_refused_with_a_clear_line(
    run_dir: Path, run: Run, eventually: Eventually
) -> None:
    secured(run_dir, run, eventually, "--wrong-certificate")
    logs = [run("connectors", venue) for venue in VENUES]
    for log in logs:
        eventually(lambda log=log: "certificate refused: " in log.read_text())  # type: ignore[misc]
        assert "event=live" not in log.read_text()
        assert "Traceback" not in log.read_text()
