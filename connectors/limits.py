"""Everything that holds a venue's connector back: its limits, its refusals, the circuit breaker."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final
from weakref import WeakSet

from connectors.backoff import Breaker
from connectors.budget import Window
from connectors.effects import Fetch, Now, Reply
from connectors.links import Link
from connectors.past import Past
from connectors.polls import retry_after_ns
from connectors.venue import VenueSpec

PROBE_RETRY_NS: Final = 250_000_000
"""How often a link held back by another's half-open probe looks again."""
LEAST_WAIT_NS: Final = 1_000_000


class Limits:
    """Budgets and holds of one venue, over all its connections and REST calls."""

    def __init__(self, spec: VenueSpec) -> None:
        self.breaker = Breaker()
        self._spec = spec
        self._connects = Window(spec.connects)
        self._messages = Window(None if spec.messages_per_connection else spec.messages)
        self._rest = Window(spec.rest)
        self._sessions: WeakSet[Window] = WeakSet()
        self._rest_queue: deque[tuple[str, Fetch]] = deque()
        self.connects_held_until = 0
        self.rest_held_until = 0
        self.changes = 0
        """Grows whenever ``past`` becomes another."""

    # -- what outlives the process

    def past(self, now: Now) -> Past:
        """What a successor has to know."""
        connects, messages, rest = (window.past(now.mono) for window in (self._connects, self._messages, self._rest))
        holds = (held if held > now.mono else 0 for held in (self.connects_held_until, self.rest_held_until))
        return Past(connects, messages, rest, *holds)

    def recall(self, past: Past) -> None:
        """Go on where the process before this one ended. Once, at the start."""
        for window, spent in (
            (self._connects, past.connects),
            (self._messages, past.messages),
            (self._rest, past.rest),
        ):
            window.recall(spent)
        self.connects_held_until, self.rest_held_until = past.connects_held_until, past.rest_held_until

    # -- connects

    def connect_at(self, now: Now) -> int:
        """When an attempt may start: ``now.mono`` for at once (the attempt is then taken from the budget)."""
        held = max(self.connects_held_until, now.mono + self._connects.wait_ns(now.mono))
        if held > now.mono:
            return held
        if not self.breaker.allows(now.mono):
            return max(self.breaker.open_until or 0, now.mono + PROBE_RETRY_NS)
        self._connects.take(now.mono)
        self.changes += 1
        return now.mono

    def failed(self, links: int, now: Now) -> int:
        """A connection failed again. For how many ns the breaker holds all back from now on, 0 when it does not."""
        self.breaker.limit = 3 * max(2, links)
        return (self.breaker.open_until or 0) - now.mono if self.breaker.failed(now.mono) else 0

    def refused(self, status: int | None, headers: Mapping[str, str], now: Now) -> int:
        """An upgrade was answered with this status: obey it. How long connects are held, in ns; 0 when they are not."""
        wait = self._wait(status, headers)
        self.connects_held_until = max(self.connects_held_until, now.mono + wait)
        self.changes += bool(wait)
        return wait

    # -- messages

    def session_budget(self) -> Window:
        """Message window of a new session, where each has its own."""
        window = Window(self._spec.messages if self._spec.messages_per_connection else None)
        self._sessions.add(window)
        return window

    def message_wait_ns(self, link: Link, now: Now) -> int:
        """How long the next client message must wait."""
        return max(link.messages.wait_ns(now.mono), self._messages.wait_ns(now.mono))

    def message_taken(self, link: Link, now: Now) -> None:
        """One client message is being sent."""
        link.messages.take(now.mono)
        self._messages.take(now.mono)
        self.changes += not self._spec.messages_per_connection

    # -- REST

    def queue(self, key: str, request: Fetch) -> None:
        """Have a call made when the budget allows."""
        self._rest_queue.append((key, request))

    def due_call(self, now: Now) -> tuple[str, Fetch] | None:
        """The next call that may be made now; it is taken from the budget."""
        if not self._rest_queue or self.call_at(now) > now.mono:
            return None
        key, request = self._rest_queue.popleft()
        self._rest.take(now.mono, request.weight)
        self.changes += 1
        return key, request

    def call_at(self, now: Now) -> int:
        """When the next queued call may be made."""
        weight = self._rest_queue[0][1].weight
        return max(self.rest_held_until, now.mono + self._rest.wait_ns(now.mono, weight))

    def answered(self, reply: Reply, now: Now) -> int:
        """A REST answer came: obey a limiting status. How long REST is held, in ns; 0 when it is not."""
        wait = 0 if reply.ok else self._wait(reply.status, reply.headers)
        self.rest_held_until = max(self.rest_held_until, now.mono + wait)
        self.changes += bool(wait)
        return wait

    def deadline(self, now: Now) -> int | None:
        """When a queued REST call may go."""
        return max(now.mono + LEAST_WAIT_NS, self.call_at(now)) if self._rest_queue else None

    def headroom(self, now: Now) -> dict[str, float]:
        """Least share of each limit that was left since this was last asked; 0 while the venue itself asks for rest."""
        found: dict[str, float] = {}
        spec = self._spec
        for limit, budget, windows, held_until in (
            ("connects", spec.connects, [self._connects], self.connects_held_until),
            ("messages", spec.messages, [self._messages, *self._sessions], 0),
            ("rest", spec.rest, [self._rest], self.rest_held_until),
        ):
            left = [share for window in windows if (share := window.headroom(now.mono)) is not None]
            if held_until > now.mono:
                found[limit] = 0.0
            elif budget is not None:
                found[limit] = round(min(left, default=1.0), 3)
        return found

    def _wait(self, status: int | None, headers: Mapping[str, str]) -> int:
        asked = retry_after_ns(Reply(status, b"", headers))
        return asked or self._spec.hold_statuses.get(status or 0, 0)
