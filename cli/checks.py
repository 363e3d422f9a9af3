"""What the doctor's checks give: what was tested, what was found, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from rich.table import Table
from rich.text import Text

Outcome = Literal["ok", "warn", "fail", "skip"]


class Check(msgspec.Struct, frozen=True):
    """One thing that can ruin a run. ``fail`` does ruin it, ``warn`` may, ``skip`` could not be tested here."""

    name: str
    outcome: Outcome
    tested: str
    found: str
    fix: str = ""
    data: dict[str, Any] = {}
    """Numbers behind ``found``, for machines."""


def well(checks: Iterable[Check]) -> bool:
    """Whether nothing fails."""
    return all(check.outcome != "fail" for check in checks)


STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}


def table(checks: Iterable[Check]) -> Table:
    """For the terminal: one row a check, with the fix below what was found."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("check", "", "found"):
        shown.add_column(heading, overflow="fold")
    for check in checks:
        found = Text(check.found)
        if check.fix and check.outcome != "ok":
            found.append(f"\n→ {check.fix}", "italic")
        shown.add_row(check.name, Text(check.outcome, STYLES[check.outcome]), found)
    return shown
