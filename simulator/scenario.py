"""Scenario files: faults with times, as TOML (pure)."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from simulator.faults import FaultError, Request, read_request
from simulator.settings import VENUES

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_scenario(text: str, venues: Mapping[str, set[str]]) -> list[Request]:
    """Read ``[[fault]]`` tables, each ``fault``, ``venue``, ``market``, ``at_s``, ``for_s`` and ``[fault.params]``.

    Faults of venues that are not served are left out, so that one scenario serves runs of any choice of venues. Raises
    FaultError naming the entry.
    """
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FaultError(f"scenario: {error}") from error
    unknown = set(value) - {"fault", "title"}
    if unknown:
        raise FaultError(f"scenario: unknown key: {', '.join(sorted(unknown))}")
    entries = value.get("fault", [])
    if not isinstance(entries, list):
        raise FaultError("scenario: faults are written as [[fault]] tables")
    return [_entry(number, entry, venues) for number, entry in enumerate(entries, 1) if _served(entry, venues)]


def _served(entry: object, venues: Mapping[str, set[str]]) -> bool:
    venue = entry.get("venue") if isinstance(entry, dict) else None
    return venue in venues or venue not in VENUES


def _entry(number: int, entry: object, venues: Mapping[str, set[str]]) -> Request:
    try:
        return read_request(entry, venues)
    except FaultError as error:
        raise FaultError(f"scenario: fault {number}: {error}") from error
