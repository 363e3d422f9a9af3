"""Fault → detection → recovery: what first told of each fault, and when the venue was well again."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from cli.evidence.facts import FaultFacts
from cli.evidence.logs import Word
from cli.evidence.scan import Scan
from cli.evidence.series import Span
from simulator.faults import CATALOGUE

AFTER_MS: Final = 30_000
"""A fault may show itself so long after it is over: a wrong book in an hour's quiet is another matter."""
EARLY_MS: Final = 20
"""Clocks of two processes are read one after the other; a fault cannot be told of much before it begins."""
OVER_MS: Final = 1_000
"""What shows itself so soon after the end of a fault is still its doing, whatever else begins."""
NOTHING_MET: Final = {
    "frames": "no frame that it acts on was sent meanwhile",
    "incoming": "the connector sent nothing meanwhile",
    "greet_close": "no connection was attempted meanwhile",
    "port": "no connection was open or attempted meanwhile",
    "handshake": "no connection was attempted meanwhile",
    "rest": "no REST call was made meanwhile",
    "sockets": "no connection was open or made meanwhile",
}
"""What it means for a fault never to have acted, by its name or by where it does."""
HARMLESS: Final = {
    "backlog": "data fell behind, and by less than is called drift",
    "burst": "frames came late and together, none was lost",
    "clock_skew": "the venue's clock was off, and by less than is called drift",
    "deaf": "what was not heard needed no answer so soon",
    "delay": "frames came late, all of them",
    "drip": "a frame came byte by byte, and whole",
    "duplicate": "a frame that repeats what is known changes nothing",
    "error_reply": "what was refused was asked for again",
    "gap": "what was lost was made up for by the next whole book",
    "giant": "a large message was read like any other",
    "handshake": "a connection was refused while another fed the venue",
    "late_ack": "the answer came late, and in time",
    "late_snapshot": "a whole book came late, and in time",
    "no_ack": "the data came, which counts as an answer",
    "no_pong": "it was over before a pong was missed",
    "ping_flood": "the pings were answered",
    "reorder": "whole books in the wrong order: the older was passed over",
    "rest_error": "what is asked by REST was not needed so soon",
    "rest_garbage": "what is asked by REST was not needed so soon",
    "rest_slow": "what is asked by REST was not needed so soon",
    "rest_timeout": "what is asked by REST was not needed so soon",
    "stall": "the silence was shorter than what is called stale",
}
"""How each fault can act and change nothing that counts; the figures beside it show whether that is so."""
TICK_MS: Final = 500
"""A recovery between two ticks is seen at the next one."""


class Told(msgspec.Struct):
    """A fault as the simulator's log has it. Times are wall clock ns."""

    fault: str
    venue: str | None = None
    market: str | None = None
    params: dict[str, str | float | int | bool | None] = {}
    began_ns: int | None = None
    ended_ns: int | None = None
    applied: int = 0

    @property
    def began_ms(self) -> float:
        """When it began, wall clock ms."""
        return (self.began_ns or 0) / 1e6

    @property
    def ended_ms(self) -> float | None:
        """When it ended; ``None`` while it is in force."""
        return None if self.ended_ns is None else self.ended_ns / 1e6


class Log(msgspec.Struct):
    """``GET /faults`` of the simulator, kept as ``faults.json``."""

    active: list[Told] = []
    scheduled: list[Told] = []
    log: list[Told] = []

    @property
    def begun(self) -> list[Told]:
        """Those that have been in force, in the order of their beginning."""
        begun = [told for told in (*self.log, *self.active) if told.began_ns is not None]
        return sorted(begun, key=lambda told: told.began_ns or 0)


decode: Final = msgspec.json.Decoder(Log).decode


def follow(log: Log, scan: Scan, words: Sequence[Word]) -> list[FaultFacts]:
    """What came of each fault that began while telemetry was written, on each venue that it touches."""
    by_venue: dict[str, list[Word]] = {}
    # What the end of the plane does to the venues is logged too, and is nobody's fault.
    for word in (word for word in words if scan.end_ms is None or word.at_ms <= scan.end_ms):
        by_venue.setdefault(word.venue, []).append(word)
    traces = {name: Trace(venue.trouble.kept, by_venue.get(name, ())) for name, venue in scan.venues.items()}
    begun = log.begun
    return [
        _fact(told, name, traces[name], _until(told, name, begun), scan)
        for told in begun
        for name in ([told.venue] if told.venue else list(traces))
        if name in traces
    ]


def _until(told: Told, venue: str, begun: Sequence[Told]) -> float:
    """Until when a trouble of the venue is this fault's (wall clock ms): at most until another begins after its end."""
    over_ms = max(told.began_ms, told.ended_ms or float("inf")) + OVER_MS
    others = [other.began_ms for other in begun if other is not told and other.venue in {None, venue}]
    return min([over_ms - OVER_MS + AFTER_MS, *(at_ms for at_ms in others if at_ms > over_ms)])


class Trace:
    """What is known of one venue, in time order: spans in which it was not well, and its connector's log lines."""

    def __init__(self, spans: Sequence[Span], words: Iterable[Word]) -> None:
        self._spans = spans
        words = sorted(words, key=lambda word: word.at_ms)
        self._words = words
        self._times = [word.at_ms for word in words]

    def detected(self, begin_ms: float, until_ms: float, market: str | None) -> tuple[float, str] | None:
        """The first that tells of a trouble within a time: when, and in which words."""
        span = next((span for span in self._spans if begin_ms <= span.begin_ms <= until_ms), None)
        word = self._first(begin_ms, until_ms, market)
        if word is not None and (span is None or word.at_ms <= span.begin_ms):
            return word.at_ms, f"{word.event} {word.words}".strip()
        return None if span is None else (span.begin_ms, span.why)

    def already(self, at_ms: float) -> str:
        """What was wrong with the venue at a time; empty when nothing was."""
        return next((s.why for s in self._spans if s.begin_ms <= at_ms and (s.end_ms is None or at_ms < s.end_ms)), "")

    def well(self, from_ms: float, over_ms: float) -> float | None:
        """When the venue was well again for good, after troubles that began up to a time; ``None``: it never was."""
        at_ms = from_ms
        for span in self._spans:
            if span.begin_ms > max(at_ms, over_ms) + TICK_MS:
                break
            if span.end_ms is None:
                return None
            at_ms = max(at_ms, span.end_ms)
        live = self._live(from_ms, at_ms)
        return live if live is not None else at_ms

    def _first(self, begin_ms: float, until_ms: float, market: str | None) -> Word | None:
        for index in range(bisect_left(self._times, begin_ms), len(self._words)):
            word = self._words[index]
            if word.at_ms > until_ms:
                return None
            if word.trouble and (market is None or word.market in {None, market}):
                return word
        return None

    def _live(self, from_ms: float, until_ms: float) -> float | None:
        """The connector's own last word of being live up to the tick that saw it, which is more exact than the tick."""
        found = None
        for index in range(bisect_left(self._times, from_ms), len(self._words)):
            word = self._words[index]
            if word.at_ms > until_ms:
                break
            if word.event == "live":
                found = word.at_ms
        return found


def _fact(told: Told, venue: str, trace: Trace, until_ms: float, scan: Scan) -> FaultFacts:
    began_ms, ended_ms = told.began_ms, told.ended_ms
    detected = trace.detected(began_ms - EARLY_MS, until_ms, told.market)
    recovered = None if detected is None else trace.well(detected[0], ended_ms or began_ms)
    return FaultFacts(
        told.fault,
        venue,
        told.market,
        _params(told),
        began_ms,
        ended_ms,
        told.applied,
        None if detected is None else max(began_ms, detected[0]),
        "" if detected is None else detected[1],
        recovered,
        _why(told, venue, trace, scan) if detected is None else "",
    )


def _why(told: Told, venue: str, trace: Trace, scan: Scan) -> str:
    """Why a fault could not be seen, with the figures that show it."""
    kind = CATALOGUE.get(told.fault)
    acted = "acted once" if told.applied == 1 else f"acted {told.applied} times"
    because = f"{HARMLESS.get(told.fault, 'nothing told of it')} ({acted})"
    nothing = NOTHING_MET.get(told.fault) or (NOTHING_MET.get(kind.where) if kind is not None else None)
    if not told.applied and nothing:
        because = acted = nothing
    if already := trace.already(told.began_ms):
        return f"the venue was not well already: {already}; {acted}"
    found = scan.venues[venue]
    since_ms = scan.begin_ms or 0.0
    worst = found.series.highest_in(told.began_ms - since_ms, (told.ended_ms or told.began_ms) - since_ms)
    limit = "" if found.stale_ms is None else f" of {found.stale_ms / 1_000:g} s"
    age = "" if worst is None else f", its age at most {worst / 1_000:.1f} s{limit}"
    return f"{because}; the venue stayed well{age}"


def _params(told: Told) -> str:
    """Those that are not as usual."""
    kind = CATALOGUE.get(told.fault)
    usual = {} if kind is None else kind.params
    return " ".join(f"{name}={value}" for name, value in told.params.items() if value != usual.get(name))
