"""Everything that holds a venue's connector back: its limits, its refusals, the circuit breaker."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from connectors.backoff import Breaker
from connectors.budget import Window
from connectors.effects import Fetch, Now, Reply
from connectors.links import Link
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
        self._rest_queue: deque[tuple[str, Fetch]] = deque()
        self.connects_held_until = 0
        self.rest_held_until = 0

    # -- connects

    def connect_at(self, now: Now) -> int:
        """When an attempt may start: ``now.mono`` for at once (the attempt is then taken from the budget)."""
        held = max(self.connects_held_until, now.mono + self._connects.wait_ns(now.mono))
        if held > now.mono:
            return held
        if not self.breaker.allows(now.mono):
            return max(self.breaker.open_until or 0, now.mono + PROBE_RETRY_NS)
        self._connects.take(now.mono)
        return now.mono

    def failed(self, links: int, now: Now) -> int:
        """A connection failed again. For how many ns the breaker holds all back from now on, 0 when it does not."""
        self.breaker.limit = 3 * max(2, links)
        return (self.breaker.open_until or 0) - now.mono if self.breaker.failed(now.mono) else 0

    def refused(self, status: int | None, headers: Mapping[str, str], now: Now) -> int:
        """An upgrade was answered with this status: obey it. How long connects are held, in ns; 0 when they are not."""
        wait = self._wait(status, headers)
        self.connects_held_until = max(self.connects_held_until, now.mono + wait)
        return wait

    # -- messages

    def session_budget(self) -> Window:
        """Message window of a new session, where each has its own."""
        return Window(self._spec.messages if self._spec.messages_per_connection else None)

    def message_wait_ns(self, link: Link, now: Now) -> int:
        """How long the next client message must wait."""
        return max(link.messages.wait_ns(now.mono), self._messages.wait_ns(now.mono))

    def message_taken(self, link: Link, now: Now) -> None:
        """One client message is being sent."""
        link.messages.take(now.mono)
        self._messages.take(now.mono)

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
        return key, request

    def call_at(self, now: Now) -> int:
        """When the next queued call may be made."""
        weight = self._rest_queue[0][1].weight
        return max(self.rest_held_until, now.mono + self._rest.wait_ns(now.mono, weight))

    def answered(self, reply: Reply, now: Now) -> int:
        """A REST answer came: obey a limiting status. How long REST is held, in ns; 0 when it is not."""
        wait = 0 if reply.ok else self._wait(reply.status, reply.headers)
        self.rest_held_until = max(self.rest_held_until, now.mono + wait)
        return wait

    def deadline(self, now: Now) -> int | None:
        """When a queued REST call may go."""
        return max(now.mono + LEAST_WAIT_NS, self.call_at(now)) if self._rest_queue else None

    def _wait(self, status: int | None, headers: Mapping[str, str]) -> int:
        asked = retry_after_ns(Reply(status, b"", headers))
        return asked or self._spec.hold_statuses.get(status or 0, 0)
