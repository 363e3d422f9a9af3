"""Status of each market and of the venue: the states, the allowed transitions, and who is worst.

============ ====================================================================================
init         the process has started, nothing has been tried
connecting   a first connection is being made
syncing      connected, the book is not complete yet
live         the book is complete and continuous
stale        the book was live and has been silent past its threshold
recovering   the book was invalidated or its connection lost; being rebuilt
down         recovery has failed several times or takes longer than its budget; still being tried
============ ====================================================================================
"""

from __future__ import annotations

from typing import Final

import msgspec

from bus.events import NO_MARKET, State, Status, Trust
from connectors.effects import Now

ALLOWED: Final[dict[State, frozenset[State]]] = {
    State.INIT: frozenset({State.CONNECTING, State.SYNCING, State.LIVE, State.DOWN}),
    State.CONNECTING: frozenset({State.SYNCING, State.LIVE, State.DOWN}),
    State.SYNCING: frozenset({State.LIVE, State.RECOVERING, State.DOWN}),
    State.LIVE: frozenset({State.STALE, State.RECOVERING}),
    State.STALE: frozenset({State.LIVE, State.RECOVERING, State.DOWN}),
    State.RECOVERING: frozenset({State.LIVE, State.STALE, State.DOWN}),
    State.DOWN: frozenset({State.LIVE}),
}
"""Every transition there is. ``live`` is reached from anywhere by one event: a live book.

``down`` is left in no other way: being connected once more, for the fifth time, is no news.
"""
_STATES: Final = {Trust.LIVE: State.LIVE, Trust.STALE: State.STALE, Trust.RESYNC: State.RECOVERING}

_SEVERITY: Final = {
    State.LIVE: 0,
    State.SYNCING: 1,
    State.CONNECTING: 2,
    State.INIT: 3,
    State.RECOVERING: 4,
    State.STALE: 5,
    State.DOWN: 6,
}

_ON_THE_WAY_UP: Final = {State.INIT, State.CONNECTING, State.SYNCING, State.LIVE}


class _Entry(msgspec.Struct):
    state: State
    since_ns: int
    since_mono: int


class Health:
    """States of the wanted markets. Each method returns the Status events to publish, as (market, event)."""

    def __init__(self, markets: tuple[str, ...], now: Now) -> None:
        self._entries = {market: _Entry(State.INIT, now.wall, now.mono) for market in (NO_MARKET, *markets)}
        self._markets = markets
        self._away = dict.fromkeys(self._entries, now.wall)

    def state(self, market: str = NO_MARKET) -> State:
        """Current state of a market, or of the venue."""
        return self._entries[market].state

    def since_mono(self, market: str = NO_MARKET) -> int:
        """Monotonic ns of its last change."""
        return self._entries[market].since_mono

    def all(self) -> list[tuple[str, Status]]:
        """Every status as it is, for the start."""
        return [
            (market, Status(entry.state, entry.state, "start", "", entry.since_ns))
            for market, entry in self._entries.items()
        ]

    def book(self, market: str, trust: Trust, reason: str, detail: str, now: Now) -> list[tuple[str, Status]]:
        """A book event with this trust is being published. ``rest`` leaves the state as it is: no continuity."""
        state = _STATES.get(trust)
        return [] if state is None else self.move((market,), state, reason, detail, now)

    def move(
        self, markets: tuple[str, ...], state: State, reason: str, detail: str, now: Now
    ) -> list[tuple[str, Status]]:
        """Move these markets where that is an allowed transition, and the venue with the worst of all."""
        found = []
        for market in markets:
            entry = self._entries.get(market)
            if entry is not None and state in ALLOWED[entry.state]:
                found.append((market, self._set(entry, state, reason, detail, now)))
        if found:
            worst = max((self._entries[market].state for market in self._markets), key=_SEVERITY.__getitem__)
            venue = self._entries[NO_MARKET]
            if worst is not venue.state:
                found.append((NO_MARKET, self._set(venue, worst, reason, detail, now)))
        return found

    def line(self, market: str, status: Status) -> dict[str, object] | None:
        """Fields of the log line for a change just made; ``None`` for a market that only keeps pace with its venue.

        On the way up the venue's line speaks for its markets; in trouble each market has its own. A line that says
        ``live`` says after how long.
        """
        away = (status.since_ns - self._away.pop(market, status.since_ns)) // 1_000_000
        if status.state is not State.LIVE:
            self._away[market] = status.since_ns - away * 1_000_000
        if market != NO_MARKET and {status.previous, status.state} <= _ON_THE_WAY_UP:
            return None
        fields: dict[str, object] = {"market": market, "was": status.previous.value, "reason": status.reason}
        if status.detail:
            fields["detail"] = status.detail
        if status.state is State.LIVE:
            fields["after_ms"] = away
        return fields

    @staticmethod
    def _set(entry: _Entry, state: State, reason: str, detail: str, now: Now) -> Status:
        previous, entry.state = entry.state, state
        entry.since_ns, entry.since_mono = now.wall, now.mono
        return Status(state, previous, reason, detail, now.wall)
