"""Paradex's side of the wire, written from its documents, and a driver that plays a protocol against it in memory."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeVar

import msgspec

from bus.book import Book as Levels
from bus.events import Bbo, Book, Delta, Trust
from bus.settings import DEFAULT_VENUES
from bus.settings import Venue as VenueSettings
from connectors.effects import Count, Effects, Emit, Fetch, Note, Now, Ping, Reconnect, Reject, Reply, Send
from connectors.feed import Rebuilds, SeenTrades
from connectors.paradex.protocol import Paradex
from connectors.venue import Context

MS = 1_000_000
S = 1_000 * MS
WALL = 1_790_000_000 * S
NULL = -(2**63)
BTC, ETH, SOL = "BTC-USD-PERP", "ETH-USD-PERP", "SOL-USD-PERP"
MARKETS = {"BTC-PERP": BTC, "ETH-PERP": ETH, "SOL-PERP": SOL}
KINDS = ("order_book.{}.deltas", "bbo.{}", "trades.{}", "markets_summary.{}", "funding_data.{}")
T = TypeVar("T")


def e8(value: float | str) -> int:
    """A decimal as the mantissa on the wire."""
    return round(float(value) * 10**8)


def text(name: str) -> bytes:
    return bytes([len(name)]) + name.encode()


def header(template: int, block: int, *, schema: int = 1, version: int = 2) -> bytes:
    return struct.pack("<4H", block, template, schema, version)


Side = list[tuple[float, float]]


def group(levels: Side, extra: int = 0) -> bytes:
    entries = b"".join(struct.pack("<2q", e8(px), e8(sz)) + bytes(extra) for px, sz in levels)
    return struct.pack("<2H", 16 + extra, len(levels)) + entries


def book(
    seq: int,
    bids: Side,
    asks: Side,
    market: str = BTC,
    *,
    kind: int = 1,
    ts: int = 1_790_000_000_000_000,
    extra: int = 0,
) -> bytes:
    """Template 3: ``kind`` 0 is a snapshot; ``extra`` bytes that a later schema might append to block and entries."""
    block = struct.pack("<2qB9q", ts, seq, kind, *[NULL] * 9) + bytes(extra)
    return header(3, len(block)) + block + group(bids, extra) + group(asks, extra) + text(market)


def snapshot(seq: int, bids: Side, asks: Side, market: str = BTC) -> bytes:
    return book(seq, bids, asks, market, kind=0)


def bbo(seq: int, bid: tuple[float, float] | None, ask: tuple[float, float] | None, market: str = BTC) -> bytes:
    """Template 2; a side that is ``None`` is null."""
    sides = [value for side in (bid, ask) for value in ((NULL, NULL) if side is None else (e8(side[0]), e8(side[1])))]
    return header(2, 48) + struct.pack("<6q", 1_790_000_000_000_000, seq, *sides) + text(market)


def trade(
    *, seq: int = 1_001, px: float = 100.5, sz: float = 0.25, side: int = 1, kind: int = 1, trade_id: str | None = "17"
) -> bytes:
    """Template 1; without an id it is as schema version 1 has it."""
    block = struct.pack("<3qB3qB", 1_790_000_000_001_000, seq, -5, side, e8(px), e8(sz), 1_790_000_000_000_000, kind)
    return header(1, 50) + block + text(BTC) + (b"" if trade_id is None else text(trade_id))


def summary(
    *,
    mark: int = 8_348_010_230_000,
    index: int = 8_347_955_000_000,
    interest: int = 81_234_567_000,
    rate: int = 12_345,
    precise: int | None = 123_456_789,
    market: str = BTC,
    appended: int = 0,
) -> bytes:
    """Template 4; without a precise rate it is as schema version 0 has it."""
    fields = [1_790_000_000_000_000, 0, mark, index, 0, 0, interest, rate, *[NULL] * 19]
    if precise is not None:
        fields += [NULL, NULL, precise, *[NULL] * appended]
    return header(4, 8 * len(fields)) + struct.pack(f"<{len(fields)}q", *fields) + text(market)


def funding(*, rate: int = 12_345, hours: int = 8, impact: int | None = 31_000, market: str = BTC) -> bytes:
    """Template 5; without an impact premium it is as schema version 0 has it."""
    block = struct.pack("<7qh", 1_790_000_000_001_000, 0, rate, 5, 1_790_000_000_000_000, 7, rate, hours)
    block += b"" if impact is None else struct.pack("<q", impact)
    return header(5, len(block)) + block + text(market)


def row(symbol: str = BTC, **changed: object) -> dict[str, object]:
    """One row of ``/v1/markets``."""
    return {
        "symbol": symbol,
        "asset_kind": "PERP",
        "base_currency": symbol.partition("-")[0],
        "quote_currency": "USD",
        "price_tick_size": "0.1",
        "order_size_increment": "0.00001",
        "open_at": 1_696_431_006_398,
        "expiry_at": 0,
        "funding_period_hours": 8,
        "trading_mode": "STANDARD",
        **changed,
    }


def results(*rows: object) -> bytes:
    return msgspec.json.encode({"results": rows})


def rest_book(seq: int, bids: Side, asks: Side, *, updated: int = 1_790_000_000_000) -> bytes:
    """``/v1/orderbook/{market}``: decimals as strings."""
    sides = {name: [[f"{px}", f"{sz}"] for px, sz in side] for name, side in (("bids", bids), ("asks", asks))}
    return msgspec.json.encode({"market": BTC, "seq_no": seq, "last_updated_at": updated, **sides})


def rest_summary(symbol: str = BTC, **changed: object) -> bytes:
    return results(
        {
            "symbol": symbol,
            "mark_price": "68465.17449906",
            "underlying_price": "67367.37268422",
            "open_interest": "162.272",
            "funding_rate": "0.01629574927887",
            "created_at": 1_718_170_156_580,
            **changed,
        }
    )


def settings(**changed: object) -> VenueSettings:
    return msgspec.structs.replace(DEFAULT_VENUES["paradex"], **changed)


class Mirror:
    """What a consumer makes of one market's events: the book as it stands, its trust, and the quote."""

    def __init__(self) -> None:
        self.levels = Levels()
        self.trust: Trust | None = None
        self.seq: int | None = None
        self.quote: Bbo | None = None

    def take(self, event: object) -> None:
        if isinstance(event, Book):
            self.levels.replace(event.bid_px, event.bid_sz, event.ask_px, event.ask_sz)
            self.trust, self.seq = event.trust, event.venue_seq
        elif isinstance(event, Delta):
            self.levels.apply(event.bid_px, event.bid_sz, event.ask_px, event.ask_sz)
            self.trust, self.seq = event.trust, event.venue_seq
        elif isinstance(event, Bbo):
            self.quote = event

    @property
    def live(self) -> bool:
        return self.trust is Trust.LIVE

    def sides(self) -> tuple[Side, Side]:
        bid_px, bid_sz, ask_px, ask_sz = self.levels.levels()
        return list(zip(bid_px, bid_sz, strict=True)), list(zip(ask_px, ask_sz, strict=True))


class Driver:
    """Plays shell and venue: keeps time, the calls in flight, what was published, and performs ``Reconnect``."""

    def __init__(self, **changed: object) -> None:
        self.context = Context(settings(**changed), Rebuilds(), SeenTrades())
        self.protocol = Paradex(self.context)
        self.mono = 1_000 * S
        self.pongs = True
        self.calls: list[Fetch] = []
        self.log: Effects = []
        self.mirrors = {name: Mirror() for name in self.context.settings.markets}

    @property
    def now(self) -> Now:
        return Now(self.mono, WALL + self.mono)

    @property
    def btc(self) -> Mirror:
        return self.mirrors["BTC-PERP"]

    def do(self, effects: Effects) -> Effects:
        """Perform effects and give them back, with those of the ``closed`` that a ``Reconnect`` brings."""
        done: Effects = []
        for effect in effects:
            done.append(effect)
            if isinstance(effect, Emit):
                self.mirrors[effect.market].take(effect.event)
            elif isinstance(effect, Fetch):
                self.calls.append(effect)
            elif isinstance(effect, Reconnect):
                done += self.do(self.protocol.closed("main", self.now))
            elif isinstance(effect, Ping) and self.pongs:
                done += self.do(self.protocol.ponged("main", self.now))
        self.log += effects
        return done

    def start(self) -> Effects:
        return self.do(self.protocol.start(self.now))

    def opened(self) -> Effects:
        return self.do(self.protocol.opened("main", self.now))

    def closed(self) -> Effects:
        return self.do(self.protocol.closed("main", self.now))

    def say(self, message: object) -> Effects:
        """A text frame; the venue ends each with a newline."""
        frame = message if isinstance(message, bytes) else msgspec.json.encode(message) + b"\n"
        return self.do(self.protocol.received("main", frame, binary=False, now=self.now))

    def push(self, *frames: bytes) -> Effects:
        effects: Effects = []
        for frame in frames:
            effects += self.do(self.protocol.received("main", frame, binary=True, now=self.now))
        return effects

    def answer(self, name: str, body: bytes, market: str | None = None, *, status: int = 200) -> Effects:
        """Answer the oldest call of this name and market that is in flight."""
        call = next(call for call in self.calls if call.name == name and market in (None, call.market))
        self.calls.remove(call)
        return self.do(self.protocol.fetched(call, Reply(status, body), self.now))

    def fail(self, name: str, reply: Reply) -> Effects:
        call = next(call for call in self.calls if call.name == name)
        self.calls.remove(call)
        return self.do(self.protocol.fetched(call, reply, self.now))

    def requests(self, effects: Effects, method: str = "subscribe") -> list[tuple[int, str]]:
        """Numbers and channels of the requests among these effects."""
        sent = [msgspec.json.decode(effect.text) for effect in of(effects, Send)]
        return [(each["id"], each["params"]["channel"]) for each in sent if each["method"] == method]

    def ack(self, number: int, channel: str) -> Effects:
        stamps = {"usIn": 1_790_000_000_000_000, "usDiff": 143, "usOut": 1_790_000_000_000_143}
        return self.say({"jsonrpc": "2.0", "id": number, "result": {"channel": channel}, **stamps})

    def ack_all(self, effects: Effects) -> Effects:
        return [more for request in self.requests(effects) for more in self.ack(*request)]

    def refuse(self, number: int, code: int = -32600, data: str = "invalid channel") -> Effects:
        error = {"code": code, "message": "invalid subscribe request", "data": data}
        return self.say({"jsonrpc": "2.0", "id": number, "error": error, "usIn": 1, "usDiff": 1, "usOut": 2})

    def wake(self, ns: int = 0) -> Effects:
        """Let time pass and wake once."""
        self.mono += ns
        return self.do(self.protocol.woken(self.now))

    def run(self, ns: int, *, until: Callable[[Effects], T] | None = None) -> Effects:
        """Let time pass, waking whenever the protocol asks for it; stops early when ``until`` says so."""
        end = self.mono + ns
        effects: Effects = []
        while (due := self.protocol.deadline) is not None and due <= end:
            self.mono = max(self.mono, due)
            effects += self.wake()
            if until is not None and until(effects):
                return effects
        self.mono = end
        return effects

    def keep(self, ns: int, *names: str) -> Effects:
        """Let time pass with these markets' books moving every second; the others stand still."""
        effects: Effects = []
        for _ in range(ns // S):
            effects += self.run(1 * S)
            for name in names:
                effects += self.push(book((self.mirrors[name].seq or 0) + 1, [], [], MARKETS[name]))
        return effects

    def live(self) -> Driver:
        """Everything subscribed, and every book live at step 1000: 99/1 and 101/2, 102/3."""
        self.start()
        self.opened()
        self.ack_all(self.answer("markets", results(*(row(symbol) for symbol in MARKETS.values()))))
        for index, name in enumerate(self.mirrors):
            self.push(snapshot(1_000 * (index + 1), [(99.0, 1.0)], [(101.0, 2.0), (102.0, 3.0)], MARKETS[name]))
        self.log.clear()
        return self


def of(effects: Effects, kind: type[T]) -> list[T]:
    """The effects of one kind."""
    return [effect for effect in effects if isinstance(effect, kind)]


def events(effects: Effects, kind: type[T]) -> list[T]:
    """The published events of one kind."""
    return [effect.event for effect in of(effects, Emit) if isinstance(effect.event, kind)]


def counted(effects: Effects) -> dict[str, int]:
    """Counts by label."""
    found: dict[str, int] = {}
    for effect in of(effects, Count):
        found[effect.label] = found.get(effect.label, 0) + effect.amount
    return found


def reasons(effects: Effects) -> list[str]:
    return [effect.reason.value for effect in of(effects, Reconnect)]


def notes(effects: Effects) -> list[str]:
    return [effect.event for effect in of(effects, Note)]


def rejects(effects: Effects) -> list[str]:
    return [effect.problem for effect in of(effects, Reject)]
