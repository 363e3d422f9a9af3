"""The catalogue of faults, requests for them, and the register of what is, was and will be in force (pure)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from simulator.frames import MARKET_DATA

if TYPE_CHECKING:
    from collections.abc import Mapping

LOG_KEPT = 2000

Where = Literal["frames", "incoming", "port", "handshake", "rest", "sockets", "clock", "all"]

Value = str | float | int | bool | None

LIMITED: dict[str, Value] = {"kinds": "", "times": 1, "every": 1}
"""Common to faults that alter frames: frame kinds separated by ``+`` (empty = the fault's own choice), how often in all
per venue and market (0 = without end), and every how many-th eligible frame."""
ENDLESS: dict[str, Value] = LIMITED | {"times": 0}


@dataclass(frozen=True, slots=True)
class Kind:
    """One entry of the catalogue: where it acts, its parameters with defaults, one sentence."""

    where: Where
    params: Mapping[str, Value]
    sentence: str
    frames: frozenset[str] = MARKET_DATA
    """Frame kinds a fault on frames chooses by itself."""
    lasting: bool = True
    """Whether it lasts; an instant one is over as soon as it has happened."""


BOOKS = frozenset({"snapshot", "delta"})
PRICES = frozenset({"snapshot", "delta", "bbo"})
DIFFS = frozenset({"delta", "snapshot"})

CATALOGUE: dict[str, Kind] = {
    "stall": Kind("frames", {"control": False}, "no market data; the socket stays open (control: nor anything else)"),
    "mute": Kind("frames", {"kinds": "trades"}, "frames of these kinds are not sent, all others are"),
    "no_ack": Kind("frames", {}, "subscriptions are obeyed but never acknowledged", frozenset({"ack"})),
    "late_ack": Kind("frames", {"delay_s": 5.0}, "acknowledgements come late, behind the data", frozenset({"ack"})),
    "no_snapshot": Kind("frames", {}, "no full book is sent", frozenset({"snapshot"})),
    "late_snapshot": Kind(
        "frames", LIMITED | {"delay_s": 5.0}, "a full book comes late, behind what follows it", frozenset({"snapshot"})
    ),
    "gap": Kind("frames", LIMITED | {"count": 1}, "so many book frames in a row are lost", frozenset({"delta"})),
    "duplicate": Kind("frames", LIMITED, "a book frame is sent twice", frozenset({"delta"})),
    "reorder": Kind("frames", LIMITED, "two book frames swap places", frozenset({"delta"})),
    "replay": Kind("frames", LIMITED | {"count": 10}, "the last frames are sent once more", frozenset({"delta"})),
    "crossed": Kind("frames", LIMITED | {"ticks": 5}, "a bid above the best ask appears", BOOKS),
    "emptied": Kind("frames", LIMITED | {"side": "bids"}, "a side (bids, asks, both) loses all its levels", BOOKS),
    "corrupt": Kind(
        "frames", LIMITED | {"factor": 3.0}, "sizes at the touch are multiplied: a wrong book in a valid frame", BOOKS
    ),
    "truncated": Kind("frames", LIMITED | {"keep": 0.5}, "a message ends early (this share is kept)"),
    "half_frame": Kind("frames", LIMITED | {"rst": False}, "a WebSocket frame ends early, and so does the connection"),
    "garbage": Kind("frames", LIMITED | {"bytes": 200}, "random bytes in place of a message, invalid UTF-8 included"),
    "wrong_types": Kind(
        "frames", LIMITED, "texts become numbers, numbers objects; in binary messages, random bits flip"
    ),
    "giant": Kind("frames", LIMITED | {"megabytes": 16.0}, "a message padded to this size"),
    "drip": Kind("frames", LIMITED | {"gap_s": 0.02}, "a frame is written one byte at a time"),
    "delay": Kind("frames", ENDLESS | {"delay_s": 1.0, "jitter_s": 0.0}, "frames come later, in order unless jittered"),
    "burst": Kind("frames", {"hold_s": 2.0}, "frames are held and let go together, again and again"),
    "backlog": Kind("frames", {"speed": 0.8}, "market data is served at this share of real time and falls behind"),
    "no_pong": Kind("frames", {}, "pings, of either kind, are not answered", frozenset({"pong"})),
    "error_reply": Kind("incoming", {}, "subscriptions are refused with the venue's kind of error"),
    "deaf": Kind("incoming", {}, "whatever the client sends is ignored"),
    "refuse": Kind("port", {"drop": False}, "TCP connects are refused (drop: open connections end too)"),
    "blackhole": Kind("port", {"drop": False}, "TCP connects are accepted and never answered"),
    "accept_close": Kind("port", {"drop": False}, "TCP connects are accepted and closed"),
    "accept_reset": Kind("port", {"drop": False}, "TCP connects are accepted and reset"),
    "greet_close": Kind("sockets", {"code": 1011, "reason": ""}, "upgrades succeed and are closed at once"),
    "handshake": Kind(
        "handshake",
        {"status": 0, "retry_after": None, "delay_s": 0.0},
        "upgrades wait, then are answered with this status (0: served after the wait)",
    ),
    "rest_error": Kind(
        "rest", {"status": 500, "retry_after": None, "path": "", "body": ""}, "REST answers with this status"
    ),
    "rest_timeout": Kind("rest", {"path": "", "hold_s": 3600.0}, "REST never answers (until this long)"),
    "rest_slow": Kind("rest", {"path": "", "delay_s": 3.0}, "REST answers late"),
    "rest_garbage": Kind("rest", {"path": "", "bytes": 200}, "REST answers 200 with bytes that are no JSON"),
    "close": Kind("sockets", {"code": 1001, "reason": ""}, "open connections end with this code", lasting=False),
    "fin": Kind("sockets", {}, "open connections end without a close frame", lasting=False),
    "reset": Kind("sockets", {}, "open connections are reset", lasting=False),
    "lifetime": Kind(
        "sockets", {"after_s": 10.0, "how": "close", "code": 1000, "reason": ""}, "connections end at this age"
    ),
    "ping_flood": Kind("sockets", {"per_s": 100.0}, "protocol pings at this rate"),
    "inject": Kind("sockets", {"text": "{}", "per_s": 0.0}, "this text is sent (per_s 0: once) on open connections"),
    "clock_skew": Kind(
        "clock", {"offset_s": 5.0, "drift": 0.0}, "printed times are off by this, and drift by so many s a second"
    ),
    "maintenance": Kind(
        "all",
        {"status": 503, "retry_after": None, "code": 1012, "reason": ""},
        "connections end; upgrades and REST are answered with this status",
    ),
}
"""By name. A fault that is limited to a market touches only frames and requests that name that market."""

WITHOUT_MARKET = frozenset({"port", "clock", "all"})


class FaultError(ValueError):
    """A request for a fault that does not exist or cannot be; the text says what is allowed."""


@dataclass(frozen=True, slots=True)
class Request:
    """A fault as asked for. ``venue`` and ``market`` None mean all; ``for_s`` None means until it is deleted."""

    fault: str
    venue: str | None
    market: str | None
    params: Mapping[str, Value]
    at_s: float = 0.0
    for_s: float | None = None


@dataclass(slots=True)
class Fault:
    """A fault in the register. Times are wall-clock nanoseconds; ``began`` is on the monotonic clock."""

    id: str
    request: Request
    kind: Kind
    due_ns: int
    began_ns: int | None = None
    ended_ns: int | None = None
    began: float = 0.0
    applied: int = 0
    first: float | None = None
    """When it was first applied, and when last, on the monotonic clock."""
    last: float = 0.0
    counts: dict[tuple[str, str | None], list[int]] = field(default_factory=dict)
    """Per venue and market: eligible frames seen, and times applied."""

    def acted(self, at: float) -> None:
        """Note that it was applied."""
        self.applied += 1
        self.seen(at)

    def seen(self, at: float) -> None:
        """Note when it was applied."""
        self.first = at if self.first is None else self.first
        self.last = at

    def number(self, name: str) -> float:
        """A numeric parameter."""
        value = self.request.params[name]
        return float(value) if isinstance(value, int | float) else 0.0

    def text(self, name: str) -> str:
        """A text parameter."""
        return str(self.request.params[name])

    def flag(self, name: str) -> bool:
        """A yes-or-no parameter."""
        return self.request.params[name] is True

    def touches(self, venue: str, market: str | None) -> bool:
        """Whether it concerns this venue and market; ``market`` None is what is of no single market."""
        wanted = self.request
        if wanted.venue is not None and wanted.venue != venue:
            return False
        return wanted.market is None or wanted.market == market

    def report(self) -> dict[str, Any]:
        """The fault as ``GET /faults`` shows it."""
        return {
            "id": self.id,
            "fault": self.request.fault,
            "venue": self.request.venue,
            "market": self.request.market,
            "params": dict(self.request.params),
            "for_s": self.request.for_s,
            "due_ns": self.due_ns,
            "began_ns": self.began_ns,
            "ended_ns": self.ended_ns,
            "applied": self.applied,
            "first_ns": None if self.first is None else self._wall_ns(self.first),
            "last_ns": None if self.first is None else self._wall_ns(self.last),
        }

    def _wall_ns(self, at: float) -> int:
        return (self.began_ns or 0) + round((at - self.began) * 1e9)


def read_request(value: object, venues: Mapping[str, set[str]]) -> Request:
    """Read one ``{fault, venue, market, params, at_s, for_s}``; ``venues`` are the served ones with their markets."""
    if not isinstance(value, dict):
        raise FaultError("a fault is an object")
    unknown = set(value) - {"fault", "venue", "market", "params", "at_s", "for_s"}
    if unknown:
        raise FaultError(f"unknown key: {', '.join(sorted(unknown))}")
    name = value.get("fault")
    kind = CATALOGUE.get(name) if isinstance(name, str) else None
    if kind is None or not isinstance(name, str):
        raise FaultError(f"unknown fault {name!r}; known are {', '.join(sorted(CATALOGUE))}")
    venue, market = _place(value, venues, kind, name)
    params = _params(value.get("params") or {}, kind, name)
    at_s, for_s = value.get("at_s") or 0.0, value.get("for_s")
    if not _is_duration(at_s) or not (for_s is None or _is_duration(for_s)):
        raise FaultError("at_s and for_s are seconds, not negative")
    return Request(name, venue, market, params, float(at_s), None if for_s is None else float(for_s))


def _is_duration(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _place(
    value: dict[str, Any], venues: Mapping[str, set[str]], kind: Kind, name: str
) -> tuple[str | None, str | None]:
    venue, market = (None if value.get(key) in {None, "*"} else value[key] for key in ("venue", "market"))
    if venue is not None and venue not in venues:
        raise FaultError(f"venue {venue!r} is not served; served are {', '.join(venues)}")
    if market is not None and kind.where in WITHOUT_MARKET:
        raise FaultError(f"{name} cannot be limited to a market")
    places = venues.values() if venue is None else [venues[venue]]
    if market is not None and not any(market in markets for markets in places):
        raise FaultError(f"market {market!r} is not served there")
    return venue, market


def _params(given: object, kind: Kind, name: str) -> dict[str, Value]:
    if not isinstance(given, dict):
        raise FaultError("params is an object")
    unknown = set(given) - set(kind.params)
    if unknown:
        allowed = ", ".join(sorted(kind.params)) or "none"
        raise FaultError(f"{name} has no parameter {', '.join(sorted(unknown))}; it has {allowed}")
    for key, value in given.items():
        if not _fits(value, kind.params[key]):
            raise FaultError(f"{name}: {key} must be like {kind.params[key]!r}")
    return dict(kind.params) | given


def _fits(value: object, default: Value) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if default is None or isinstance(default, int | float):
        return isinstance(value, int | float) or (value is None and default is None)
    return isinstance(value, str)


class Register:
    """All faults of a run: scheduled, in force, and over."""

    def __init__(self) -> None:
        self.scheduled: dict[str, Fault] = {}
        self.active: dict[str, Fault] = {}
        self.over: deque[Fault] = deque(maxlen=LOG_KEPT)
        self.version = 0
        self._count = 0

    def add(self, request: Request, now_ns: int) -> Fault:
        """Schedule a fault; ``begin`` puts it in force."""
        self._count += 1
        due = now_ns + round(request.at_s * 1e9)
        fault = Fault(f"f{self._count}", request, CATALOGUE[request.fault], due)
        self.scheduled[fault.id] = fault
        return fault

    def begin(self, fault: Fault, now_ns: int, now: float) -> None:
        """Put a scheduled fault in force."""
        self.scheduled.pop(fault.id)
        fault.began_ns, fault.began = now_ns, now
        self.active[fault.id] = fault
        self.version += 1

    def end(self, fault: Fault, now_ns: int) -> None:
        """Take a fault out, also one that has not begun."""
        self.scheduled.pop(fault.id, None)
        self.active.pop(fault.id, None)
        fault.ended_ns = now_ns
        self.over.append(fault)
        self.version += 1

    def find(self, fault_id: str) -> Fault | None:
        """A scheduled or active fault."""
        return self.active.get(fault_id) or self.scheduled.get(fault_id)

    def on(self, *places: Where) -> list[Fault]:
        """Active faults that act at these places, oldest first."""
        return [fault for fault in self.active.values() if fault.kind.where in places]

    def report(self) -> dict[str, Any]:
        """What ``GET /faults`` answers."""
        return {
            "active": [fault.report() for fault in self.active.values()],
            "scheduled": [fault.report() for fault in self.scheduled.values()],
            "log": [fault.report() for fault in self.over],
        }
