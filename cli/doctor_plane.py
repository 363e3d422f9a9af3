"""The plane: its settings, its sockets and ports, and who is there already."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bus.errors import SettingsError
from bus.settings import Settings, load
from cli.artefacts import TELEMETRY
from cli.checks import Check
from cli.keeper import RPC_ERRORS
from cli.manifest import Order
from cli.plane import PORTS, free_ports
from cli.supervise import Supervisor
from simulator.faults import FaultError
from simulator.scenario import read_scenario

ENDPOINTS: Final = ("market_in", "market_out", "resync")
PROGRAMS: Final = ("connectors", "publisher", "runner", "sentinel")


def configuration(environ: Mapping[str, str]) -> tuple[Settings | None, Check]:
    """The settings in use."""
    named = environ.get("PARAPHINA_CONFIG") or "paraphina.toml"
    tested = f"settings of {named} and the environment"
    try:
        settings = load(environ)
    except SettingsError as error:
        fix = f"Allowed: {error.allowed}." if error.allowed else "docs/settings.md lists every key."
        return None, Check("configuration", "fail", tested, f"setting {error.path}: {error.problem}", fix)
    return settings, Check("configuration", "ok", tested, f"enabled: {', '.join(settings.enabled)}")


def supervisor(settings: Settings) -> list[Check]:
    """Who supervises this run directory already, and what a dead one left behind."""
    run_dir = settings.run_dir
    control = Supervisor(run_dir, timeout=3)
    pid = control.pid()
    control.close()
    tested = f"{control.socket}"
    if pid is not None:
        fix = "paraphina down, unless it is meant to run; a soak beside it competes for the CPU."
        return [Check("supervisord", "warn", tested, f"one is running there already (pid {pid})", fix, {"pid": pid})]
    checks = []
    if control.socket.exists():
        found = f"{control.socket} is left from a supervisord that is gone"
        checks.append(Check("supervisord", "warn", tested, found, "paraphina up removes it; or remove it by hand."))
    checks.append(_pid_file(run_dir / "supervisord.pid"))
    return checks


def _pid_file(path: Path) -> Check:
    tested = str(path)
    try:
        pid = int(path.read_text())
    except FileNotFoundError:
        return Check("pid file", "ok", tested, "none")
    except (OSError, ValueError) as error:
        return Check("pid file", "warn", tested, f"unreadable: {error}", f"Remove {path}.")
    command = command_of(pid)
    if "supervisord" in command:
        found = f"supervisord (pid {pid}) lives, but does not answer on its socket"
        return Check("pid file", "fail", tested, found, f"See supervisord.log; end it with kill {pid}.")
    what = f"pid {pid} is another program now ({command})" if command else f"no process {pid}"
    return Check("pid file", "warn", tested, f"stale: {what}", f"Remove {path}; supervisord overwrites it anyway.")


def instances(settings: Settings) -> Check:
    """Other connectors, publishers, runners and sentinels on this host."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            words = command_of(int(entry.name)).split()
            if len(words) > 2 and words[1] == "-m" and words[2] in PROGRAMS:  # noqa: PLR2004 - python -m program
                found.append((int(entry.name), " ".join(words[2:4])))
    tested = "processes of this host"
    if not found:
        return Check("other instances", "ok", tested, "none")
    told = ", ".join(f"{name} (pid {pid})" for pid, name in found[:8])
    fix = f"They share CPU and the venues' limits per host. Of this run directory: paraphina down ({settings.run_dir})."
    return Check(
        "other instances", "warn", tested, f"{len(found)} processes: {told}", fix, {"pids": [p for p, _ in found]}
    )


def command_of(pid: int) -> str:
    """Command line of a process, empty when it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def ports(settings: Settings) -> list[Check]:
    """TCP ports that the plane will listen on."""
    wanted = {"dashboard.port": (settings.dashboard.host, settings.dashboard.port)}
    for name in ENDPOINTS:
        parts = urlsplit(settings.endpoint(name))
        if parts.scheme == "tcp" and parts.port:
            wanted[f"bus.{name}"] = (parts.hostname or "", parts.port)
    ours = _own_pids(settings)
    return [_port(key, host, port, ours) for key, (host, port) in wanted.items() if port]


def _port(key: str, host: str, port: int, ours: set[int]) -> Check:
    tested = f"{key}: binding {host}:{port}"
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host if host != "*" else "", port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return Check(f"port {port}", "fail", tested, f"cannot bind: {error.strerror}", f"Change {key}.")
        pid = holder(port)
        if pid in ours:
            return Check(f"port {port}", "ok", tested, f"held by our own plane (pid {pid})")
        who = "another process" if pid is None else f"pid {pid} ({command_of(pid)[:80]})"
        return Check(f"port {port}", "fail", tested, f"port {port} is in use by {who}", f"End it, or change {key}.")
    return Check(f"port {port}", "ok", tested, "free")


def _own_pids(settings: Settings) -> set[int]:
    control = Supervisor(settings.run_dir, timeout=3)
    try:
        return {int(info["pid"]) for info in control.programs() if info["pid"]}
    except RPC_ERRORS:
        return set()
    finally:
        control.close()


def holder(port: int) -> int | None:
    """The process that listens on a port; ``None`` when it is another user's."""
    inodes = {f"socket:[{inode}]" for name in ("tcp", "tcp6") for inode in _listening(name, port)}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            for descriptor in (entry / "fd").iterdir():
                with suppress(OSError):
                    if str(descriptor.readlink()) in inodes:
                        return int(entry.name)
    return None


def _listening(name: str, port: int) -> list[str]:
    """Inodes of listening sockets, from /proc/net (proc(5): local address, state 0A, inode in the tenth column)."""
    with suppress(OSError):
        rows = [line.split() for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
        return [row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port]
    return []


def sockets(settings: Settings) -> Check:
    """Whether somebody listens on the bus's own sockets although nothing of ours runs."""
    paths = [
        endpoint.removeprefix("ipc://")
        for name in ENDPOINTS
        if (endpoint := settings.endpoint(name)).startswith("ipc://")
    ]
    tested = f"listeners on {', '.join(paths) or 'no sockets: the bus is on TCP'}"
    taken = [path for path in paths if _listens(path)]
    if not taken:
        return Check("bus sockets", "ok", tested, "nobody listens")
    if _own_pids(settings):
        return Check("bus sockets", "ok", tested, "held by our own plane")
    fix = "End the publisher that is left over: paraphina doctor lists it under other instances."
    return Check("bus sockets", "fail", tested, f"in use: {', '.join(taken)}", fix)


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except OSError:
            return False
        return True


def attachable(settings: Settings) -> Check:
    """Whether there is a plane to watch."""
    control = Supervisor(settings.run_dir, timeout=3)
    pid = control.pid()
    control.close()
    tested = str(control.socket)
    if pid is None:
        fix = "Start it with paraphina up, or soak with --sim or --live."
        return Check("running plane", "fail", tested, f"no supervisord answers on {tested}", fix)
    if not (settings.out_dir / TELEMETRY).exists():
        found = f"{settings.out_dir / TELEMETRY} does not exist: the runner writes no telemetry there"
        return Check("running plane", "fail", tested, found, "See runner.log, and the runner's settings.")
    return Check("running plane", "ok", tested, f"supervisord pid {pid}")


def scenario(order: Order, settings: Settings) -> Check:
    """Whether the file of faults can be used."""
    tested = f"scenario {order.scenario}"
    if order.scenario == "storm":
        return Check("scenario", "ok", tested, "random faults")
    try:
        text = Path(order.scenario).read_text(encoding="utf-8")
        requests = read_scenario(text, {venue: set(settings.venues[venue].markets) for venue in order.connectors})
    except (OSError, UnicodeDecodeError, FaultError) as error:
        return Check("scenario", "fail", tested, str(error), "docs/simulator.md lists the faults and their parameters.")
    late = [request.fault for request in requests if request.at_s + (request.for_s or 0) > order.minutes * 60]
    if late:
        return Check("scenario", "warn", tested, f"{len(late)} faults end after the run", "Use more --minutes.")
    return Check("scenario", "ok", tested, f"{len(requests)} faults")


def free(*, sim: bool) -> Check:
    """Ports for the simulated venues of a run."""
    tested = f"{PORTS} free ports in a row for simulated venues"
    if not sim:
        return Check("free ports", "skip", tested, "the venues are real ones")
    try:
        return Check("free ports", "ok", tested, f"from {free_ports()} on")
    except OSError as error:
        return Check("free ports", "fail", tested, str(error), "End what holds ports 20000 to 32000.")
