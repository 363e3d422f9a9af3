"""The rows of the fault matrix: what is done to a venue, how soon that must be found, and where it cannot be done.

Thresholds are those of ``SETTINGS`` and of the venues' ``spec.py``; the page prints them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

MARKET: Final = "BTC-PERP"
STALE_MS: Final = 4_000
PING_MS: Final = 3_000
PONG_MS: Final = {"hyperliquid": 13_000, "paradex": 20_000, "lighter": 13_000, "extended": 10_000, "aster": 10_000}
"""How long each venue may owe us an answer to a ping (its ``PONG_NS``)."""
SETTINGS: Final = {
    "stale_ms": STALE_MS,
    "read_timeout_ms": 8_000,
    "ping_interval_ms": PING_MS,
    "connect_timeout_ms": 2_000,
    "rest_timeout_ms": 2_000,
}
"""Of every venue, shorter than the defaults so that a matrix takes minutes."""
NEXT_MS: Final = {"hyperliquid": 660, "paradex": 200, "lighter": 250, "extended": 200, "aster": 200}
"""Within so long another book frame of a market comes: twice the venue's documented cadence, more where it is quiet."""
SLACK_MS: Final = 250
RECOVERY_MS: Final = 500
PACE_MS: Final = {"hyperliquid": 5_000, "paradex": 10_000, "lighter": 5_000, "extended": 0, "aster": 4_000}
"""Longest pause between two attempts to mend one market on its connection: messages or REST weight allow no more."""

V1: Final = "a path is the subscription: nothing is asked for, acknowledged or refused"
WHOLE: Final = "every frame is a whole book"


class Cell(msgspec.Struct, frozen=True):
    """One row. ``finds`` is how soon it is to be found, as a word; ``late_ms`` the threshold by venue or for all."""

    name: str
    fault: str
    says: str
    params: dict[str, Any] = {}
    market: bool = False
    """Done to one market alone."""
    hold_s: float | None = 6.0
    """How long; ``None``: it is over as soon as it has happened."""
    anew: bool = False
    """It is met by new connections only, so those that are open are reset."""
    finds: str = "at once"
    late_ms: int = 0
    only: frozenset[str] = frozenset()
    """Venues at which it can be found; empty: all."""
    absorbed: bool = False
    """Whether it may pass without any book being taken back (where it is found, it is so in time)."""
    slow_ms: int = 0
    """By how much the venue itself delays what recovery needs; a call that hangs ends at its timeout."""
    content: bool = False
    """Whether it alters books, so that they are compared with the truth all the while."""
    never: Mapping[str, str] = {}
    """Venues to which it cannot be done, and why."""
    kinds: Mapping[str, str] = {}
    """Frame kinds by venue, where they differ."""

    def threshold_ms(self, venue: str) -> int:
        """How soon after it first touched anything it must be found, without slack."""
        frames = {"next frame": 1, "drift": 2}.get(self.finds, 0)
        pong = PONG_MS[venue] if self.finds == "ping + pong" else 0
        return self.late_ms + frames * NEXT_MS[venue] + pong

    def lasts_s(self, venue: str) -> float:
        """How long it is in force; a missing pong only until it has been found once."""
        return self.threshold_ms(venue) / 1e3 + 1.0 if self.finds == "ping + pong" else self.hold_s or 0.0

    def request(self, venue: str) -> list[dict[str, Any]]:
        """What is asked of the simulator."""
        params = dict(self.params) | ({"kinds": self.kinds[venue]} if venue in self.kinds else {})
        market = MARKET if self.market else None
        asked = [{"fault": self.fault, "venue": venue, "market": market, "params": params}]
        return asked + ([{"fault": "reset", "venue": venue}] if self.anew else [])


_SILENCE: Final = {"finds": "stale_ms", "late_ms": STALE_MS}
_NEXT: Final = {"finds": "next frame", "market": True, "content": True}
_CHECK: Final = {"finds": "a check", "late_ms": 6_000, "market": True, "content": True, "absorbed": True}
"""A frame in order with a wrong book in it: only a comparison with another stream or with REST can tell."""
_UNREADABLE: Final = {"finds": "stale_ms", "late_ms": STALE_MS, "params": {"times": 0}, "absorbed": True}
"""Sooner where it shows which book it was; as silence at the latest."""
_PASSES: Final = {"finds": "need not be", "absorbed": True}
_ASKED: Final = {"anew": True, "hold_s": 2.0}
_DIFFS: Final = {"hyperliquid": "snapshot"}


def _cell(name: str, fault: str, says: str, *presets: Mapping[str, Any], **more: Any) -> Cell:  # noqa: ANN401
    fields: dict[str, Any] = {}
    for preset in (*presets, more):
        fields |= preset
    return Cell(name, fault, says, **fields)


def _drift_ms(rate: float) -> int:
    """5 s of growth at this many seconds a second, and 5 s in which it lasts (``connectors/drift.py``)."""
    return round(5_000 / rate) + 5_000


CELLS: Final = (
    # -- silence
    _cell("stall", "stall", "no market data, the socket stays open", _SILENCE),
    _cell("stall, everything", "stall", "nothing at all, the socket stays open", _SILENCE, params={"control": True}),
    _cell("stall, one market", "stall", "one market is silent, the others flow", _SILENCE, market=True),
    _cell("deaf after reset", "deaf", "whatever the client says is ignored", anew=True, never={"extended": V1}),
    _cell(
        "no pong",
        "no_pong",
        "pings stay unanswered, data flows",
        finds="ping + pong",
        late_ms=2 * PING_MS,
    ),
    _cell(
        "backlog",
        "backlog",
        "data at half of real time",
        finds="drift",
        late_ms=_drift_ms(0.5),
        params={"speed": 0.5},
        hold_s=18.0,
    ),
    _cell(
        "trades mute",
        "mute",
        "no trade any more, everything else flows",
        finds="the venue's volume",
        only=frozenset({"hyperliquid", "lighter"}),
        late_ms=18_000,
        absorbed=True,
        params={"kinds": "trades"},
        hold_s=20.0,
    ),
    # -- sequence
    _cell("gap", "gap", "a frame is lost", _NEXT, kinds=_DIFFS, absorbed=True),
    _cell("duplicate", "duplicate", "a frame comes twice", _NEXT, kinds=_DIFFS, absorbed=True),
    _cell("reorder", "reorder", "two frames change places", _NEXT, kinds=_DIFFS, absorbed=True),
    _cell("replay", "replay", "the last 10 frames come again", _NEXT, kinds=_DIFFS, absorbed=True),
    # -- content
    _cell("crossed", "crossed", "a bid above the best ask", _NEXT),
    _cell("crossed, always", "crossed", "in every frame", _NEXT, params={"times": 0}),
    _cell("emptied", "emptied", "all bids vanish", _CHECK),
    _cell("corrupt", "corrupt", "wrong sizes at the touch, frame in order", _CHECK, hold_s=12.0),
    _cell("truncated", "truncated", "a message ends early", _NEXT, absorbed=True),
    _cell("truncated, always", "truncated", "every message", _UNREADABLE, market=True, content=True),
    _cell("garbage", "garbage", "random bytes for a message", _NEXT, absorbed=True),
    _cell("garbage, always", "garbage", "of all markets", _UNREADABLE),
    _cell("wrong types", "wrong_types", "numbers for texts; flipped bits", _NEXT, absorbed=True),
    _cell("wrong types, always", "wrong_types", "of all markets", _UNREADABLE),
    _cell("giant", "giant", "a message of 17 MB", _NEXT, params={"megabytes": 17.0}, content=False, absorbed=True),
    _cell("half frame", "half_frame", "a frame and its connection end early", market=True),
    # -- time
    _cell("drip", "drip", "a frame byte by byte", _PASSES, market=True),
    _cell("delay", "delay", "data 1 s late", _PASSES, params={"delay_s": 1.0}),
    _cell("jitter", "delay", "up to 0.5 s late, out of order", _PASSES, params={"delay_s": 0.1, "jitter_s": 0.4}),
    _cell("burst", "burst", "held and let go together every second", _PASSES, params={"hold_s": 1.0}),
    _cell("clock +5 s", "clock_skew", "the venue's clock runs ahead", _PASSES),
    _cell(
        "clock -5 s",
        "clock_skew",
        "the venue's clock steps back by 5.5 s",
        finds="drift",
        late_ms=5_500 + 5_000,
        absorbed=True,
        params={"offset_s": -5.5},
        hold_s=14.0,
    ),
    _cell(
        "clock drifts",
        "clock_skew",
        "the venue's clock loses 0.5 s a second",
        finds="drift",
        late_ms=_drift_ms(0.5),
        params={"offset_s": 0.0, "drift": -0.5},
        hold_s=17.0,
    ),
    # -- subscribing
    _cell("no ack", "no_ack", "subscriptions are not acknowledged", anew=True, never={"extended": V1}),
    _cell("late ack", "late_ack", "acknowledged after 2 s", anew=True, params={"delay_s": 2.0}, never={"extended": V1}),
    _cell("refused", "error_reply", "subscriptions are refused", anew=True, never={"extended": V1}),
    _cell(
        "no snapshot",
        "no_snapshot",
        "no whole book comes",
        anew=True,
        never={"aster": "whole books come by REST: see the REST rows"},
    ),
    _cell(
        "late snapshot",
        "late_snapshot",
        "2 s late, behind its diffs",
        anew=True,
        slow_ms=2_000,
        params={"delay_s": 2.0},
        never={"aster": "whole books come by REST: see the REST rows"},
    ),
    # -- connections
    _cell("close", "close", "closed with 1001", hold_s=None),
    _cell("close 1008", "close", "closed for a policy", params={"code": 1008}, hold_s=None),
    _cell("fin", "fin", "ended without a close frame", hold_s=None),
    _cell("reset", "reset", "RST", hold_s=None),
    _cell("lifetime", "lifetime", "ended at an age of 2 s", params={"after_s": 2.0}),
    _cell("ping flood", "ping_flood", "100 pings a second", _PASSES),
    _cell("unheard of", "inject", "a text the documents do not name", _PASSES, params={"text": '{"new":"thing"}'}),
    _cell("no JSON", "inject", "a text that is no JSON", _PASSES, params={"text": "hello"}),
    _cell("flood of no JSON", "inject", "50 a second", _PASSES, params={"text": "hello", "per_s": 50.0}),
    _cell(
        "shutdown notice",
        "inject",
        "an announced end",
        _PASSES,
        params={"text": '{"type":"shutdown","close_in_ms":5000}'},
        never=dict.fromkeys(("hyperliquid", "paradex", "extended", "aster"), "announces nothing"),
    ),
    # -- reaching it
    _cell("refuse", "refuse", "connects are refused", params={"drop": True}),
    _cell("black hole", "blackhole", "connects are never answered", params={"drop": True}),
    _cell("accept, close", "accept_close", "accepted and closed", params={"drop": True}),
    _cell("accept, reset", "accept_reset", "accepted and reset", params={"drop": True}),
    _cell("greet, close", "greet_close", "upgraded and closed at once", anew=True),
    _cell("handshake 401", "handshake", "upgrades get 401", anew=True, params={"status": 401}),
    _cell("handshake 403", "handshake", "403, Retry-After 3", _ASKED, params={"status": 403, "retry_after": 3}),
    _cell("handshake 429", "handshake", "429, Retry-After 3", _ASKED, params={"status": 429, "retry_after": 3}),
    _cell("handshake 418", "handshake", "418, Retry-After 3", _ASKED, params={"status": 418, "retry_after": 3}),
    _cell("handshake 503", "handshake", "503", anew=True, params={"status": 503}),
    _cell("slow handshake", "handshake", "upgrades take 5 s", anew=True, params={"delay_s": 5.0}),
    _cell("maintenance", "maintenance", "closed with 1012; then 503 for everything", hold_s=8.0),
    _cell("maintenance, told", "maintenance", "with Retry-After 4", params={"retry_after": 4}),
    # -- REST
    _cell("REST 500", "rest_error", "all REST fails", _PASSES),
    _cell("REST garbage", "rest_garbage", "200 with random bytes", _PASSES),
    _cell("REST timeout", "rest_timeout", "never answers", _PASSES),
    _cell("REST slow", "rest_slow", "answers after 1 s", _PASSES, params={"delay_s": 1.0}),
    _cell("REST 500, anew", "rest_error", "and new connections are needed", anew=True),
    _cell("REST 429, anew", "rest_error", "Retry-After 3", _ASKED, params={"status": 429, "retry_after": 3}),
    _cell("REST 418, anew", "rest_error", "Retry-After 3", _ASKED, params={"status": 418, "retry_after": 3}),
    _cell("REST garbage, anew", "rest_garbage", "and new connections are needed", anew=True),
    _cell("REST timeout, anew", "rest_timeout", "and new connections are needed", anew=True, slow_ms=2_000),
)
