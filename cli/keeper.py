"""The process that owns a soak's plane and its artefacts: ``python -m cli.keeper``, started by ``paraphina soak``.

Its standard input is a leash: one line with the order, then silence. ``stop`` ends the run early; the end of the input
means that the command is gone, however it went, and the run is brought to its end just the same. What it tells the
command goes to standard output, one JSON object a line.
"""

from __future__ import annotations

import http.client
import os
import select
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
import xmlrpc.client
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from bus.errors import ParaphinaError
from bus.settings import VENUES, Settings, load, parse
from cli import manifest as manifests
from cli.artefacts import FAULTS, RUN_LOG, RX_STATS, TELEMETRY
from cli.evidence.merge import Merger
from cli.files import write_whole
from cli.finish import reports
from cli.follow import Follow, Logs
from cli.manifest import Order
from cli.plane import Plane, prepare
from cli.tie import adopt_orphans, die_with, end_children

TURN_S: Final = 0.2
FAULTS_S: Final = 2.0
GRACE_S: Final = 15.0
"""Programs that supervisord left behind have so long to end by themselves."""
RPC_ERRORS: Final = (OSError, xmlrpc.client.Error, http.client.HTTPException)
PREFIX: Final = "paraphina-"


def say(**fields: object) -> None:
    """Tell the command, if it is still there."""
    with suppress(OSError):
        os.write(1, msgspec.json.encode(fields) + b"\n")


class Leash:
    """What the command says, and whether it is there."""

    def __init__(self) -> None:
        self.stopped = ""
        """``interrupted`` or ``abandoned`` once the run must end early."""
        self._held = b""

    def order(self) -> Order:
        """Wait for the order. Raises EOFError when it never comes."""
        while b"\n" not in self._held:
            data = os.read(0, 65_536)
            if not data:
                raise EOFError
            self._held += data
        line, _, self._held = self._held.partition(b"\n")
        return msgspec.json.decode(line, type=Order)

    def wait(self, seconds: float) -> None:
        """Let time pass, no longer than until something is said."""
        if self.stopped:
            return
        if select.select([0], [], [], seconds)[0]:
            self.stopped = "interrupted" if os.read(0, 65_536) else "abandoned"


class Artefacts:
    """The files that grow while the run lasts, but for those that the runner writes itself."""

    def __init__(self, folder: Path, run_dir: Path, *, attached: Path | None = None) -> None:
        """``attached``: where a plane that was there before writes its telemetry; ours writes into ``folder``."""
        self._logs = Logs(run_dir, from_end=attached is not None)
        self._merger = Merger()
        self._log: BinaryIO = (folder / RUN_LOG).open("ab", buffering=0)
        self._copies: list[tuple[Follow, BinaryIO]] = []
        if attached is not None:
            for name in (TELEMETRY, RX_STATS):
                copy = (folder / name).open("ab", buffering=0)
                self._copies.append((Follow(attached / name, from_end=True), copy))

    def turn(self, *, last: bool = False) -> None:
        """Take over what has come. ``last``: all of it."""
        now_ms = time.time() * 1_000
        for name, line in self._logs.lines(last=last):
            self._merger.take(name, line, now_ms)
        _append(self._log, self._merger.rest() if last else self._merger.due(now_ms))
        for source, copy in self._copies:
            _append(copy, list(source.lines()))

    def close(self) -> None:
        """Have everything on disk."""
        for file in (self._log, *(copy for _, copy in self._copies)):
            os.fsync(file.fileno())
            file.close()
        self._logs.close()


def _append(file: BinaryIO, lines: list[bytes]) -> None:
    if lines:
        file.write(b"".join(line + b"\n" for line in lines))


class Keeper:
    """One run."""

    def __init__(self, order: Order, leash: Leash) -> None:
        self.folder = Path(order.out_dir)
        self._order = order
        self._leash = leash
        self._faults_at = 0.0
        self._faults = b""

    def run(self) -> int:
        """From start to report; the exit code: 0 the gate passes, 1 it fails, 3 the run did not end as planned."""
        if self._order.mode == "attach":
            return self._attached()
        base = Path(tempfile.mkdtemp(prefix=PREFIX, dir=temporary_base()))
        try:
            return self._own(base)
        finally:
            end_children(GRACE_S)
            shutil.rmtree(base, ignore_errors=True)

    def _own(self, base: Path) -> int:
        plane = self._plane(base)
        manifest = manifests.begin(self._order, plane.settings, time.time() * 1_000)
        manifests.write(self.folder, manifest)
        say(event="starting", base=str(base), control=plane.control)
        artefacts = Artefacts(self.folder, plane.settings.run_dir)
        status, why = "failed", ""
        try:
            plane.start(tie=die_with(os.getpid()))
            say(event="running", seconds=self._order.minutes * 60)
            status, why = self._watch(artefacts, plane)
        except (RuntimeError, OSError) as error:
            why = str(error)
        finally:
            over_ms = time.time() * 1_000
            self._stop(plane)
            artefacts.turn(last=True)
            artefacts.close()
        return self._end(manifests.ended(manifest, status, why, over_ms))

    def _attached(self) -> int:
        settings = parse(self._order.settings, {}, base=str(self.folder))
        manifest = manifests.begin(self._order, settings, time.time() * 1_000)
        manifests.write(self.folder, manifest)
        artefacts = Artefacts(self.folder, settings.run_dir, attached=settings.out_dir)
        say(event="running", seconds=self._order.minutes * 60)
        try:
            status, why = self._watch(artefacts, None)
            over_ms = time.time() * 1_000
        finally:
            artefacts.turn(last=True)
            artefacts.close()
        return self._end(manifests.ended(manifest, status, why, over_ms))

    def _watch(self, artefacts: Artefacts, plane: Plane | None) -> tuple[str, str]:
        """Until it is over; how it ended."""
        until = time.monotonic() + self._order.minutes * 60
        while not self._leash.stopped:
            artefacts.turn()
            if plane is not None:
                if not plane.running:
                    return "failed", "supervisord ended during the run"
                self._note_faults(plane)
            left = until - time.monotonic()
            if left <= 0:
                return "complete", ""
            self._leash.wait(min(TURN_S, left))
        why = {"interrupted": "it was stopped by hand", "abandoned": "the soak command was killed"}
        return self._leash.stopped, why[self._leash.stopped]

    def _stop(self, plane: Plane) -> None:
        """The runner first: what follows is our own doing and belongs to no measurement."""
        if plane.running:
            self._note_faults(plane, now=True)
            with suppress(*RPC_ERRORS):
                plane.supervisor.stop("runner:runner")
        with suppress(*RPC_ERRORS):
            plane.stop()
        end_children(GRACE_S)

    def _end(self, manifest: dict[str, Any]) -> int:
        status, why = manifest["status"], manifest["why"]
        manifests.write(self.folder, manifest)
        say(event="reporting", status=status, why=why)
        try:
            gate = reports(self.folder)
        except ParaphinaError as error:
            say(event="done", status=status, why=f"{why or 'no report'}: {error}", passed=False, failures=[])
            return 3
        say(event="done", status=status, why=why, passed=gate.passed, failures=msgspec.to_builtins(gate.failures))
        if status != "complete":
            return 3
        return 0 if gate.passed else 1

    def _plane(self, base: Path) -> Plane:
        order = self._order
        simulator: list[str] = []
        if order.scenario == "storm":
            simulator = ["--storm", f"{order.minutes * 60:g}"]
        elif order.scenario:
            simulator = ["--scenario", order.scenario]
        programs = [*order.connectors, "publisher", "runner", "sentinel", "simulator"]
        sim = order.mode == "sim"
        return prepare(base, sim=sim, settings=overlay(order), programs=programs, simulator=simulator, tied=True)

    def _note_faults(self, plane: Plane, *, now: bool = False) -> None:
        """Keep the simulator's own account of its faults."""
        present = time.monotonic()
        if plane.control is None or not (now or present >= self._faults_at):
            return
        self._faults_at = present + FAULTS_S
        with suppress(OSError, http.client.HTTPException):
            told = urllib.request.urlopen(f"{plane.control}/faults", timeout=1).read()  # noqa: S310 - our own loopback
            if told != self._faults:
                self._faults = told
                write_whole(self.folder / FAULTS, told)


def overlay(order: Order) -> dict[str, Any]:
    """The settings of the order for a plane of its own: its own sockets and ports, and its output in our directory."""
    tree: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(order.settings))
    tree.pop("base", None)
    tree.pop("bus", None)
    tree.pop("dashboard", None)
    tree["run"] = {"line": tree.get("run", {}).get("line", "a")}
    tree["log"] = {**tree.get("log", {}), "format": "logfmt"}
    files = {"telemetry_mode": "append", "telemetry_path": "", "rx_stats_path": "", "rx_stats": True, "ws_audit": True}
    tree["runner"] = {**tree.get("runner", {}), **files, "out_dir": order.out_dir}
    for venue in VENUES:
        keys = tree.setdefault("venues", {}).setdefault(venue, {})
        keys["enabled"] = venue in order.connectors
        if order.mode == "sim":
            for key in ("ws_url", "rest_url", "ca_file"):
                keys.pop(key, None)
    return tree


def temporary_base() -> Path:
    """Where planes have their directories while they run: sockets, logs, configuration."""
    return Path(tempfile.gettempdir())


def plane_settings(base: Path) -> Settings:
    """The settings of a plane that was prepared in ``base``."""
    return load({"PARAPHINA_CONFIG": str(base / "paraphina.toml")})


def main() -> int:
    """Take the order and carry it out."""
    leash = Leash()
    signal.signal(signal.SIGTERM, lambda *_: setattr(leash, "stopped", leash.stopped or "interrupted"))
    adopt_orphans()
    try:
        order = leash.order()
    except EOFError:
        return 3
    return Keeper(order, leash).run()


if __name__ == "__main__":
    sys.exit(main())
