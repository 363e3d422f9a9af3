"""Drives the protocol in memory: plays the engine (closes what is given up, wakes it when due) and the venue."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from bus.events import Bbo, Book, BusEvent, Check, Delta, Trust
from bus.settings import DEFAULT_VENUES
from connectors.effects import Close, Count, Effects, Emit, Fetch, Note, Now, Open, Ping, Reconnect, Reject, Reply, Send
from connectors.extended.protocol import protocol
from connectors.feed import Rebuilds, SeenTrades
from connectors.venue import Context

if TYPE_CHECKING:
    from bus.events import Reason

E = TypeVar("E")
MS = 1_000_000
S = 1_000 * MS
T0 = 1_790_425_396_000
"""Wall clock at the start, ms."""
MARKET = "BTC-PERP"
BOOK, BBO, TRADE, MARK, INDEX, FUNDING = (
    f"{kind}.{MARKET}" for kind in ("book", "bbo", "trade", "mark", "index", "funding")
)
RPC = "rpc"
SUBSCRIPTIONS = {
    BOOK: "orderbooks.BTC-USD",
    BBO: "orderbooks.1.BTC-USD",
    TRADE: "trades.BTC-USD",
    MARK: "prices.mark.BTC-USD",
    INDEX: "prices.index.BTC-USD",
    FUNDING: "funding-rates.BTC-USD",
}

ROW: dict[str, Any] = {
    "name": "BTC-USD",
    "type": "PERPETUAL",
    "uiName": "BTC-USD",
    "assetName": "BTC",
    "collateralAssetName": "USD",
    "active": True,
    "isRfq": False,
    "isOffHours": False,
    "status": "ACTIVE",
    "tradingHours": "CONTINUOUS",
    "tradingConfig": {"minOrderSize": "0.0001", "minOrderSizeChange": "0.00001", "minPriceChange": "1"},
    "referenceMarket": "null",
}
STATS: dict[str, Any] = {
    "markPrice": "77006.091897999984",
    "indexPrice": "77050.739529925005",
    "fundingRate": "0.000012",
    "nextFundingRate": 1_790_427_600_000,
    "openInterest": "114851569.088316",
    "openInterestBase": "1491.33012",
}
ABSENT = {"status": "ERROR", "error": {"code": 1001, "message": "Market not found."}}


def ok(data: object) -> bytes:
    """A REST body."""
    return json.dumps({"status": "OK", "data": data}).encode()


def row(**changes: object) -> bytes:
    """A market list of one row."""
    return ok([{**ROW, **changes}])


def levels(*pairs: tuple[str, str], key: str = "q") -> list[dict[str, str]]:
    """Snapshot levels of (price, size)."""
    return [{"p": price, key: size} for price, size in pairs]


def changes(*triples: tuple[str, str, str]) -> list[dict[str, str]]:
    """Delta levels of (price, change, size after it)."""
    return [{"p": price, "q": change, "c": size} for price, change, size in triples]


BIDS = levels(("84077", "0.41547"), ("84076", "0.25114"), ("84050.000000", "0.81908"))
ASKS = levels(("84078", "2.81690"), ("84079", "2.17109"))


REST_BOOK = ok(
    {
        "market": "BTC-USD",
        "bid": [{"qty": level["q"], "price": level["p"]} for level in BIDS],
        "ask": [{"qty": level["q"], "price": level["p"]} for level in ASKS],
    }
)
OTHER_BOOK = ok({"market": "BTC-USD", "bid": [{"qty": "1", "price": "84000"}], "ask": [{"qty": "1", "price": "84001"}]})
NOT_LISTED = json.dumps(ABSENT).encode()


ACK = {"result": {"method": "subscribe", "status": "OK", "subscription": "orderbooks.BTC-USD"}}


def scopes(sent: list[dict[str, Any]]) -> list[str]:
    """What requests are about."""
    return [f"{request['method']} {request['params']['scope']}" for request in sent]


class Drive:
    """One protocol object under test."""

    def __init__(self, transport: str = "v1", markets: tuple[str, ...] = (MARKET,), stale_ms: int = 15_000) -> None:
        self.v2 = transport == "v2"
        self.settings = msgspec.structs.replace(
            DEFAULT_VENUES["extended"], transport=transport, markets=markets, stale_ms=stale_ms
        )
        self.context = Context(self.settings, Rebuilds(), SeenTrades())
        self.protocol = protocol(self.context)
        self.mono = 1_000 * S
        self.skew_ms = 0
        """Venue clock ahead of ours."""
        self.answering = True
        """Whether the venue answers pings."""
        self.effects: Effects = []
        self.wanted: dict[str, str] = {}
        self.calls: list[Fetch] = []
        self.sent: list[dict[str, Any]] = []
        self.seqs: dict[str, int] = {}

    # time

    @property
    def now(self) -> Now:
        return Now(self.mono, T0 * MS + self.mono - 1_000 * S)

    @property
    def venue_ms(self) -> int:
        """The venue's clock."""
        return self.now.wall // MS + self.skew_ms

    def wait(self, seconds: float) -> Effects:
        """Let time pass, waking the protocol whenever it is due; what it wanted meanwhile."""
        end, done = self.mono + int(seconds * S), []
        while (due := self.protocol.deadline) is not None and due <= end:
            self.mono = max(self.mono, due)
            done += self.do(self.protocol.woken(self.now))
            after = self.protocol.deadline
            assert after is None or after > self.mono, "woken again for the same thing"
        self.mono = end
        return done

    # engine

    def do(self, effects: Effects) -> Effects:
        """Perform effects as the engine does; a connection given up is closed at once."""
        done: Effects = []
        for effect in effects:
            self.effects.append(effect)
            done.append(effect)
            if isinstance(effect, Open):
                self.wanted[effect.conn] = effect.url
            elif isinstance(effect, Close):
                del self.wanted[effect.conn]
            elif isinstance(effect, Fetch):
                self.calls.append(effect)
            elif isinstance(effect, Send):
                self.sent.append(json.loads(effect.text))
            elif isinstance(effect, Ping) and self.answering:
                done += self.do(self.protocol.ponged(effect.conn, self.now))
            elif isinstance(effect, Reconnect):
                done += self.do(self.protocol.closed(effect.conn, self.now))
        return done

    def start(self) -> Effects:
        return self.do(self.protocol.start(self.now))

    def open(self, *conns: str) -> Effects:
        done: Effects = []
        for conn in conns:
            name = RPC if self.v2 else conn
            self.seqs[name] = 0 if self.v2 else 1
            done += self.do(self.protocol.opened(name, self.now))
        return done

    def close(self, conn: str) -> Effects:
        return self.do(self.protocol.closed(RPC if self.v2 else conn, self.now))

    def answer(self, name: str, body: bytes = b"", status: int | None = 200, market: str = MARKET) -> Effects:
        """Answer the oldest pending call of this name."""
        call = next(call for call in self.calls if call.name == name and call.market == market)
        self.calls.remove(call)
        reply = Reply(status, body, problem=None if status else "refused")
        return self.do(self.protocol.fetched(call, reply, self.now))

    def pending(self, name: str) -> list[Fetch]:
        return [call for call in self.calls if call.name == name]

    # venue

    def raw(self, conn: str, frame: bytes) -> Effects:
        return self.do(self.protocol.received(RPC if self.v2 else conn, frame, False, self.now))

    def frame(self, conn: str, kind: str | None, data: object, *, ts: int | None = None, **more: object) -> Effects:
        """One data frame of a stream, with the next number of its connection."""
        name = RPC if self.v2 else conn
        body: dict[str, object] = {"data": data, "ts": self.venue_ms if ts is None else ts, "seq": self.seqs[name]}
        if self.v2:
            body["subscription"] = SUBSCRIPTIONS.get(conn, conn)
        if kind is not None:
            body["type"] = kind
        self.seqs[name] += 1
        return self.raw(conn, json.dumps(body | more).encode())

    def _book(self, kind: str, bids: object, asks: object, ts: int | None, conn: str) -> Effects:
        data = {"t": kind, "m": "BTC-USD", "b": bids, "a": asks, "d": "1" if conn == BBO else "f"}
        return self.frame(conn, f"ORDERBOOKS.{kind}" if self.v2 else kind, data, ts=ts)

    def snapshot(self, bids: object = BIDS, asks: object = ASKS, ts: int | None = None, conn: str = BOOK) -> Effects:
        return self._book("SNAPSHOT", bids, asks, ts, conn)

    def delta(self, bids: object = (), asks: object = (), ts: int | None = None) -> Effects:
        return self._book("DELTA", bids, asks, ts, BOOK)

    def quote(self, bid: tuple[str, str] = ("84077", "0.4"), ask: tuple[str, str] = ("84078", "2.8")) -> Effects:
        return self.snapshot(levels(bid), levels(ask), conn=BBO)

    def trade(self, *ids: int, **changed: object) -> Effects:
        rows = [
            {"i": i, "m": "BTC-USD", "S": "SELL", "tT": "TRADE", "T": self.venue_ms - 5, "p": "84077", "q": "0.1"}
            | changed
            for i in ids
        ]
        return self.frame(TRADE, "TRADES" if self.v2 else None, rows)

    def reply(self, answer: dict[str, Any], method: str = "subscribe", market: str = "BTC-USD") -> Effects:
        """Answer the newest request of this method for a market's book, or as told."""
        number = next(
            sent["id"]
            for sent in reversed(self.sent)
            if sent["method"] == method and sent["params"]["selector"]["market"] == market
        )
        body = {"id": number, "jsonrpc": "2.0"} | answer
        return self.raw(RPC, json.dumps(body).encode())

    def acked(self, but: str = "") -> Drive:
        """Acknowledge every subscription sent (v2), except one."""
        keys = {"orderbooks": ("orderbooks.{}", "orderbooks.1.{}"), "prices": ("prices.{type}.{}",)}
        for sent in list(self.sent):
            scope, selector = sent["params"]["scope"], sent["params"]["selector"]
            name = keys.get(scope, (scope + ".{}",))[selector.get("depth") == "1"]
            key = name.format(selector["market"], type=selector.get("type"))
            if key != but:
                result = {"method": "subscribe", "status": "OK", "subscription": key}
                self.raw(RPC, json.dumps({"id": sent["id"], "result": result, "jsonrpc": "2.0"}).encode())
        self.effects = [effect for effect in self.effects if not isinstance(effect, Count)]
        return self

    # what came of it

    def listed(self) -> Drive:
        """Started, listed, all connections open, nothing received."""
        self.start()
        self.open(BOOK)
        self.answer("markets", row())
        if not self.v2:
            self.open(BBO, TRADE, MARK, INDEX, FUNDING)
        return self

    def live(self) -> Drive:
        """Listed, and the book published; rests until a quarter of a second later."""
        self.listed()
        if self.v2:
            self.acked()
        self.snapshot()
        self.wait(0.25)
        assert self.trust() is Trust.LIVE
        return self

    def of(self, kind: type[E], effects: Effects | None = None) -> list[E]:
        """Events or effects of a kind, of all that happened or of some."""
        found: list[E] = []
        for effect in self.effects if effects is None else effects:
            if isinstance(effect, kind):
                found.append(effect)
            elif isinstance(effect, Emit) and isinstance(effect.event, kind):
                found.append(effect.event)
        return found

    @property
    def book_events(self) -> list[Book | Delta]:
        return [event for event in self.events if isinstance(event, Book | Delta)]

    @property
    def events(self) -> list[BusEvent]:
        return [effect.event for effect in self.effects if isinstance(effect, Emit)]

    def trust(self) -> Trust | None:
        """What a consumer believes of the book."""
        return self.book_events[-1].trust if self.book_events else None

    def quote_trust(self) -> Trust | None:
        quotes = self.of(Bbo)
        return quotes[-1].trust if quotes else None

    def held(self) -> tuple[dict[float, float], dict[float, float]]:
        """The book a consumer holds."""
        bids: dict[float, float] = {}
        asks: dict[float, float] = {}
        for event in self.book_events:
            if isinstance(event, Book):
                bids, asks = {}, {}
            for side, prices, sizes in ((bids, event.bid_px, event.bid_sz), (asks, event.ask_px, event.ask_sz)):
                side.update(zip(prices, sizes, strict=True))
        return {p: s for p, s in bids.items() if s}, {p: s for p, s in asks.items() if s}

    def reasons(self) -> list[tuple[str, Reason]]:
        return [(effect.conn, effect.reason) for effect in self.of(Reconnect)]

    def counted(self, label: str) -> int:
        return sum(count.amount for count in self.of(Count) if count.label == label)

    def notes(self) -> list[str]:
        return [note.event for note in self.of(Note)]

    def rejects(self) -> list[str]:
        return [reject.problem for reject in self.of(Reject)]

    def pings(self) -> list[str]:
        return [ping.conn for ping in self.of(Ping)]

    def checks(self) -> list[Check]:
        return self.of(Check)
