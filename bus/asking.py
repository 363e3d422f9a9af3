"""When a consumer asks the publisher for state, and for what: one request at a time, with patience and backoff."""

from __future__ import annotations

from collections import deque
from typing import Final

from bus.chains import Chain
from bus.resync import MAX_PREFIXES, Request, Wish, encode_request

MS: Final = 1_000_000
ANSWER_NS: Final = 1_000 * MS
"""Without any part of an answer for so long, a request is given up and sent again."""
SPACING_NS: Final = 20 * MS
"""Between two requests, whatever happens."""
FIRST_RETRY_NS: Final = 50 * MS
LAST_RETRY_NS: Final = 2_000 * MS


class Asking:
    """Holds what is needed and decides when to ask. ``outgoing`` is for the shell to send, as soon as it can."""

    def __init__(self, prefixes: list[bytes]) -> None:
        self.outgoing: deque[list[bytes]] = deque()
        self.linked = False
        """Whether the publisher has been heard, so that asking makes sense."""
        self._prefixes = prefixes[:MAX_PREFIXES]
        self._all = False
        self._needed: dict[Chain, None] = {}
        self._id: bytes | None = None
        self._number = 0
        self._heard = 0
        self._next = 0
        self._failures = 0

    @property
    def deadline(self) -> int | None:
        """When ``due`` has something to do, ``None`` for never."""
        if not self.linked:
            return None
        if self._id is not None:
            return self._heard + ANSWER_NS
        return self._next if self._all or self._needed else None

    def everything(self, now: int) -> None:
        """All state is needed; an answer under way does not count."""
        self.linked = True
        self._all = True
        self._id = None
        self._failures = 0
        self._next = now
        self.due(now)

    def need(self, chain: Chain, now: int) -> None:
        """The state of this chain is needed, soon."""
        if chain not in self._needed:
            self._needed[chain] = None
            self._next = min(self._next, max(now, self._heard + SPACING_NS))
            self.due(now)

    def well(self, chain: Chain) -> None:
        """This chain needs nothing any more."""
        self._needed.pop(chain, None)

    def due(self, now: int) -> None:
        """Send what is due at ``now``; to be called when ``deadline`` has come."""
        if not self.linked:
            return
        if self._id is not None and now >= self._heard + ANSWER_NS:
            self._failed(now)
        if self._id is None and (self._all or self._needed) and now >= self._next:
            self._number += 1
            self._id = b"%d" % self._number
            self._heard = now
            several = self._all or len(self._needed) > MAX_PREFIXES
            prefixes = self._prefixes if several else [chain.name.encode() for chain in self._needed]
            # Asking producers too is for what the publisher's own state did not mend.
            wish = Wish.STATE if self._all else Wish.FRESH if self._failures else Wish.HEAL
            self.outgoing.clear()
            self.outgoing.append(encode_request(Request(self._id, tuple(prefixes), wish)))

    def is_current(self, ident: bytes, now: int) -> bool:
        """Whether an answer belongs to the request that is waited for."""
        if ident != self._id:
            return False
        self._heard = now
        return True

    def refused(self, retry_ms: int, now: int) -> None:
        """The request was refused; it is repeated when the publisher says."""
        self._id = None
        self._next = now + retry_ms * MS

    def answered(self, now: int) -> None:
        """The answer is complete; whatever is still needed is asked for again, later each time."""
        self._all = False
        if self._needed:
            self._failed(now)
        else:
            self._id = None
            self._failures = 0
            self._next = now + SPACING_NS

    def _failed(self, now: int) -> None:
        self._id = None
        self._next = now + min(FIRST_RETRY_NS << min(self._failures, 8), LAST_RETRY_NS)
        self._failures += 1
