"""Plays a run: the recorded calls on a fresh engine, whose every attempt, frame and event is held to the record."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from random import Random
from traceback import format_exception
from typing import Any, Final, TypeAlias, cast

import msgspec

from bus.counters import Counters
from bus.events import BusEvent, Reconnect, Status
from bus.wire import encode_payload
from connectors import capture, checkpoint
from connectors.capture import INPUTS, OUTPUTS, CaptureError, Header, Input, Note, Output, Record, Tally
from connectors.effects import Fetch, Now
from connectors.engine import Engine
from connectors.venue import Factory, load
from connectors.watch import Watch

KEPT: Final = 20
"""Differences described at most."""
_encode = msgspec.msgpack.Encoder().encode

Publish: TypeAlias = Callable[[str, BusEvent, Now], None]
Step: TypeAlias = Input | Note
_INPUTS: Final = frozenset(INPUTS)
_OUTPUTS: Final = frozenset(OUTPUTS)


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
    passed_over: list[str] = []
    """Tears behind which the replay went on from a checkpoint."""
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
        self._asked: dict[bytes, tuple[str, deque[Fetch]]] = {}
        make = load(header.venue)[1] if factory is None else factory
        self._engine = Engine(header.spec, make, header.settings, self, Counters(), Random(header.seed))
        self._engine.watch = Watch()
        self._calls = self._every_call()

    def _every_call(self) -> dict[type[Step], Callable[[Any, Now], None]]:
        engine = self._engine
        return {
            capture.Started: lambda step, now: engine.start(now, step.past),
            capture.Received: self._received,
            capture.Ponged: lambda step, now: engine.ponged(step.key, now),
            capture.Woken: lambda _, now: engine.woken(now),
            capture.Opened: lambda step, now: engine.opened(step.key, now),
            capture.Refused: lambda step, now: engine.refused(step.key, step.refusal, now),
            capture.Lost: lambda step, now: engine.lost(step.key, step.reason, step.detail, now),
            capture.Fetched: self._fetched,
            capture.Commanded: lambda _, now: engine.command_reconnect(now),
            capture.Ended: lambda _, now: engine.stop(now),
        }

    def play(self, records: Iterable[Record]) -> Score:
        """Until the end of the capture, or where ``ended`` says why not."""
        for step, outputs in steps(records):
            self.step(step, outputs)
            if self.score.broken:
                break
        return self.score

    def step(self, step: Step, outputs: Sequence[Output]) -> None:
        """The next of ``steps``. Behind a tear nothing is done until a checkpoint tells what the engine then knew."""
        score = self.score
        call = self._calls.get(type(step))
        if call is None:
            self._noted(cast("Note", step))
            return
        if score.ended:
            return
        self._do(call, cast("Input", step), outputs)

    def _do(self, call: Callable[[Any, Now], None], step: Input, outputs: Sequence[Output]) -> None:
        score = self.score
        score.records += 1
        score.last_mono = step.mono
        if score.first_mono is None:
            score.first_mono, score.first_wall = step.mono, step.wall
        due = self._due
        due.extend(outputs)
        try:
            call(step, Now(step.mono, step.wall))
        except Exception as error:  # noqa: BLE001 - what broke the recorded process breaks the replay, and is what is sought
            score.broken = "".join(format_exception(error))
            score.ended = f"the engine raised {type(error).__name__}: {error}"
        if self._said:
            self._hand_on()
        while due:
            self._differ(f"not done: {_told(due.popleft())}")

    def _noted(self, note: Note) -> None:
        score = self.score
        match note:
            case capture.Torn(records=count, why=why):
                score.ended = score.ended or f"{'records' if count is None else f'{count} records'} missing: {why}"
            case capture.Checkpoint() if score.ended and not score.broken:
                self._go_on(note)
            case capture.Checked() if not score.ended:
                self._compare(note)
            case capture.Stopped():
                score.orderly = True
            case _:
                pass

    def _go_on(self, note: capture.Checkpoint) -> None:
        """Begin again from a state."""
        score = self.score
        try:
            asked = checkpoint.restore(note.state, self._engine)
        except CaptureError as error:
            score.ended = f"{score.ended.partition('; ')[0]}; {error}"
            return
        self._asked.clear()
        for key, request in asked:
            self.fetch(key, request)
        self._tally.events, self._tally.crc = note.events, note.crc
        score.passed_over.append(score.ended)
        score.ended = ""

    def checkpoint(self) -> capture.Checkpoint:
        """The state at this place, from which another replay can go on."""
        asked = [(key, request) for key, requests in self._asked.values() for request in requests]
        return capture.Checkpoint(self._tally.events, self._tally.crc, checkpoint.dump(self._engine, asked))

    def _hand_on(self) -> None:
        """After the call, so that what a reader of the events raises is not taken for the engine's."""
        said, self._said = self._said, []
        for market, event, now in said:
            if self._publish is not None:
                self._publish(market, event, now)

    def _received(self, step: capture.Received, now: Now) -> None:
        score, frame = self.score, step.frame
        score.frames += 1
        score.bytes += len(frame)
        self._engine.received(step.key, frame, step.binary, now)

    def _fetched(self, step: capture.Fetched, now: Now) -> None:
        self._engine.fetched(step.key, self._request(step.key, step.request), step.reply, now)

    def _request(self, key: str, recorded: Fetch) -> Fetch:
        """The very object that the engine asked with."""
        _, asked = self._asked.get(_name(key, recorded), (key, None))
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
        self._asked.setdefault(_name(key, request), (key, deque()))[1].append(request)

    def publish(self, market: str, event: BusEvent, now: Now) -> None:
        """As ``Ports.publish``."""
        score, kind = self.score, event.kind
        score.events[kind] = score.events.get(kind, 0) + 1
        self._tally.add(market, event)
        self._hash.update(f"{now.mono} {now.wall} {kind} {market} ".encode() + encode_payload(event))
        if kind == "status" and isinstance(event, Status):
            states = score.statuses.setdefault(market, {})
            states[event.state.value] = states.get(event.state.value, 0) + 1
        elif kind == "reconnect" and isinstance(event, Reconnect):
            score.reconnects[event.reason.value] = score.reconnects.get(event.reason.value, 0) + 1
        if self._publish is not None:
            self._said.append((market, event, now))

    def log(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        """As ``Ports.log``."""


def steps(records: Iterable[Record]) -> Iterator[tuple[Step, Sequence[Output]]]:
    """Each call of the engine with what it did within it."""
    last: Input | None = None
    outputs: list[Output] = []
    for record in records:
        kind = type(record)
        if kind in _OUTPUTS:
            outputs.append(cast("Output", record))
            continue
        if last is not None:
            yield last, outputs or ()
            last = None
        if outputs:
            outputs = []
        if kind in _INPUTS:
            last = cast("Input", record)
        else:
            yield cast("Note", record), ()
    if last is not None:
        yield last, outputs or ()


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
