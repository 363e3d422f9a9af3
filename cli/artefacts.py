"""The directory of a run: what is in it, read into what analysis takes."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from bus.errors import ParaphinaError
from cli.evidence import recovery
from cli.evidence.build import Inputs
from cli.evidence.logs import LogScan, RxScan
from cli.evidence.parts import joined
from cli.evidence.scan import BrokenLineError, Scan
from cli.tie import die_with

TELEMETRY: Final = "telemetry.jsonl"
RUN_LOG: Final = "run.log"
RX_STATS: Final = "market_rx_stats.log"
MANIFEST: Final = "manifest.json"
FAULTS: Final = "faults.json"
REPORT: Final = "ws_soak_report"
"""Name of the report without its ending."""

LARGE: Final = 16_000_000
"""Bytes of telemetry from which on two processes read it: one and a half seconds of work for one."""

S = TypeVar("S", LogScan, RxScan)
T = TypeVar("T")


class ArtefactError(ParaphinaError):
    """A file of a run is not there or cannot be used; the text names it."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """What the soak wrote down of itself; empty when there is none. Raises ArtefactError."""
    path = folder / MANIFEST
    if not path.exists():
        return {}
    return _json(path, msgspec.json.Decoder(dict[str, Any]))


def read(folder: Path, *, demanded: tuple[str, ...] = (TELEMETRY,), kind: type[Scan] = Scan) -> Inputs:
    """Read a run, each file in one pass. Raises ArtefactError for a broken file or a demanded one that is missing."""
    if not folder.is_dir():
        raise ArtefactError(f"no such directory: {folder}")
    for name in demanded:
        if not (folder / name).is_file():
            raise ArtefactError(f"missing required file: {folder / name}")
    manifest = read_manifest(folder)
    large = (folder / TELEMETRY).stat().st_size >= LARGE
    # A comparison's scan of blocks knows no parts.
    if large and kind is Scan and len(os.sched_getaffinity(0)) > 1:
        scan, log, rx = _side_by_side(folder, manifest)
    else:
        scan, log, rx = _scan(folder, manifest, kind), _log(folder, manifest), _rx(folder, manifest)
    inputs = Inputs(scan, log, rx, manifest=manifest)
    if (folder / FAULTS).is_file():
        inputs.faults = _json(folder / FAULTS, msgspec.json.Decoder(recovery.Log))
    inputs.missing = [name for name in (RUN_LOG, RX_STATS, MANIFEST) if not (folder / name).is_file()]
    return inputs


def _side_by_side(folder: Path, manifest: dict[str, Any]) -> tuple[Scan, LogScan | None, RxScan | None]:
    """Half of the venues here, everything else in a second process."""
    try:
        with ProcessPoolExecutor(1, get_context("fork"), die_with(os.getpid())) as pool:
            other = pool.submit(_scan, folder, manifest, Scan, (1, 2))
            log, rx = pool.submit(_log, folder, manifest), pool.submit(_rx, folder, manifest)
            one = _scan(folder, manifest, Scan, (0, 2))
            return joined([one, other.result()]), log.result(), rx.result()
    except BrokenProcessPool as error:
        raise ArtefactError(f"the second reader of {folder} was killed: {error}") from None


def _is_whole(manifest: dict[str, Any]) -> bool:
    """Whether the processes began with the run. Without a manifest they are taken to: then everything counts."""
    return bool(manifest.get("processes", "own") == "own")


def _scan(folder: Path, manifest: dict[str, Any], kind: type[Scan], part: tuple[int, int] = (0, 1)) -> Scan:
    path = folder / TELEMETRY
    tick_ms = manifest.get("settings", {}).get("runner", {}).get("tick_ms", 250)
    more = {} if part == (0, 1) else {"part": part}
    scan = kind(whole_run=_is_whole(manifest), tick_ms=tick_ms, **more)
    try:
        with path.open("rb") as file:
            scan.feed(file)
    except BrokenLineError as error:
        raise ArtefactError(f"broken file: {path}: {error}") from None
    except OSError as error:
        raise ArtefactError(f"cannot read {path}: {error.strerror}") from None
    if not scan.ticks:
        raise ArtefactError(f"empty file: {path} has no whole line of telemetry")
    return scan


def _log(folder: Path, manifest: dict[str, Any]) -> LogScan | None:
    return _fed(LogScan(whole_run=_is_whole(manifest)), folder / RUN_LOG)


def _rx(folder: Path, manifest: dict[str, Any]) -> RxScan | None:
    return _fed(RxScan(whole_run=_is_whole(manifest)), folder / RX_STATS)


def _fed(scan: S, path: Path) -> S | None:
    """The scan with all lines of a file; ``None`` where there is none."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            scan.feed(file)
    except OSError as error:
        raise ArtefactError(f"cannot read {path}: {error.strerror}") from None
    return scan


def _json(path: Path, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(path.read_bytes())
    except OSError as error:
        raise ArtefactError(f"cannot read {path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise ArtefactError(f"broken file: {path}: {error}") from None
