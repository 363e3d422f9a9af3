"""Doubles that the connector tests share: a protocol under the test's control and ports that remember."""

from __future__ import annotations

from collections.abc import Mapping

from bus.counters import Counters
from bus.events import BusEvent, Instrument, Reason, Reconnect, Status, Trust
from bus.settings import DEFAULT_VENUES
from connectors.effects import Effects, Emit, Fetch, Now, Open, Refusal, Reply, VenueProtocol
from connectors.engine import Engine
from connectors.feed import MarketFeed
from connectors.venue import Budget, Context, VenueSpec

S = 1_000_000_000
MS = 1_000_000
WALL = 1_790_000_000 * S
MARKET = "BTC-PERP"


def at(mono: int) -> Now:
    """Both clocks, the wall clock a constant ahead."""
    return Now(mono, WALL + mono)


class FakeProtocol:
    """Opens ``main`` at start, knows one market, and performs what the test puts into ``script``."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.calls: list[tuple[str, object]] = []
        self.deadline: int | None = None
        self.feed = MarketFeed(MARKET, context.rebuilds)
        self.script: dict[str, Effects] = {}
        self.live_at_once = False

    def start(self, now: Now) -> Effects:
        listed = Instrument("BTC", "0.1", "0.001", "USD")
        return [Emit(MARKET, listed), Open("main", "ws://venue/main"), *self.say("start", None)]

    def opened(self, conn: str, now: Now) -> Effects:
        effects = self.say("opened", conn)
        return [*effects, *self.live(now)] if self.live_at_once else effects

    def refused(self, conn: str, refusal: Refusal, now: Now) -> Effects:
        return self.say("refused", conn)

    def closed(self, conn: str, now: Now) -> Effects:
        return [*self.say("closed", conn), *self.feed.invalidate(Trust.RESYNC)]

    def received(self, conn: str, frame: bytes, binary: bool, now: Now) -> Effects:
        return self.say("received", frame)

    def ponged(self, conn: str, now: Now) -> Effects:
        return self.say("ponged", conn)

    def fetched(self, request: Fetch, reply: Reply, now: Now) -> Effects:
        return self.say("fetched", request.name)

    def woken(self, now: Now) -> Effects:
        self.deadline = None
        return self.say("woken", None)

    def say(self, call: str, what: object) -> Effects:
        self.calls.append((call, what))
        return self.script.pop(call, [])

    def live(self, now: Now, venue_ns: int | None = None) -> Effects:
        """A live book as of ``venue_ns`` (default: now)."""
        levels = ([99.0], [1.0], [101.0], [2.0])
        return self.feed.whole(now.wall if venue_ns is None else venue_ns, None, levels, kept=True)


class FakePorts:
    """Remembers everything the engine asked for."""

    def __init__(self) -> None:
        self.connects: list[tuple[str, str]] = []
        self.drops: list[str] = []
        self.sent: list[tuple[str, str]] = []
        self.pings: list[str] = []
        self.fetches: list[tuple[str, Fetch]] = []
        self.events: list[tuple[str, BusEvent]] = []
        self.logs: list[tuple[str, str, Mapping[str, object]]] = []
        self.problem: str | None = None

    def connect(self, key: str, url: str, headers: Mapping[str, str]) -> None:
        self.connects.append((key, url))

    def drop(self, key: str) -> None:
        self.drops.append(key)

    def send(self, key: str, text: str) -> str | None:
        self.sent.append((key, text))
        return self.problem

    def ping(self, key: str) -> str | None:
        self.pings.append(key)
        return self.problem

    def fetch(self, key: str, request: Fetch) -> None:
        self.fetches.append((key, request))

    def publish(self, market: str, event: BusEvent, now: Now) -> None:
        self.events.append((market, event))

    def log(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        self.logs.append((level, event, fields))

    def reasons(self) -> list[Reason]:
        return [event.reason for _, event in self.events if isinstance(event, Reconnect)]

    def states(self, market: str = MARKET) -> list[str]:
        return [event.state.value for name, event in self.events if isinstance(event, Status) and name == market]

    def said(self, event: str) -> list[Mapping[str, object]]:
        return [fields for _, name, fields in self.logs if name == event]


SPEC = VenueSpec(
    venue="fake",
    session_age_ns=None,
    connects=Budget(100, 60 * S),
    messages=Budget(3, 60 * S),
    rest=Budget(10, 60 * S),
)
SETTINGS = type(DEFAULT_VENUES["aster"])(
    ws_url="ws://venue", rest_url="http://venue", markets=(MARKET,), stale_ms=10_000, read_timeout_ms=30_000
)


class LeastRandom:
    """A random.Random that always draws the upper end, so that waits are known."""

    def uniform(self, low: float, high: float) -> float:
        return high


class Rig:
    """An engine, its ports and every protocol it made, newest last."""

    def __init__(self, spec: VenueSpec = SPEC) -> None:
        self.protocols: list[FakeProtocol] = []
        self.ports = FakePorts()
        self.counters = Counters()
        self.engine = Engine(spec, self.make, SETTINGS, self.ports, self.counters, LeastRandom())  # type: ignore[arg-type]

    def make(self, context: Context) -> VenueProtocol:
        self.protocols.append(FakeProtocol(context))
        return self.protocols[-1]

    @property
    def protocol(self) -> FakeProtocol:
        return self.protocols[-1]

    def up(self, mono: int = 0) -> None:
        """Start, connect and be live."""
        self.engine.start(at(mono))
        self.engine.opened("1/main", at(mono))
        self.receive(self.protocol.live(at(mono)), mono)

    def receive(self, effects: Effects, mono: int, key: str = "1/main") -> None:
        """A frame arrives that the protocol answers with these effects."""
        generation = int(key.partition("/")[0])
        self.protocols[generation - 1].script["received"] = effects
        self.engine.received(key, b"frame", False, at(mono))
