"""Answers to consumers that ask for state, within limits, and what producers are to be asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from bus.counters import Counter, Counters
from bus.errors import WireError
from bus.resync import End, Item, Refused, Request, Wish, decode_request, encode_answer
from publisher.cache import Cache

NS_PER_S: Final = 1_000_000_000
ASK_EVERY_NS: Final = 250_000_000
"""Producers are asked for one chain at most so often, however many consumers wish it."""
CONSUMERS: Final = 1_000
"""Consumers whose rate is remembered."""
NAMES: Final = 100
"""Consumers counted by name; further ones are counted as ``other``."""


class _Rate:
    """A token bucket of one second."""

    __slots__ = ("last", "tokens")

    def __init__(self, tokens: float, now: int) -> None:
        self.tokens = tokens
        self.last = now

    def take(self, per_s: int, now: int) -> bool:
        self.tokens = min(float(per_s), self.tokens + (now - self.last) * per_s / NS_PER_S)
        self.last = now
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class Service:
    """Takes requests as they come, answers them piece by piece with ``pump``. ``wanted`` is for the producers."""

    def __init__(self, cache: Cache, counters: Counters, per_s: int) -> None:
        self.wanted: deque[bytes] = deque()
        """Prefixes to subscribe anew, so that producers say that state again."""
        self._cache = cache
        self._counters = counters
        self._per_s = per_s
        self._rates: dict[bytes, _Rate] = {}
        self._asked: dict[bytes, int] = {}
        self._names: set[str] = set()
        self._answers: deque[tuple[bytes, deque[list[bytes]]]] = deque()

    @property
    def busy(self) -> bool:
        """Whether ``pump`` has anything to send."""
        return bool(self._answers)

    @property
    def consumers(self) -> int:
        """Consumers that have asked for state lately."""
        return len(self._rates)

    def request(self, identity: bytes, frames: list[bytes], now: int) -> None:
        """One request of a consumer, at monotonic ``now``. It takes the place of an earlier one not yet answered."""
        try:
            request = decode_request(frames)
        except WireError:
            self._counters.add(Counter.BAD_MESSAGES)
            return
        self._answers = deque(answer for answer in self._answers if answer[0] != identity)
        if not self._rate(identity, now).take(self._per_s, now):
            self._counters.add(Counter.RESYNC_REFUSED)
            refusal = encode_answer(Refused(request.id, max(1, 1_000 // self._per_s)))
            self._answers.append((identity, deque([refusal])))
            return
        self._counters.add(Counter.RESYNC_REQUESTS)
        self._count(identity, request)
        if request.wish is Wish.FRESH:
            for prefix in request.prefixes:
                self.ask(prefix, now)
        answer = deque(encode_answer(Item(request.id, item)) for item in self._cache.snapshot(request.prefixes))
        answer.append(encode_answer(End(request.id)))
        self._answers.append((identity, answer))

    def ask(self, prefix: bytes, now: int) -> None:
        """Have producers say the state of a prefix again, unless they were just asked."""
        if now - self._asked.get(prefix, now - ASK_EVERY_NS) < ASK_EVERY_NS:
            return
        if len(self._asked) >= CONSUMERS:
            self._asked = {asked: at for asked, at in self._asked.items() if now - at < ASK_EVERY_NS}
        self._asked[prefix] = now
        self.wanted.append(prefix)

    def pump(self, send: Callable[[list[bytes]], bool | None], most: int) -> bool:
        """Send up to ``most`` messages of answers, consumers in turn. Whether any could be sent.

        ``send`` gives True, False when the consumer's queue is full (the rest waits), or ``None`` when it is gone.
        """
        waiting, budget = 0, most
        while most > 0 and self._answers and waiting < len(self._answers):
            identity, answer = self._answers.popleft()
            while answer and most > 0:
                taken = send([identity, *answer[0]])
                if not taken:
                    if taken is None:
                        answer.clear()
                    break
                answer.popleft()
                most -= 1
            if answer:
                self._answers.append((identity, answer))
                waiting += 1
        return most < budget

    def _rate(self, identity: bytes, now: int) -> _Rate:
        rate = self._rates.get(identity)
        if rate is None:
            if len(self._rates) >= CONSUMERS:
                del self._rates[min(self._rates, key=lambda known: self._rates[known].last)]
            rate = self._rates[identity] = _Rate(float(self._per_s), now)
        return rate

    def _count(self, identity: bytes, request: Request) -> None:
        name = identity.split(b".", 1)[0].decode(errors="replace")
        if name not in self._names:
            if len(self._names) >= NAMES:
                name = "other"
            self._names.add(name)
        word = "joins" if request.wish is Wish.STATE else "heals"
        self._counters.add_label(f"{word}.{name}")
