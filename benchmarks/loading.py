"""The processes of a load: a producer of prepared events and a consumer that keeps accounts and checks its books.

``python -m benchmarks.loading producer VENUE RATE`` and ``consumer NAME check|plain``; they say JSON lines, see
``Producing`` and ``Consuming``. Which levels a market's change number ``n`` sets is worked out from ``n``, so whoever
sees a book with ``venue_seq`` n knows what it must hold.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from typing import Final

from benchmarks.figures import quantile
from bus.accounting import Ledger
from bus.client import Subscriber
from bus.clock import now, usage
from bus.counters import Counters
from bus.events import NO_MARKET, Bbo, Book, BusEvent, Delta, Heartbeat, Side, Source, Trade, Trust
from bus.items import Healed, Item, Lost, Message
from bus.process import Pulse
from bus.settings import VENUES, load
from bus.sockets import Producer, new_epoch

MARKETS: Final = ("BTC-PERP", "ETH-PERP", "SOL-PERP")
DEPTH: Final = 40
"""Prices a side that a book is made of."""
LEVELS: Final = 10
"""Changed levels a side in one change."""
WHOLE_NS: Final = 250_000_000
"""A consumer is whole while it trusts every book and its newest event is no older."""
SETTLE_S: Final = 2.0
TRICKLE_S: Final = 0.02
TURN_S: Final = 0.0005

Levels = tuple[list[float], list[float], list[float], list[float]]


def change(number: int) -> Levels:
    """Levels that change ``number`` of a market sets: one in six is removed; the best price of a side never is."""
    steps = [(7 * number + 3 * index) % DEPTH for index in range(LEVELS)]
    sizes = [float((number + index) % 6) if step else 1.0 + number % 9 for index, step in enumerate(steps)]
    return [1_000.0 - step for step in steps], sizes, [1_001.0 + step for step in steps], sizes


class Truth:
    """A market's book by change number."""

    def __init__(self) -> None:
        self.number = 0
        self._bids = {1_000.0: 1.0}
        self._asks = {1_001.0: 1.0}

    def advance(self, number: int) -> None:
        """Let it be the book after this change."""
        while self.number < number:
            self.number += 1
            bid_px, bid_sz, ask_px, ask_sz = change(self.number)
            for side, prices, sizes in ((self._bids, bid_px, bid_sz), (self._asks, ask_px, ask_sz)):
                side.update(zip(prices, sizes, strict=True))
                for price in [price for price, size in side.items() if not size]:
                    del side[price]

    def levels(self) -> Levels:
        """Best first."""
        bids, asks = sorted(self._bids.items(), reverse=True), sorted(self._asks.items())
        return [p for p, _ in bids], [s for _, s in bids], [p for p, _ in asks], [s for _, s in asks]


def say(word: str, body: object) -> None:
    """One line for whoever started this process."""
    print(word, json.dumps(body, separators=(",", ":")), flush=True)


def _readable() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


# -- one producer ------------------------------------------------------------------------------------------------------


class Producing:
    """A trickle until told ``go``; then of 20 frames 18 change a book, one quotes and one trades, until told ``stop``.

    Says ``ended`` with what it sent when all of it is out.
    """

    def __init__(self, venue: str, rate: float) -> None:
        settings, epoch = load(), new_epoch()
        self.counters = Counters()
        self.producer = Producer(settings, venue, epoch, self.counters)
        self.pulse = Pulse(os.getpid(), epoch, self.counters)
        self.rate = rate
        self.numbers = dict.fromkeys(MARKETS, 0)
        self.trades = dict.fromkeys(MARKETS, 0)
        self.started = self.frames = 0
        self.latest_ns = 0
        """The furthest that it fell behind its own pace."""

    def run(self) -> None:
        """Through to the end."""
        for market in MARKETS:
            self._say(market, Book(None, 0, Trust.LIVE, 1, Source.STREAM, [1_000.0], [1.0], [1_001.0], [1.0]))
        while not _readable():
            self._change(MARKETS[self.started % len(MARKETS)])
            self.started += 1
            self._attend()
            time.sleep(TRICKLE_S)
        sys.stdin.readline()
        began = time.monotonic_ns()
        while not _readable():
            due = int((time.monotonic_ns() - began) * self.rate / 1e9)
            self.latest_ns = max(self.latest_ns, int((due - self.frames) / self.rate * 1e9))
            while self.frames < due:
                self._frame()
                if not self.frames % 16:
                    self._attend()
            self._attend()
            time.sleep(TURN_S)
        self._finish()

    def _frame(self) -> None:
        market = MARKETS[self.frames % len(MARKETS)]
        self.frames += 1
        event: BusEvent
        if self.frames % 20 == 0:
            self.trades[market] += 1
            event = Trade(None, str(self.trades[market]), Side.BUY, 1_000.0, 1.0, history=False)
        elif self.frames % 20 == 10:
            event = Bbo(None, self.frames, Trust.LIVE, 1, Source.STREAM, 1_000.0, 1.0, 1_001.0, 1.0)
        else:
            self._change(market)
            return
        self._say(market, event)

    def _change(self, market: str) -> None:
        self.numbers[market] += 1
        self._say(market, Delta(None, self.numbers[market], Trust.LIVE, 1, *change(self.numbers[market])))

    def _say(self, market: str, event: BusEvent) -> None:
        mono, wall = now()
        self.producer.publish(market, event, wall, mono)

    def _attend(self) -> None:
        self.producer.attend()
        mono, wall = now()
        if mono >= self.pulse.deadline:
            self.producer.publish(NO_MARKET, self.pulse.beat(usage(), mono), wall, mono)

    def _finish(self) -> None:
        """What waits is sent, and heartbeats tell the last sequences; then it is told to end."""
        sys.stdin.readline()
        until = time.monotonic() + SETTLE_S
        while time.monotonic() < until or self.producer.outbox.deadline is not None:
            self._attend()
            time.sleep(0.002)
        chains = self.producer.outbox.chains()
        say("ended", {
            "frames": self.frames, "behind_ms": self.latest_ns / 1e6, "numbers": self.numbers, "trades": self.trades,
            "counters": self.counters.snapshot(), "sent": sum(chains.values()), "cpu_s": usage().cpu_s,
        })  # fmt: skip
        # A producer that falls silent is not trusted for long, and consumers may take their time to arrive at the end.
        while not _readable():
            self._attend()
            time.sleep(0.002)
        sys.stdin.readline()
        self.producer.close()


# -- one consumer ------------------------------------------------------------------------------------------------------


class Consuming:
    """Says ``whole NS`` and ``hurt NS`` as it turns; ``report`` with its accounts when it is told ``report``.

    Ages are those since the last report.
    """

    def __init__(self, name: str, *, checked: bool) -> None:
        self.subscriber = Subscriber(name=name)
        self.ledger = Ledger()
        self.checked = checked
        self.truths: dict[tuple[str, str], Truth] = {}
        self.steps = 0
        self.wrong: list[str] = []
        self.lost: dict[str, int] = {}
        self.trades = 0
        self.newest = 0
        self.whole = False
        self.ages: list[int] = []
        self.healed: list[float] = []
        self.server: dict[str, int] = {}

    def run(self) -> None:
        """Until standard input ends."""
        while True:
            for item in self.subscriber.poll(0.005, 2_000):
                self._take(item)
            self._turned()
            if _readable():
                line = sys.stdin.readline()
                if not line:
                    return
                self._report()

    def _take(self, item: Item) -> None:
        self.ledger.take(item)
        if isinstance(item, Message):
            self._message(item)
        elif isinstance(item, Lost):
            self.lost[f"{item.kind} {item.why}"] = self.lost.get(f"{item.kind} {item.why}", 0) + max(1, item.count)
        elif isinstance(item, Healed):
            self.healed.append(item.after_ns / 1e6)

    def _message(self, item: Message) -> None:
        event = item.event
        self.newest = item.header.mono_ns
        if isinstance(event, Book | Delta):
            self.ages.append(item.applied_ns - item.header.mono_ns)
            if self.checked:
                self._check(item.venue, item.market)
        elif isinstance(event, Trade):
            self.trades += 1
        elif isinstance(event, Heartbeat) and item.venue == "publisher":
            self.server = event.counters

    def _check(self, venue: str, market: str) -> None:
        """Whatever it trusts now is what was true at the change that it claims to show."""
        view = self.subscriber.book(venue, market)
        if view is None or not view.trusted:
            return
        truth = self.truths.get((venue, market))
        if truth is None or truth.number > (view.venue_seq or 0):
            truth = self.truths[venue, market] = Truth()
        truth.advance(view.venue_seq or 0)
        self.steps += 1
        if view.levels.levels() != truth.levels() and len(self.wrong) < 5:
            self.wrong.append(f"{venue} {market} at {view.venue_seq}")

    def _turned(self) -> None:
        mono, _ = now()
        whole = (
            not self.subscriber.backlog
            and mono - self.newest < WHOLE_NS
            and all(self.subscriber.trusted(venue, market) for venue in VENUES for market in MARKETS)
        )
        if whole is not self.whole:
            self.whole = whole
            print("whole" if whole else "hurt", mono, flush=True)

    def _report(self) -> None:
        total = self.ledger.total()
        ages, self.ages = sorted(self.ages), []
        names = ("published", "applied", "merged", "dropped", "in_flight", "imbalance")
        books = {}
        for venue in VENUES:
            for market in MARKETS:
                view = self.subscriber.book(venue, market)
                if view is not None and view.trusted:
                    books[f"{venue} {market}"] = (view.venue_seq, view.levels.levels())
        say("report", {
            "account": {name: getattr(total, name) for name in names}, "lost": self.lost, "trades": self.trades,
            "steps": self.steps, "wrong": self.wrong, "books": books, "healed_ms": self.healed,
            "counters": self.subscriber.counters.snapshot(), "server": self.server, "cpu_s": usage().cpu_s,
            "p50_ms": quantile(ages, 0.5) / 1e6 if ages else None, "rss_mb": usage().rss_bytes / 1e6,
            "p99_ms": quantile(ages, 0.99) / 1e6 if ages else None, "changes": len(ages),
        })  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1] == "producer":
        Producing(sys.argv[2], float(sys.argv[3])).run()
    else:
        Consuming(sys.argv[2], checked=sys.argv[3] == "check").run()
