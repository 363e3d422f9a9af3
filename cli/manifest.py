"""What a run writes down of itself: settings, versions, host, times, and how it ended."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.settings import Settings
from cli.artefacts import MANIFEST
from cli.files import write_whole
from cli.supervise import ROOT

SCHEMA: Final = 1
PACKAGE: Final = "paraphina-connectivity"
LOCK: Final = ROOT / "requirements.lock"


class Order(msgspec.Struct, frozen=True):
    """What a soak was asked for."""

    out_dir: str
    minutes: float
    mode: str
    """``sim``, ``live`` or ``attach``."""
    connectors: tuple[str, ...]
    settings: dict[str, Any]
    """The settings in use, as a tree."""
    label: str = ""
    scenario: str = ""
    """Path of the file, or ``storm``."""
    command: tuple[str, ...] = ()
    doctor: tuple[dict[str, Any], ...] = ()
    """What the doctor found, without what was right."""


def begin(order: Order, settings: Settings, now_ms: float) -> dict[str, Any]:
    """The manifest of a run that begins. ``settings``: those of its processes."""
    tree = msgspec.to_builtins(settings)
    tree.pop("base")
    return {
        "schema": SCHEMA,
        "status": "running",
        "why": "",
        "label": order.label,
        "mode": order.mode,
        "processes": "attached" if order.mode == "attach" else "own",
        "connectors": list(order.connectors),
        "minutes": order.minutes,
        "scenario": order.scenario,
        "scenario_sha256": _digest(order.scenario),
        "command": list(order.command),
        "start": _iso(now_ms),
        "start_ms": round(now_ms),
        "end": None,
        "end_ms": None,
        "settings": tree,
        "versions": versions(),
        "host": host(),
        "git": revision(),
        "doctor": list(order.doctor),
    }


def ended(manifest: Mapping[str, Any], status: str, why: str, now_ms: float) -> dict[str, Any]:
    """The manifest of a run that is over: ``complete``, ``interrupted``, ``abandoned`` or ``failed``."""
    return {**manifest, "status": status, "why": why, "end": _iso(now_ms), "end_ms": round(now_ms)}


def write(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Put it in its place. Raises OSError."""
    write_whole(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def versions() -> dict[str, str]:
    """Of the interpreter, of this package, and of every package that the lock names."""
    found = {"python": platform.python_version(), "implementation": sys.implementation.name}
    for name in (PACKAGE, *locked()):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def locked() -> dict[str, str]:
    """Name and version of what requirements.lock pins; empty where there is no lock."""
    try:
        text = LOCK.read_text(encoding="utf-8")
    except OSError:
        return {}
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE))


def host() -> dict[str, Any]:
    """The machine."""
    return {
        "name": platform.node(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000,
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def revision() -> dict[str, Any] | None:
    """The checkout's commit, and whether files differ from it; ``None`` where there is no repository."""
    head = _git("rev-parse", "HEAD")
    if head is None:
        return None
    return {"revision": head, "changed": bool(_git("status", "--porcelain", "--untracked-files=no"))}


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *words],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _digest(scenario: str) -> str | None:
    path = Path(scenario)
    return sha256(path.read_bytes()).hexdigest() if scenario and path.is_file() else None


def _iso(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
