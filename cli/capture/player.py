"""Plays a run: the recorded calls on a fresh engine, whose every attempt, frame and event is held to the record."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from random import Random
from traceback import format_exception
from typing import Final, TypeAlias

import msgspec

from bus.counters import Counters
from bus.events import BusEvent, Reconnect, Status
from bus.wire import encode_payload
from connectors import capture
from connectors.capture import INPUTS, OUTPUTS, Header, Input, Output, Record, Tally
from connectors.effects import Fetch, Now
from connectors.engine import Engine
from connectors.venue import Factory, load
from connectors.watch import Watch

KEPT: Final = 20
"""Differences described at most."""
_encode = msgspec.msgpack.Encoder().encode

Publish: TypeAlias = Callable[[str, BusEvent, Now], None]
Step: TypeAlias = Input | capture.Checked | capture.Torn | capture.Stopped


class Score(msgspec.Struct):
    """What came of a replay."""

    venue: str
    records: int = 0
    frames: int = 0
    bytes: int = 0
    events: dict[str, int] = {}
    """By kind."""
    statuses: dict[str, dict[str, int]] = {}
    """By market, how often each state was entered."""
    reconnects: dict[str, int] = {}
    """By reason."""
    first_mono: int | None = None
    last_mono: int = 0
    first_wall: int = 0
    checks: int = 0
    """Places where what was published was compared with the recording."""
    differences: int = 0
    """Places where this replay was not what was recorded."""
    described: list[str] = []
    ended: str = ""
    """Why the replay stopped before the end of the capture."""
    broken: str = ""
    """The traceback of what the engine raised: it will have ended the recorded process, too."""
    orderly: bool = False
    """Whether the recorded process was asked to end."""

    @property
    def seconds(self) -> float:
        """Length of what was replayed, by the recorded clock."""
        return 0.0 if self.first_mono is None else (self.last_mono - self.first_mono) / 1e9


class Player:
    """One replay. It is the engine's ``Ports``: what the engine wants done is compared, and nothing is done.

    ``publish`` is given each event, after the call that it came of.
    """

    def __init__(self, header: Header, publish: Publish | None = None, factory: Factory | None = None) -> None:
        self.score = Score(header.venue)
        self._publish = publish
        self._said: list[tuple[str, BusEvent, Now]] = []
        self._tally = Tally()
        self._hash = blake2b(digest_size=16)
        self._due: deque[Output] = deque()
        self._asked: dict[bytes, deque[Fetch]] = {}
        make = load(header.venue)[1] if factory is None else factory
        self._engine = Engine(header.spec, make, header.settings, self, Counters(), Random(header.seed))
        self._engine.watch = Watch()

    def play(self, records: Iterable[Record]) -> Score:
        """Until the end of the capture, or where ``ended`` says why not."""
        for step, outputs in steps(records):
            self.step(step, outputs)
            if self.score.ended:
                break
        return self.score

    def step(self, step: Step, outputs: list[Output]) -> None:
        """The next of ``steps``. Not behind a tear: there the engine would not know what it had been told."""
        score = self.score
        match step:
            case capture.Torn(records=count, why=why):
                score.ended = f"{'records' if count is None else f'{count} records'} missing: {why}"
            case capture.Checked():
                self._compare(step)
            case capture.Stopped():
                score.orderly = True
            case _:
                self._note(step)
                self._due.extend(outputs)
                try:
                    self._call(step)
                except Exception as error:  # noqa: BLE001 - what broke the recorded process breaks the replay, and is what is sought
                    score.broken = "".join(format_exception(error))
                    score.ended = f"the engine raised {type(error).__name__}: {error}"
                self._hand_on()
                while self._due:
                    self._differ(f"not done: {_told(self._due.popleft())}")

    def _hand_on(self) -> None:
        """After the call, so that what a reader of the events raises is not taken for the engine's."""
        said, self._said = self._said, []
        for market, event, now in said:
            if self._publish is not None:
                self._publish(market, event, now)

    def _note(self, step: Input) -> None:
        score = self.score
        score.records += 1
        score.last_mono = step.mono
        if score.first_mono is None:
            score.first_mono, score.first_wall = step.mono, step.wall

    def _call(self, step: Input) -> None:
        score, engine, now = self.score, self._engine, step.now
        match step:
            case capture.Received(key=key, frame=frame, binary=binary):
                score.frames += 1
                score.bytes += len(frame)
                engine.received(key, frame, binary, now)
            case capture.Woken():
                engine.woken(now)
            case capture.Ponged(key=key):
                engine.ponged(key, now)
            case capture.Fetched(key=key, request=request, reply=reply):
                engine.fetched(key, self._request(key, request), reply, now)
            case _:
                self._seldom(step, now)

    def _seldom(self, step: Input, now: Now) -> None:
        engine = self._engine
        match step:
            case capture.Opened(key=key):
                engine.opened(key, now)
            case capture.Refused(key=key, refusal=refusal):
                engine.refused(key, refusal, now)
            case capture.Lost(key=key, reason=reason, detail=detail):
                engine.lost(key, reason, detail, now)
            case capture.Commanded():
                engine.command_reconnect(now)
            case _:
                engine.start(now, step.past)

    def _request(self, key: str, recorded: Fetch) -> Fetch:
        """The very object that the engine asked with."""
        asked = self._asked.get(_name(key, recorded))
        if asked:
            return asked.popleft()
        self._differ(f"an answer to what was not asked: {recorded.method} {recorded.url}")
        return recorded

    def _compare(self, recorded: capture.Checked) -> None:
        mine = self._tally.checked
        self.score.checks += 1
        if mine != recorded:
            self._differ(f"events {mine.events} checksum {mine.crc:08x}, not {recorded.events} {recorded.crc:08x}")

    def _differ(self, what: str) -> None:
        self.score.differences += 1
        if len(self.score.described) < KEPT:
            self.score.described.append(f"{self.score.seconds:.3f} s: {what}")

    def _done(self, mine: Output) -> Output:
        """What the engine did is what comes next in the record, whose outcome it is told."""
        recorded = self._due.popleft() if self._due else None
        if recorded is None or _told(recorded) != _told(mine):
            self._differ(f"{_told(mine)}, not {'nothing' if recorded is None else _told(recorded)}")
            return mine
        return recorded

    @property
    def digest(self) -> str:
        """BLAKE2b of every event so far with its market, kind and times."""
        return self._hash.hexdigest()

    # -- ports ----------------------------------------------------------------------------------------------------

    def connect(self, key: str, url: str, headers: Mapping[str, str]) -> None:  # noqa: ARG002
        """As ``Ports.connect``."""
        self._done(capture.Tried(key, url))

    def drop(self, key: str) -> None:
        """As ``Ports.drop``."""

    def send(self, key: str, text: str) -> str | None:
        """As ``Ports.send``."""
        done = self._done(capture.Sent(key, text, None))
        return done.problem if isinstance(done, capture.Sent) else None

    def ping(self, key: str) -> str | None:
        """As ``Ports.ping``."""
        done = self._done(capture.Pinged(key, None))
        return done.problem if isinstance(done, capture.Pinged) else None

    def fetch(self, key: str, request: Fetch) -> None:
        """As ``Ports.fetch``."""
        self._asked.setdefault(_name(key, request), deque()).append(request)

    def publish(self, market: str, event: BusEvent, now: Now) -> None:
        """As ``Ports.publish``."""
        score, kind = self.score, event.kind
        score.events[kind] = score.events.get(kind, 0) + 1
        self._tally.add(market, event)
        self._hash.update(f"{now.mono} {now.wall} {kind} {market} ".encode() + encode_payload(event))
        if isinstance(event, Status):
            states = score.statuses.setdefault(market, {})
            states[event.state.value] = states.get(event.state.value, 0) + 1
        elif isinstance(event, Reconnect):
            score.reconnects[event.reason.value] = score.reconnects.get(event.reason.value, 0) + 1
        if self._publish is not None:
            self._said.append((market, event, now))

    def log(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        """As ``Ports.log``."""


def steps(records: Iterable[Record]) -> Iterator[tuple[Step, list[Output]]]:
    """Each call of the engine with what it did within it."""
    last: Input | None = None
    outputs: list[Output] = []
    for record in records:
        if isinstance(record, OUTPUTS):
            outputs.append(record)
            continue
        if last is not None:
            yield last, outputs
            last, outputs = None, []
        if isinstance(record, INPUTS):
            last = record
        else:
            yield record, []
    if last is not None:
        yield last, outputs


def _name(key: str, request: Fetch) -> bytes:
    return _encode((key, request))


def _told(output: Output) -> str:
    match output:
        case capture.Sent(key=key, text=text):
            return f"sent on {key}: {text}"
        case capture.Pinged(key=key):
            return f"ping on {key}"
        case capture.Tried(key=key, url=url):
            return f"connects {key} to {url}"
