"""The end of a run: its manifest, its whole log, its report. Also of one whose keeper died."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from cli import manifest as manifests
from cli.artefacts import REPORT, RUN_LOG, ArtefactError, read, read_manifest
from cli.evidence.build import facts as facts_of
from cli.evidence.gate import Gate, Limits, judge
from cli.evidence.merge import Merger
from cli.files import write_whole
from cli.follow import Logs
from cli.report import expected_of, rendered


def reports(folder: Path) -> Gate:
    """Write the report in every form for people. Raises ArtefactError when there is nothing to tell of, OSError."""
    inputs = read(folder)
    facts = facts_of(inputs)
    gate = judge(facts, expected_of(facts), Limits(), require_event_age=True)
    for form in ("md", "html"):
        write_whole(folder / f"{REPORT}.{form}", rendered(inputs, facts, gate, form))
    return gate


def salvage(folder: Path, base: Path | None, why: str) -> Gate | None:
    """Make what can be made of a run whose keeper died. The gate's verdict when there is enough for one.

    ``base``: where its processes' logs are, from which run.log is made anew.
    """
    manifest: dict[str, Any] = read_manifest(folder)
    if manifest:
        manifests.write(folder, manifests.ended(manifest, "failed", why, time.time() * 1_000))
    if base is not None and (base / "run").is_dir():
        write_whole(folder / RUN_LOG, merged(base / "run"))
    try:
        return reports(folder)
    except ArtefactError:
        return None


def merged(folder: Path) -> bytes:
    """All logs of a run directory in time order."""
    logs, merger = Logs(folder), Merger()
    now_ms = time.time() * 1_000
    for name, line in logs.lines(last=True):
        merger.take(name, line, now_ms)
    logs.close()
    return b"".join(line + b"\n" for line in merger.rest())
