"""A set of processes of its own: the same programs as supervisord.conf, in another run directory, on other ports.

For soaks and tests, beside whatever else runs on the host.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from configparser import RawConfigParser
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

from bus.settings import VENUES, Settings, parse
from cli.supervise import LIVE_CONF, ROOT, SIM_CONF, Supervisor

SETTINGS_FILE: Final = "paraphina.toml"
CONF_FILE: Final = "supervisord.conf"
FIRST_PORT: Final = 20_000
LAST_PORT: Final = 32_000
PORTS: Final = 1 + len(VENUES)
"""The simulator's: its control API and one for each venue, in a row."""


def free_ports(count: int = PORTS) -> int:
    """First of ``count`` free TCP ports in a row on loopback. Raises OSError when there are none.

    Below the range that the kernel gives to outgoing connections, and starting where no other process starts.
    """
    for base in range(FIRST_PORT + os.getpid() * count % 8_000, LAST_PORT, count):
        try:
            with ExitStack() as probes:
                for port in range(base, base + count):
                    probe = probes.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return base
    raise OSError(f"no {count} free ports in a row")


class Plane:
    """Processes under a supervisord of their own in ``base``; its run directory is ``base/run``."""

    def __init__(self, base: Path, conf: Path, settings: Settings, control: str | None) -> None:
        self.base = base
        self.conf = conf
        self.settings = settings
        self.control = control
        """URL of the simulator's control API."""
        self.supervisor = Supervisor(settings.run_dir)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, tie: Callable[[], None] | None = None) -> None:
        """Start supervisord in the foreground as our child; returns when it answers. Raises RuntimeError when not.

        ``tie`` runs in the child before it becomes supervisord.
        """
        command = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(self.conf)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=tie,  # noqa: PLW1509 - it makes system calls only, and no thread holds a lock that it needs
        )
        until = time.monotonic() + 30
        while self.supervisor.pid() is None:
            if self._process.poll() is not None or time.monotonic() > until:
                log = (self.settings.run_dir / "supervisord.log").read_text(errors="replace")
                raise RuntimeError(f"supervisord did not start:\n{log[-2000:]}")
            time.sleep(0.01)

    def stop(self, timeout_s: float = 30.0) -> None:
        """Stop everything; what does not end in time is killed."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            for program in self.programs().values():
                if program["pid"]:
                    with suppress(ProcessLookupError):
                        os.kill(int(program["pid"]), signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        self.supervisor.close()
        self._process = None

    @property
    def pid(self) -> int | None:
        """Of supervisord."""
        return None if self._process is None else self._process.pid

    @property
    def running(self) -> bool:
        """Whether supervisord is."""
        return self._process is not None and self._process.poll() is None

    def programs(self) -> dict[str, dict[str, Any]]:
        """Supervisord's view of each program by ``group:name``."""
        return {f"{info['group']}:{info['name']}": info for info in self.supervisor.programs()}


def prepare(
    base: Path,
    *,
    sim: bool,
    settings: Mapping[str, Any] | None = None,
    programs: Sequence[str] | None = None,
    simulator: Sequence[str] = (),
    tied: bool = False,
) -> Plane:
    """Write configuration into ``base`` (made if missing) and give the plane, not started.

    ``settings`` is laid over the defaults, section by section; ``programs`` keeps only these (group members by their
    own name); ``simulator`` are further arguments of the simulator. ``tied`` programs are killed by the kernel as soon
    as supervisord is dead, where there is util-linux's setpriv: a plane of the moment must not outlive its owners.
    """
    base = base.resolve()
    (base / "run").mkdir(mode=0o700, parents=True, exist_ok=True)
    port = free_ports() if sim else None
    tree: dict[str, Any] = {"venues": {} if port is None else _simulated(port), "dashboard": {"port": 0}}
    for section, keys in (settings or {}).items():
        _overlay(tree.setdefault(section, {}), keys)
    checked = parse(tree, {}, base=str(base))
    (base / SETTINGS_FILE).write_text(_toml(tree), encoding="utf-8")
    conf = base / CONF_FILE
    with conf.open("w", encoding="utf-8") as file:
        found = _configuration(base, checked, port, programs, simulator)
        if tied:
            _tie(found)
        found.write(file)
    return Plane(base, conf, checked, None if port is None else f"http://127.0.0.1:{port}")


def _simulated(port: int) -> dict[str, Any]:
    return {
        venue: {"ws_url": f"ws://127.0.0.1:{port + index}", "rest_url": f"http://127.0.0.1:{port + index}"}
        for index, venue in enumerate(VENUES, start=1)
    }


def _overlay(under: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(under.get(key), dict):
            _overlay(under[key], value)
        else:
            under[key] = value


def _toml(tree: Mapping[str, Any], prefix: str = "") -> str:
    """Tables of strings, numbers, booleans and lists: all that settings have. JSON writes those as TOML does."""
    plain = {key: value for key, value in tree.items() if not isinstance(value, Mapping)}
    lines = [f"[{prefix}]"] if prefix and plain else []
    lines += [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    text = "\n".join(lines) + "\n" if lines else ""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            text += _toml(value, f"{prefix}.{key}" if prefix else key)
    return text


def _configuration(
    base: Path, settings: Settings, port: int | None, programs: Sequence[str] | None, simulator: Sequence[str]
) -> RawConfigParser:
    """Our supervisord files, with this run directory, this interpreter and these ports."""
    source = RawConfigParser()
    for path in [LIVE_CONF] if port is None else [LIVE_CONF, SIM_CONF]:
        text = path.read_text(encoding="utf-8")
        text = text.replace("%(here)s/run", str(settings.run_dir)).replace("%(here)s/.venv/bin/python", sys.executable)
        source.read_string(text.replace("%(here)s", str(ROOT)))
    source.remove_section("include")
    source["supervisord"]["environment"] = f'MALLOC_ARENA_MAX="1",PARAPHINA_CONFIG="{base / SETTINGS_FILE}"'
    wanted = [venue for venue in settings.enabled if programs is None or venue in programs]
    source["group:connectors"]["programs"] = ",".join(wanted)
    for section in source.sections():
        kind, _, name = section.partition(":")
        unwanted = name in VENUES and name not in wanted
        unwanted |= programs is not None and name not in VENUES and name not in programs
        if kind in {"program", "eventlistener"} and unwanted:
            source.remove_section(section)
    if not wanted:
        source.remove_section("group:connectors")
    if source.has_section("program:simulator"):
        command = [sys.executable, "-m", "simulator", "--port-base", str(port), *simulator]
        source["program:simulator"]["command"] = " ".join(command)
    return source


def _tie(configuration: RawConfigParser) -> None:
    setpriv = shutil.which("setpriv")
    for section in configuration.sections():
        if setpriv is not None and section.partition(":")[0] in {"program", "eventlistener"}:
            # The setting survives the exec, so the program itself is the one that is killed.
            configuration[section]["command"] = f"{setpriv} --pdeathsig KILL {configuration[section]['command']}"
