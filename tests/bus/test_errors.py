"""Errors: one tree, whose fault it is in the type, fields rather than text."""

from __future__ import annotations

import pytest

from bus import errors


def test_there_is_one_root() -> None:
    found = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, Exception)]
    assert all(issubclass(error, errors.ParaphinaError) for error in found)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.SettingsError("bus.x", "unknown key", "y"), "bus.x: unknown key (allowed: y)"),
        (errors.SettingsError("bus.x", "bad"), "bus.x: bad"),
        (errors.WireError(b"book.a.b", "torn"), "b'book.a.b': torn"),
        (errors.VenueError("crossed"), "crossed"),
        (errors.VenueError("crossed", market="BTC-PERP"), "BTC-PERP: crossed"),
        (errors.FrameError("torn"), "torn"),
        (errors.TransportError("refused"), "refused"),
        (errors.TransportError("busy", status=429, retry_after_s=2.0), "HTTP 429: busy"),
    ],
)
def test_an_error_reads_as_one_line(error: errors.ParaphinaError, text: str) -> None:
    assert str(error) == text
