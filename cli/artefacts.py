"""The directory of a run: what is in it, read into what analysis takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from bus.errors import ParaphinaError
from cli.evidence import recovery
from cli.evidence.build import Inputs
from cli.evidence.logs import LogScan, RxScan
from cli.evidence.scan import BrokenLineError, Scan

TELEMETRY: Final = "telemetry.jsonl"
RUN_LOG: Final = "run.log"
RX_STATS: Final = "market_rx_stats.log"
MANIFEST: Final = "manifest.json"
FAULTS: Final = "faults.json"
REPORT: Final = "ws_soak_report"
"""Name of the report without its ending."""

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
    whole = _is_whole(manifest)
    inputs = Inputs(_scan(folder / TELEMETRY, manifest, kind, whole_run=whole), manifest=manifest)
    if (folder / RUN_LOG).is_file():
        inputs.log = LogScan(whole_run=whole)
        _feed(inputs.log, folder / RUN_LOG)
    if (folder / RX_STATS).is_file():
        inputs.rx = RxScan(whole_run=whole)
        _feed(inputs.rx, folder / RX_STATS)
    if (folder / FAULTS).is_file():
        inputs.faults = _json(folder / FAULTS, msgspec.json.Decoder(recovery.Log))
    inputs.missing = [name for name in (RUN_LOG, RX_STATS, MANIFEST) if not (folder / name).is_file()]
    return inputs


def _is_whole(manifest: dict[str, Any]) -> bool:
    """Whether the processes began with the run. Without a manifest they are taken to: then everything counts."""
    return bool(manifest.get("processes", "own") == "own")


def _scan(path: Path, manifest: dict[str, Any], kind: type[Scan], *, whole_run: bool) -> Scan:
    tick_ms = manifest.get("settings", {}).get("runner", {}).get("tick_ms", 250)
    scan = kind(whole_run=whole_run, tick_ms=tick_ms)
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


def _feed(scan: LogScan | RxScan, path: Path) -> None:
    try:
        with path.open("rb") as file:
            scan.feed(file)
    except OSError as error:
        raise ArtefactError(f"cannot read {path}: {error.strerror}") from None


def _json(path: Path, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(path.read_bytes())
    except OSError as error:
        raise ArtefactError(f"cannot read {path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise ArtefactError(f"broken file: {path}: {error}") from None
