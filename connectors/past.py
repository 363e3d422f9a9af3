"""What a process hands down to the next of its name: what it has spent of a venue's limits, and how long it must rest.

A venue counts by address, not by process: whoever begins anew with a full budget, or forgets that it was told to stay
away, is the one that turns a limit into a ban. Times are monotonic, which is one clock for all processes between two
boots; across a boot they are carried over by the wall clock.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import msgspec

from connectors.effects import Now

LONGEST_HOLD_NS: Final = 7 * 86_400 * 1_000_000_000
"""No venue here bans for longer (Aster: three days); more is damage."""
MOST_SPENT: Final = 100_000
"""Entries of one window beyond which a record is damage."""

Units = list[tuple[int, int]]
"""When (monotonic ns) so many units were spent, in that order."""


class Unusable(Exception):  # noqa: N818 - it says why a record is left aside, and nobody failed
    """A record that nothing can be learnt from."""


class Past(msgspec.Struct, frozen=True, array_like=True):
    """State of one venue's limits, see ``connectors.limits.Limits``."""

    connects: Units = []
    messages: Units = []
    """Client messages, where the venue counts those of all connections together."""
    rest: Units = []
    connects_held_until: int = 0
    """Monotonic ns; 0: not held."""
    rest_held_until: int = 0

    def shifted(self, by_ns: int) -> Past:
        """The same by a clock that is so much ahead."""

        def spent(units: Units) -> Units:
            return [(when + by_ns, count) for when, count in units]

        def held(until: int) -> int:
            return until + by_ns if until else 0

        return Past(
            spent(self.connects),
            spent(self.messages),
            spent(self.rest),
            held(self.connects_held_until),
            held(self.rest_held_until),
        )


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is written down."""

    boot: str
    """Which run of the host the monotonic clock belongs to."""
    mono: int
    wall: int
    """Both clocks when it was written."""
    host: str
    """Whose limits these are: the venue's addresses as configured."""
    past: Past


def encode(past: Past, boot: str, host: str, now: Now) -> bytes:
    """A record of now."""
    return msgspec.json.encode(Record(boot, now.mono, now.wall, host, past))


def decode(data: bytes, boot: str, host: str, now: Now) -> Past:
    """The past by the present monotonic clock. Raises Unusable.

    After a boot the time between is what the wall clock says, and none if that went back.
    """
    try:
        record = msgspec.json.decode(data, type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unusable(f"damaged: {error}") from None
    if record.host != host:
        raise Unusable(f"of another venue address: {record.host}")
    past = record.past
    for spent in (past.connects, past.messages, past.rest):
        if not _possible(spent, record.mono):
            raise Unusable("damaged: impossible units")
    if max(past.connects_held_until, past.rest_held_until) > record.mono + LONGEST_HOLD_NS:
        raise Unusable("damaged: an impossible hold")
    if record.boot != boot:
        return past.shifted(now.mono - max(0, now.wall - record.wall) - record.mono)
    if record.mono > now.mono:
        raise Unusable("of the future")
    return past


def _possible(spent: Units, until: int) -> bool:
    ordered = all(before[0] <= after[0] for before, after in pairwise(spent))
    return len(spent) <= MOST_SPENT and ordered and all(when <= until and units >= 0 for when, units in spent)
