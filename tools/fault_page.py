"""Writes the generated parts of ``docs/faults.md``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from bus.settings import VENUES
from tools.fault_cells import CELLS, PACE_MS, RECOVERY_MS, SETTINGS, SLACK_MS, Cell
from tools.fault_result import Result

SECOND_MS: Final = 1_000


def put(path: Path, name: str, text: str) -> None:
    """Replace what stands between ``<!-- name -->`` and ``<!-- /name -->``."""
    page = path.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"{path} has no part {name}")
    path.write_text(pattern.sub(lambda found: f"{found[1]}{text}{found[2]}", page), encoding="utf-8")


def matrix(results: dict[tuple[str, str], Result]) -> str:
    """The tables, one a venue, and what they come to."""
    settings = ", ".join(f"`{name}` {value}" for name, value in SETTINGS.items())
    parts = [f"Settings of the run, for every venue: {settings}.\n", summary(results)]
    parts += [table(venue, results) for venue in VENUES]
    return "\n".join(parts)


def summary(results: dict[tuple[str, str], Result]) -> str:
    """How many cells there are, how many are out of bounds, and what was broken in all."""
    columns = ["venue", "cells", "not applicable", "without effect", "found", "out of bounds", "limits broken"]
    columns += ["events lost", "books that differed"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for venue in VENUES:
        found = [(cell, results[cell.name, venue]) for cell in CELLS if (cell.name, venue) in results]
        counts = [
            len(CELLS),
            sum(venue in cell.never for cell in CELLS),
            sum(result.detected_ms is None for _, result in found),
            sum(result.detected_ms is not None for _, result in found),
            sum(bool(result.faults(cell)) for cell, result in found),
            sum(sum(result.violated.values()) for _, result in found),
            sum(result.events_lost for _, result in found),
            sum(not result.equal for _, result in found),
        ]
        lines.append(f"| {venue} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines) + "\n"


def table(venue: str, results: dict[tuple[str, str], Result]) -> str:
    """One venue's cells."""
    lines = [
        f"### {venue}\n",
        "| fault | found after (within) | reasons, counts | away | live again after | disturbed | |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [f"| **{cell.name}**: {cell.says} | {entry(cell, venue, results)} |" for cell in CELLS]
    return "\n".join(lines) + "\n"


def entry(cell: Cell, venue: str, results: dict[tuple[str, str], Result]) -> str:
    """The columns of one cell after its name."""
    if venue in cell.never:
        return f"- | {cell.never[venue]} | - | - | - | "
    result = results.get((cell.name, venue))
    if result is None:
        return "not run | | | | | "
    outcome = ", ".join(f"**{word}**" for word in result.faults(cell)) or "ok"
    return " | ".join((found(cell, result), why(result), *recovered(cell, result), disturbed(cell, result), outcome))


def found(cell: Cell, result: Result) -> str:
    """When it was found, and by when it had to be."""
    if not result.applied:
        return "no call was made"
    if result.detected_ms is None:
        return "no effect"
    within = "" if cell.finds == "need not be" else f" ({seconds(result.threshold_ms + SLACK_MS)})"
    return f"{seconds(result.detected_ms)}{within}"


def why(result: Result) -> str:
    """Reasons with the numbers of reconnects, then other counts."""
    left = [f"`{name}` {count}" for name, count in sorted(result.reasons.items()) if count]
    mended = [f"`{name}`" for name, count in sorted(result.reasons.items()) if not count]
    counts = [f"{name} {count}" for name, count in sorted(result.counted.items())]
    wrong = (
        [f"{result.wrong} of {result.compared} looks differed, over {seconds(result.wrong_ms)}"] if result.wrong else []
    )
    violated = [f"**{name} {count}**" for name, count in result.violated.items()]
    return ", ".join([*left, *mended, *counts, *wrong, *violated]) or "-"


def recovered(cell: Cell, result: Result) -> tuple[str, str]:
    """How long it was away; how long after it could be back it was."""
    if result.away_ms is None or result.recovered_ms is None or result.after_ms is None:
        return "-", "-"
    waited = result.after_ms - result.recovered_ms
    bound = f", after {seconds(waited)} until the next attempt ({result.held_by})" if waited > 1 else ""
    late = result.recovered_ms > RECOVERY_MS
    pace = f" (attempts are up to {seconds(PACE_MS[result.venue])} apart)" if late and result.pace_ms(cell) else ""
    return seconds(result.away_ms), f"{seconds(result.recovered_ms)}{bound}{pace}"


def disturbed(cell: Cell, result: Result) -> str:
    """Which markets were taken back, or which of those it was not done to."""
    if not result.lost:
        return "none"
    if not cell.market:
        return "all" if len(result.lost) > 1 else result.lost[0]
    return "none other" if not result.disturbed else ", ".join(result.disturbed)


def seconds(ms: float) -> str:
    """For reading."""
    return f"{ms:.0f} ms" if ms < SECOND_MS else f"{ms / SECOND_MS:.1f} s"
