"""The operations page knows every state and every reason that the code can give."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bus.events import Reason, State
from connectors import teller
from runner import processes

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
GENERIC = sorted(path for path in (ROOT / "connectors").glob("*.py"))


def rows() -> dict[str, list[str]]:
    """What the tables say of each name in their first column."""
    found: dict[str, list[str]] = {}
    for line in PAGE.splitlines():
        if line.startswith("| `"):
            name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            for one in re.findall(r"`(\w+)`", name):
                found[one] = cells
    return found


def literal_reasons() -> set[str]:
    """Reasons that the engine and its watch give in so many words."""
    text = "".join(path.read_text() for path in GENERIC)
    told = set(re.findall(r'State\.[A-Z]+, "(\w+)"', text)) | set(re.findall(r'\("(\w+)", "[^"]*"\)', text))
    return told & set(re.findall(r"\w+", " ".join(rows()))) | set(re.findall(r'State\.[A-Z]+, "(\w+)"', text))


def status_reasons() -> set[str]:
    """Every reason that a status may have without a connection having been left."""
    own = set(teller._COUNTED.values()) | set(teller._BY_ITSELF.values())  # noqa: SLF001
    ended = {f"process_{action}" for action in processes.ENDED}
    return own | ended | literal_reasons() | {"start", "stopped", "takeover", "no_heartbeat"}


@pytest.mark.parametrize("state", [state.value for state in State])
def test_each_state_says_what_happens_and_what_to_do(state: str) -> None:
    assert state in rows()
    assert len(rows()[state]) == 3


@pytest.mark.parametrize("reason", sorted({reason.value for reason in Reason} | status_reasons()))
def test_each_reason_says_what_it_means_and_what_to_do(reason: str) -> None:
    cells = rows().get(reason)
    assert cells is not None, "not on the page"
    assert len(cells) == 2
    assert all(cells)


def test_the_engines_own_reasons_are_found_in_its_code() -> None:
    assert {"start", "connected", "recovery_budget", "stopped", "takeover"} <= literal_reasons()
