"""One scan made of several, each of which has looked at its share of the venues.

A day's telemetry is 2.7 GB, most of it about venues, and what is gathered of one venue has nothing to do with another.
So the file is read by two processes at once, and the report is the same as if one had read it.
"""

from __future__ import annotations

from collections.abc import Sequence

from cli.evidence.scan import MAX_MOMENTS, Scan


def joined(parts: Sequence[Scan]) -> Scan:
    """The first of the parts, with what the others know of their venues."""
    whole = parts[0]
    for part in parts[1:]:
        whole.venues |= part.venues
        whole.left_out += part.left_out
    whole.venues = {name: whole.venues[name] for name in whole.places if name in whole.venues}
    found = [pair for part in parts for pair in zip(part.ranks, part.moments, strict=True)]
    found.sort(key=lambda pair: pair[0])
    whole.left_out += max(0, len(found) - MAX_MOMENTS)
    whole.ranks = [rank for rank, _ in found[:MAX_MOMENTS]]
    whole.moments = [moment for _, moment in found[:MAX_MOMENTS]]
    return whole
