"""Aster's side of the wire, written from its documents, and a desk that plays the protocol against it in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TypeVar

from bus.book import Book as Levels
from bus.events import Bbo, Book, Delta, Reason, Trust
from bus.settings import DEFAULT_VENUES
from bus.settings import Venue as VenueSettings
from connectors.aster.protocol import Aster
from connectors.effects import Count, Effects, Emit, Fetch, Note, Now, Ping, Reconnect, Reply, Send
from connectors.feed import Rebuilds, SeenTrades
from connectors.venue import Context

MS = 1_000_000
S = 1_000 * MS
WALL = 1_790_000_000 * S
TIME = 1_790_000_000_000
"""Milliseconds of the venue."""
BTC = "BTC-PERP"
T = TypeVar("T")
Pairs = Iterable[tuple[float, float]]
BIDS = ((100.0, 1.0), (99.9, 2.0), (99.8, 3.0))
ASKS = ((100.1, 1.5), (100.2, 2.5), (100.3, 3.5))


def levels(pairs: Pairs) -> list[list[str]]:
    return [[f"{px:.1f}", f"{sz:.3f}"] for px, sz in pairs]


def push(stream: str, data: dict[str, object]) -> bytes:
    return json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode()


def depth(u: int, pu: int, bids: Pairs = (), asks: Pairs = (), symbol: str = "BTCUSDT", /, **other: object) -> bytes:
    data = {"e": "depthUpdate", "E": TIME + 4, "T": TIME, "s": symbol, "U": u, "u": u, "pu": pu}
    data |= {"b": levels(bids), "a": levels(asks), **other}
    return push(f"{symbol.lower()}@depth@100ms", data)


def ticker(u: int, bid: tuple[float, float] = BIDS[0], ask: tuple[float, float] = ASKS[0], /, **other: object) -> bytes:
    data: dict[str, object] = {"e": "bookTicker", "u": u, "s": "BTCUSDT"}
    data |= {"b": f"{bid[0]}", "B": f"{bid[1]}", "a": f"{ask[0]}", "A": f"{ask[1]}", "T": TIME, "E": TIME + 3}
    return push("btcusdt@bookTicker", data | other)


def trade(number: int, *, px: str = "100.1", sz: str = "0.020", sold: bool = False, **other: object) -> bytes:
    data: dict[str, object] = {"e": "aggTrade", "E": TIME + 150, "a": number, "s": "BTCUSDT", "p": px, "q": sz}
    return push("btcusdt@aggTrade", data | {"f": number, "l": number, "T": TIME, "m": sold} | other)


def mark(**other: object) -> bytes:
    data: dict[str, object] = {"e": "markPriceUpdate", "E": TIME, "s": "BTCUSDT", "p": "100.20000000"}
    data |= {"P": "100.10000000", "i": "100.30000000", "r": "0.00010000", "T": TIME + 3_600_000}
    return push("btcusdt@markPrice@1s", data | other)


def snapshot(last: int, bids: Pairs = BIDS, asks: Pairs = ASKS) -> dict[str, object]:
    return {"lastUpdateId": last, "E": TIME + 30, "T": TIME + 2, "bids": levels(bids), "asks": levels(asks)}


def row(base: str, **other: object) -> dict[str, object]:
    found: dict[str, object] = {
        "symbol": f"{base}USDT",
        "status": "TRADING",
        "contractType": "PERPETUAL",
        "baseAsset": base,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "filters": [
            {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.002", "maxQty": "1000"},
            {"filterType": "PRICE_FILTER", "tickSize": "0.1", "minPrice": "1", "maxPrice": "1000000"},
        ],
    }
    return found | other


def listing(*rows: dict[str, object]) -> dict[str, object]:
    return {"timezone": "UTC", "symbols": list(rows or (row("BTC"), row("ETH"), row("SOL")))}


class Desk:
    """Performs effects as the engine does, and keeps what a consumer would hold."""

    def __init__(self, *markets: str, marks: bool = True, **settings: object) -> None:
        base = DEFAULT_VENUES["aster"]
        fields = {name: getattr(base, name) for name in base.__struct_fields__}
        self.settings = VenueSettings(**{**fields, "markets": markets or (BTC,), **settings})
        self.context = Context(self.settings, Rebuilds(), SeenTrades())
        self.protocol = Aster(self.context)
        self.mono = 1_000 * S
        self.log: Effects = []
        self.pending: list[Fetch] = []
        self.conns: set[str] = set()
        self.books: dict[str, Levels] = {}
        self.trust: dict[str, Trust] = {}
        self.seqs: dict[str, int | None] = {}
        self.quotes: dict[str, Bbo] = {}
        self.acks = True
        """Whether the venue acknowledges subscriptions."""
        self.pongs = True
        self.marks = marks
        """Whether it pushes BTC's mark price every second while time passes."""
        self._rebuilds: dict[str, int] = {}

    @property
    def now(self) -> Now:
        return Now(self.mono, WALL + self.mono)

    # -- what happens

    def start(self) -> Effects:
        return self.perform(self.protocol.start(self.now))

    def open(self, conn: str = "main") -> Effects:
        self.conns.add(conn)
        return self.perform(self.protocol.opened(conn, self.now))

    def close(self, conn: str = "main") -> Effects:
        self.conns.discard(conn)
        return self.perform(self.protocol.closed(conn, self.now))

    def frame(self, frame: bytes, conn: str = "main") -> Effects:
        return self.perform(self.protocol.received(conn, frame, False, self.now))

    def control(self, **fields: object) -> Effects:
        return self.frame(json.dumps(fields, separators=(",", ":")).encode())

    def answer(
        self, name: str, body: object, status: int | None = 200, market: str | None = None, **headers: str
    ) -> Effects:
        """Answer the oldest call of this name (and market)."""
        request = next(fetch for fetch in self.pending if fetch.name == name and market in {None, fetch.market})
        self.pending.remove(request)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {key.replace("_", "-"): value for key, value in headers.items()}
        reply = Reply(status, data, given) if status is not None else Reply(None, problem="refused")
        return self.perform(self.protocol.fetched(request, reply, self.now))

    def asked(self, name: str, market: str | None = None) -> bool:
        return any(fetch.name == name and market in {None, fetch.market} for fetch in self.pending)

    def wait(self, seconds: float) -> Effects:
        """Let time pass, waking the protocol whenever it asked for it."""
        end, effects = self.mono + round(seconds * S), Effects()
        while self.marks and self.mono + S < end:
            effects += self._pass(self.mono + S)
            if "main" in self.conns:
                self.frame(mark())
        return effects + self._pass(end)

    def _pass(self, end: int) -> Effects:
        effects: Effects = []
        while (due := self.protocol.deadline) is not None and due <= end:
            self.mono = max(self.mono, due)
            effects += self.perform(self.protocol.woken(self.now))
            if self.protocol.deadline == due == self.mono:
                # Something is overdue that only the venue can end: do not spin.
                self.mono += MS
        self.mono = max(end, self.mono)
        return effects

    def ready(self) -> None:
        """Connected, subscribed, listed; no book yet."""
        self.start()
        self.open()
        self.answer("markets", listing())

    def live(self, last: int = 1_000, bids: Pairs = BIDS, asks: Pairs = ASKS) -> None:
        """And with a live book of ``last`` (whose diff named ``last - 100``)."""
        self.ready()
        self.frame(depth(last, last - 100))
        self.answer("book", snapshot(last, bids, asks))
        assert self.trust[BTC] is Trust.LIVE

    def flow(self, seconds: float) -> Effects:
        """Time in which BTC's live book is told of twice a second and REST agrees with it."""
        effects: Effects = []
        for _ in range(round(2 * seconds)):
            effects += self.wait(0.5)
            last = self.seqs[BTC] or 0
            if self.marks:
                self.frame(mark())
            effects += self.frame(depth(last + 100, last))
            if self.asked("book", BTC):
                effects += self.answer("book", snapshot(last + 100), market=BTC)
        return effects

    # -- what is done

    def perform(self, effects: Effects) -> Effects:
        done: Effects = []
        for effect in effects:
            done.append(effect)
            self.log.append(effect)
            if isinstance(effect, Emit):
                self._consume(effect)
            elif isinstance(effect, Fetch):
                self.pending.append(effect)
            elif isinstance(effect, Ping) and self.pongs:
                done += self.perform(self.protocol.ponged(effect.conn, self.now))
            elif isinstance(effect, Reconnect) and effect.conn in self.conns:
                self.conns.discard(effect.conn)
                done += self.perform(self.protocol.closed(effect.conn, self.now))
        for send in only(effects, Send) if self.acks else []:
            self.control(result=None, id=json.loads(send.text)["id"])
        return done

    def _consume(self, emit: Emit) -> None:
        market, event = emit.market, emit.event
        if isinstance(event, Book):
            book = self.books[market] = Levels()
            book.replace(event.bid_px, event.bid_sz, event.ask_px, event.ask_sz)
            self._rebuilds[market] = event.rebuild
        elif isinstance(event, Delta):
            assert event.rebuild == self._rebuilds[market], "a delta of a rebuild that the consumer never saw"
            self.books[market].apply(event.bid_px, event.bid_sz, event.ask_px, event.ask_sz)
        elif isinstance(event, Bbo):
            self.quotes[market] = event
            return
        else:
            return
        self.trust[market], self.seqs[market] = event.trust, event.venue_seq
        if event.trust is Trust.LIVE:
            assert not self.books[market].is_crossed()


def only(effects: Effects, kind: type[T]) -> list[T]:
    """The effects, or the events emitted, of one type."""
    events: list[object] = [effect.event if isinstance(effect, Emit) else effect for effect in effects]
    return [event for event in events if isinstance(event, kind)]


def counted(effects: Effects) -> dict[str, int]:
    """What was counted, by label."""
    found: dict[str, int] = {}
    for count in only(effects, Count):
        found[count.label] = found.get(count.label, 0) + count.amount
    return found


def reasons(effects: Effects) -> list[Reason]:
    return [effect.reason for effect in only(effects, Reconnect)]


def sent(effects: Effects) -> list[dict[str, object]]:
    return [json.loads(send.text) for send in only(effects, Send)]


def notes(effects: Effects) -> list[str]:
    return [note.event for note in only(effects, Note)]
