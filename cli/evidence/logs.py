"""What ``run.log`` and ``market_rx_stats.log`` say: audit counts, troubles in the connectors' own words, cap hits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from cli.evidence.counts import Increase
from cli.evidence.scan import MAX_MOMENTS, Moment

RECONNECT: Final = re.compile(rb"WS_AUDIT venue=(\S+) reconnect_reason=(\S+) count=(\d+)")
PRESSURE: Final = re.compile(rb"WS_AUDIT component=market_publisher (\S+?)=(\d+)")
CAP_HITS: Final = re.compile(rb"^market_rx_stats tick=\d+ .*\bcap_hits=(\d+)\s*$")
TIME: Final = re.compile(r'^(?:time=|\{"time": ?")(\S+?Z)')
TRACEBACK: Final = re.compile(rb"^time=\S+ process=(\S+) \| Traceback ")
FIELD: Final = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')
TOLD: Final = frozenset({"market", "was", "reason", "conn", "detail", "problem"})
"""Fields of a line that are told beside its event."""
LONGEST: Final = 160
STATES: Final = frozenset({"init", "connecting", "syncing", "live", "stale", "recovering", "down"})


class Audit:
    """Counts of reconnects and pressure as the audit lines tell them."""

    def __init__(self, *, whole_run: bool) -> None:
        self._whole_run = whole_run
        self._counts: dict[tuple[str, str], Increase] = {}
        self.lines = 0

    def take(self, line: bytes) -> None:
        """One line that has ``WS_AUDIT`` in it; any other is ignored."""
        if match := RECONNECT.search(line):
            key, count = (match[1].decode(), match[2].decode()), int(match[3])
        elif match := PRESSURE.search(line):
            key, count = ("", match[1].decode()), int(match[2])
        else:
            return
        self.lines += 1
        counter = self._counts.get(key)
        if counter is None:
            counter = self._counts[key] = Increase(whole=self._whole_run)
        counter.take({key[1]: count})

    def reconnects(self) -> dict[str, dict[str, int]]:
        """By venue and reason."""
        found: dict[str, dict[str, int]] = {}
        for (venue, name), counter in self._counts.items():
            if venue:
                found.setdefault(venue, {})[name] = counter.grown.get(name, 0)
        return found

    def pressure(self) -> dict[str, int]:
        """By counter."""
        return {name: counter.grown.get(name, 0) for (venue, name), counter in self._counts.items() if not venue}


class Word(msgspec.Struct, frozen=True, gc=False):
    """One log line of a venue's connector: a trouble, or a state."""

    at_ms: float
    venue: str
    event: str
    market: str | None
    words: str
    trouble: bool


class LogScan:
    """One pass over ``run.log``."""

    def __init__(self, *, whole_run: bool) -> None:
        self.audit = Audit(whole_run=whole_run)
        self.words: list[Word] = []
        self.left_out = 0
        self.lines = 0
        self.tracebacks: list[Moment] = []

    def feed(self, lines: Iterable[bytes]) -> None:
        """Take all lines."""
        for line in lines:
            self.lines += 1
            if b"WS_AUDIT" in line:
                self.audit.take(line)
            elif b" venue=" in line:
                self._word(line.decode(errors="replace"))
            elif (match := TRACEBACK.match(line)) and len(self.tracebacks) < MAX_MOMENTS:
                at_ms = time_of(line.decode(errors="replace")) or 0.0
                self.tracebacks.append(Moment(at_ms, match[1].decode(), "traceback"))

    def _word(self, line: str) -> None:
        word = read_word(line)
        if word is None:
            return
        if not word.trouble and word.event not in STATES:
            return
        if len(self.words) < MAX_MOMENTS:
            self.words.append(word)
        else:
            self.left_out += 1


def read_word(line: str) -> Word | None:
    """A logfmt line of a connector; ``None`` when it is none."""
    at_ms = time_of(line)
    fields = {name: text.strip('"') for name, text in FIELD.findall(line)}
    if at_ms is None or not {"venue", "event", "level"} <= fields.keys():
        return None
    market = fields.get("market")
    said = [f"{name}={value}" for name, value in fields.items() if name in TOLD and name != "market"]
    return Word(
        at_ms,
        fields["venue"],
        fields["event"],
        None if market in {None, "-"} else market,
        " ".join(said)[:LONGEST],
        fields["level"] in {"warning", "error"},
    )


def time_of(line: str) -> float | None:
    """Wall clock ms of a line of ours, logfmt or JSON; ``None`` when it has none."""
    match = TIME.match(line)
    if match is None:
        return None
    try:
        return datetime.fromisoformat(match[1]).timestamp() * 1_000
    except ValueError:
        return None


class RxScan:
    """One pass over ``market_rx_stats.log``."""

    def __init__(self, *, whole_run: bool) -> None:
        self.lines = 0
        self.other = 0
        """Lines that are not statistics."""
        self._cap_hits = Increase(whole=whole_run)

    def feed(self, lines: Iterable[bytes]) -> None:
        """Take all lines."""
        for line in lines:
            match = CAP_HITS.match(line)
            if match is None:
                self.other += 1
            else:
                self.lines += 1
                self._cap_hits.take({"cap_hits": int(match[1])})

    @property
    def cap_hits(self) -> int | None:
        """Ticks of the run whose drain was cut short; ``None`` when no line told."""
        return self._cap_hits.grown.get("cap_hits", 0) if self.lines else None
