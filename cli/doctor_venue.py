"""Each venue, step by step: name, TCP, TLS, REST, upgrade, first data, with the time of each."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from bus.settings import Settings, Venue
from cli.checks import Check
from cli.probe import Outcome

STEP_S: Final = 10.0
DATA_S: Final = 20
"""The slowest documented first book is a snapshot pushed every 5 s."""
KILL_S: Final = 10

T = TypeVar("T")


class Step(msgspec.Struct, frozen=True):
    """One step that worked: its time in ms and what it found."""

    name: str
    ms: float
    found: str = ""


class StepError(Exception):
    """A step failed; the text says how, ``fix`` what to do."""

    def __init__(self, step: str, problem: str, fix: str) -> None:
        self.step = step
        self.fix = fix
        super().__init__(problem)


def venues(settings: Settings, chosen: Sequence[str]) -> tuple[list[Check], dict[str, float]]:
    """A check for each venue, all at once; and our clock minus each venue's, in ms, where data showed it."""
    with ThreadPoolExecutor(max_workers=max(1, len(chosen))) as pool:
        found = list(pool.map(lambda venue: check(venue, settings.venues[venue]), chosen))
    skews = {
        venue: one.data["skew_ms"]
        for venue, one in zip(chosen, found, strict=True)
        if one.data.get("skew_ms") is not None
    }
    return found, skews


def check(venue: str, settings: Venue, data_s: int = DATA_S) -> Check:
    """All steps of one venue."""
    steps: list[Step] = []
    tested = f"{settings.ws_url} and {settings.rest_url}"
    outcome = Outcome()
    try:
        for url in dict.fromkeys((settings.ws_url, settings.rest_url)):
            reach(url, settings.ca_file, steps)
        outcome = probed(venue, data_s)
        _data(outcome, steps, data_s)
    except StepError as error:
        done = f" (after {_told(steps)})" if steps else ""
        return Check(
            venue, "fail", tested, f"{error.step}: {error}{done}", error.fix, {"steps": msgspec.to_builtins(steps)}
        )
    data = {"steps": msgspec.to_builtins(steps), "skew_ms": outcome.skew_ms}
    return Check(venue, "ok", tested, _told(steps), data=data)


def _told(steps: Sequence[Step]) -> str:
    return ", ".join(f"{step.name} {step.ms:.0f} ms" for step in steps)


def reach(url: str, ca_file: str, steps: list[Step]) -> None:
    """DNS, TCP and TLS of one address. Raises StepError."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    secure = parts.scheme in {"wss", "https"}
    port = parts.port or (443 if secure else 80)
    fix = "Is there a resolver (/etc/resolv.conf), and is the address in the settings right?"
    found = _step(f"DNS {host}", steps, fix, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    fix = f"Is the venue up, and does a firewall let us out to {host}:{port}?"
    address = str(found[0][4][0])
    connection = _step(
        f"TCP {host}:{port}", steps, fix, lambda: socket.create_connection((address, port), timeout=STEP_S)
    )
    with connection:
        if secure:
            fix = (
                "Is the clock right, ca_file the venue's authority, and no proxy in between? TLS is never switched off."
            )
            _step("TLS", steps, fix, lambda: _tls(connection, host, ca_file))


def _tls(connection: socket.socket, host: str, ca_file: str) -> str:
    context = ssl.create_default_context(cafile=ca_file or None)
    with context.wrap_socket(connection, server_hostname=host) as secured:
        return secured.version() or ""


def _step(name: str, steps: list[Step], fix: str, act: Callable[[], T]) -> T:
    began = time.monotonic()
    try:
        result = act()
    except ssl.SSLCertVerificationError as error:
        raise StepError(name, f"certificate refused: {error.verify_message}", fix) from None
    except TimeoutError:
        raise StepError(name, f"no answer within {STEP_S:g} s", fix) from None
    except OSError as error:
        raise StepError(name, error.strerror or str(error), fix) from None
    steps.append(Step(name, round((time.monotonic() - began) * 1e3, 1), result if isinstance(result, str) else ""))
    return result


def probed(venue: str, seconds: int) -> Outcome:
    """Run the venue's connector until its first usable data. Raises StepError."""
    with tempfile.TemporaryDirectory(prefix="pd-") as folder:
        environment = {**os.environ, "PARAPHINA_RUN_DIR": str(Path(folder) / "run")}
        command = [sys.executable, "-m", "cli.probe", venue, str(seconds)]
        try:
            done = subprocess.run(
                command,
                env=environment,
                capture_output=True,
                timeout=seconds + KILL_S,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            raise StepError("probe", "the connector hangs", "Run python -m connectors by hand.") from None
        try:
            return msgspec.json.decode(done.stdout, type=Outcome)
        except msgspec.DecodeError:
            words = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise StepError("probe", f"the connector died: {words[0]}", "Run python -m connectors by hand.") from None


def _data(outcome: Outcome, steps: list[Step], seconds: int) -> None:
    problem = f": {outcome.problem}" if outcome.problem else ""
    if outcome.upgrade_ms is None:
        fix = "The port answers, but not as this venue's WebSocket: is the address right, are we blocked or throttled?"
        raise StepError("upgrade", f"no WebSocket on {outcome.url} within {seconds} s{problem}", fix)
    steps.append(Step("connect and upgrade", outcome.upgrade_ms))
    if outcome.data_ms is None:
        fix = "Are the markets in the settings right? The connector's log says what it asks and what is answered."
        raise StepError("first data", f"none within {seconds} s{problem}", fix)
    steps.append(Step("first data", outcome.data_ms, outcome.market))
