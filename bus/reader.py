"""Order, completeness and trust of what a consumer receives, without I/O.

The shell (``bus.client``) hands in frames of the subscription (``received``), of the answers to state requests
(``answered``) and the time (``woken``); it takes ``items`` for its user and ``asking.outgoing`` for the publisher.
Nothing is ever delivered twice or out of order, and whatever is not delivered is reported as ``Lost``.
"""

from __future__ import annotations

from collections import deque
from typing import Final, assert_never, cast

from bus import wire
from bus.asking import Asking
from bus.chains import PUBLISHER, Chain, Interest, Route, Sync
from bus.counters import Counter, Counters
from bus.errors import VenueError, WireError
from bus.events import USABLE, Bbo, Book, BusEvent, Delta, Gap, Heartbeat
from bus.items import Item, Message, Why
from bus.losses import Losses
from bus.resync import WELCOME, End, Refused, decode_answer
from bus.resync import Item as Answer
from bus.runs import Run
from bus.senders import Senders
from bus.wire import Header, chain, decode_header, decode_payload, split_topic

SILENCE_NS: Final = 3_500_000_000
"""Not even a heartbeat of the publisher for so long: nothing that is known can be relied upon."""
REPEAT_NS: Final = 1_000_000_000
"""A log event sent so long after it happened is a repeat; to who has just joined it is of the past."""
DOUBTS: Final = 4  # heartbeats that must agree in contradicting what an answer has brought
TOPICS: Final = 100_000
"""Topics remembered, wanted or not."""

_APPLIED: Final = Counter.APPLIED.label
_SKIP: Final = Route("", None)


class Reader:
    """One consumer's view. ``hello`` is the topic, beginning with ``~``, by which the publisher welcomes it.

    ``books``: keep every book up to date in ``chain("book", …).levels``.
    """

    def __init__(self, interest: Interest, hello: bytes, counters: Counters, *, books: bool = True) -> None:
        self.items: deque[Item] = deque()
        """For the user, in order."""
        self.asking = Asking(interest.prefixes())
        self._chains: dict[str, Chain] = {}
        self._interest = interest
        self._hello = hello
        self._counters = counters
        self._counts = counters.values
        self._books = books
        self._losses = Losses(self.items, self.asking, counters)
        self._routes: dict[bytes, Route] = {}
        self._senders = Senders(self._chains, self._losses, self.asking)
        self._restoring = False
        self._heard: int | None = None
        self._answered: dict[Chain, None] = {}

    @property
    def deadline(self) -> int | None:
        """Monotonic ns when ``woken`` is next due, ``None`` for never."""
        times = [self.asking.deadline, None if self._heard is None else self._heard + SILENCE_NS]
        return min((time for time in times if time is not None), default=None)

    def chain(self, kind: str, venue: str, market: str) -> Chain | None:
        """Where this consumer stands on a chain; ``None`` when nothing of it has arrived."""
        return self._chains.get(chain(kind, venue, market))

    # -- what the shell calls -------------------------------------------------------------------------------------

    def received(self, frames: list[bytes], now: int) -> None:
        """One message of the subscription."""
        if self._heard is None and self.asking.linked:
            self.asking.everything(now)
        self._heard = now
        route = self._routes.get(frames[0])
        if route is None:
            route = self._discover(frames[0], now)
        followed = route.chain
        if followed is None:
            return
        header = self._header(followed, frames, now)
        if header is None:
            return
        run = followed.run
        if run is None or run.epoch != header.epoch:
            run = self._adopt(followed, header, now)
            if run is None:
                self._refused(followed, now)
                return
        run.seen = self._senders.beat
        if run.silent:
            self._senders.resumed(run, now)
        if header.seq == followed.next and followed.sync is Sync.OK:
            self._take(route.kind, followed, header, frames, now)
        else:
            self._out_of_step(route.kind, followed, header, frames, now)

    def answered(self, frames: list[bytes], now: int) -> None:
        """One message of the publisher's answers."""
        try:
            answer = decode_answer(frames)
        except WireError:
            self._counters.add(Counter.CLIENT_BAD)
            return
        if not self.asking.is_current(answer.id, now):
            return
        match answer:
            case Answer():
                self._restoring = True
                self._restore(answer.frames, now)
                self._restoring = False
            case End():
                self._restored(now)
            case Refused():
                self.asking.refused(answer.retry_ms, now)
            case _:
                assert_never(answer)

    def woken(self, now: int, *, idle: bool) -> None:
        """``deadline`` has come. ``idle``: there is nothing more to receive, so that silence is the publisher's."""
        if idle and self._heard is not None and now >= self._heard + SILENCE_NS:
            self._heard = None
            for followed in self._chains.values():
                self._losses.suspect(followed, Why.SILENT, now)
        self.asking.due(now)

    # -- which chain, which run -----------------------------------------------------------------------------------

    def _discover(self, name: bytes, now: int) -> Route:
        if name[:1] == WELCOME:
            if name == self._hello:
                self._welcome(now)
            return _SKIP
        try:
            kind, venue, market = split_topic(name)
        except WireError:
            self._counters.add(Counter.CLIENT_BAD)
            return _SKIP
        route = Route(kind, self._follow(kind, venue, market))
        if len(self._routes) < TOPICS:
            self._routes[name] = route
        return route

    def _follow(self, kind: str, venue: str, market: str) -> Chain | None:
        """The chain of a topic, made when new; ``None`` when it is not wanted."""
        if not self._interest.wants(kind, venue, market):
            return None
        name = chain(kind, venue, market)
        found = self._chains.get(name)
        if found is None:
            found = self._chains[name] = Chain(kind, venue, market, delivered=self._interest.delivers(kind, venue))
        return found

    def _welcome(self, now: int) -> None:
        """Subscriptions are in force, from here on nothing is missed; what came before is asked for."""
        if self.asking.linked:
            for followed in self._chains.values():
                self._losses.suspect(followed, Why.RECONNECT, now)
        self.asking.everything(now)

    def _header(self, followed: Chain, frames: list[bytes], now: int) -> Header | None:
        try:
            return decode_header(frames[0], wire.header_frame(frames))
        except WireError:
            # Which one it was is unknown: the sequence of the next, or the sender's heartbeat, will tell.
            self._counters.add(Counter.CLIENT_BAD)
            if followed.run is not None:
                self._losses.broken(followed, Why.BAD, now)
                self.asking.need(followed, now)
            return None

    def _adopt(self, followed: Chain, header: Header, now: int) -> Run | None:
        """Let the chain go on with the run that the header names; ``None`` when this message must be dropped."""
        run = self._senders.run(followed, header.epoch)
        if not self._senders.takes_over(run, followed, now):
            return None
        from_start = run.followed or (followed.known and not self._restoring)
        if followed.is_log and not from_start and header.pub_ns - header.mono_ns > REPEAT_NS:
            return None
        self._begin(followed, run, 0 if from_start else header.seq - 1)
        return run

    def _refused(self, followed: Chain, now: int) -> None:
        """A message of a run that is over, or of one that has yet to prove that the greater epoch is gone."""
        self._counters.add(Counter.CLIENT_DUPLICATES)
        if followed.kind == "heartbeat" and followed.venue == PUBLISHER:
            # Seconds are counted by these: were a publisher's own disbelieved too, nothing would ever be silent.
            self._senders.second(now)

    def _begin(self, followed: Chain, run: Run, accounted: int) -> None:
        followed.run = run
        followed.accounted = accounted
        followed.next = accounted + 1

    # -- one message of the subscription --------------------------------------------------------------------------

    def _out_of_step(self, kind: str, followed: Chain, header: Header, frames: list[bytes], now: int) -> None:
        if followed.sync >= Sync.BROKEN:
            if kind == "delta":
                self._losses.hold(followed, header, frames, now)
            else:
                followed.held.clear()
                self._rebuild(followed, header, frames, Sync.OK, now)
        elif header.seq < followed.next:
            self._counters.add(Counter.CLIENT_DUPLICATES)
            if followed.kind == "heartbeat":
                self._doubt(followed, header.seq - 1, now)
        elif header.seq > followed.next and kind == "delta":
            self._losses.missing(followed, header.seq - 1, Why.HOLE, now)
            self._losses.broken(followed, Why.HOLE, now)
            self._losses.hold(followed, header, frames, now)
        else:
            # Whole state or a log event after a hole, or the message that clears a suspicion.
            self._losses.missing(followed, header.seq - 1, Why.HOLE, now)
            if self._take(kind, followed, header, frames, now) and followed.unwell:
                self._losses.heal(followed, now)

    def _rebuild(self, followed: Chain, header: Header, frames: list[bytes], sync: Sync, now: int) -> None:
        """Begin anew with a whole book."""
        if followed.since is None and followed.sync is Sync.BROKEN:
            # Nothing was reported yet: this is where we join, also when newer deltas came first.
            followed.accounted = header.seq - 1
            followed.next = header.seq
        self._losses.missing(followed, header.seq - 1, Why.MERGED, now)
        followed.sync = sync
        if self._take("book", followed, header, frames, now) and sync is Sync.OK:
            self._losses.heal(followed, now)

    def _take(self, kind: str, followed: Chain, header: Header, frames: list[bytes], now: int) -> bool:
        """Apply and deliver the next message; False when it is unusable, which then has been dealt with."""
        try:
            event = decode_payload(kind, frames[0], frames[2])
            if followed.bears_trust:
                self._apply(followed, header, event)
        except (WireError, VenueError):
            self._counters.add(Counter.CLIENT_BAD)
            self._losses.missing(followed, header.seq, Why.BAD, now)
            followed.next = header.seq + 1
            self._losses.broken(followed, Why.BAD, now)
            if not followed.is_log:
                self.asking.need(followed, now)
            return False
        followed.next = header.seq + 1
        self._counts[_APPLIED] = self._counts.get(_APPLIED, 0) + 1
        if followed.bears_trust:
            self._deliver_trusted(kind, followed, header, event, now)
        elif followed.delivered:
            self.items.append(Message(kind, followed.venue, followed.market, header, event, now))
        if isinstance(event, Heartbeat):
            self._beaten(followed, event, now)
        elif isinstance(event, Gap):
            self._announced(header.epoch, event, now)
        return True

    def _apply(self, followed: Chain, header: Header, event: BusEvent) -> None:
        if isinstance(event, Delta):
            if event.rebuild != followed.rebuild:
                raise VenueError(f"a delta of rebuild {event.rebuild} after {followed.rebuild}")
            if self._books:
                followed.levels.apply(event.bid_px, event.bid_sz, event.ask_px, event.ask_sz)
        elif isinstance(event, Book) and self._books:
            followed.levels.replace(event.bid_px, event.bid_sz, event.ask_px, event.ask_sz)
        followed.event = cast("Book | Delta | Bbo", event)
        followed.header = header

    def _deliver_trusted(self, kind: str, followed: Chain, header: Header, event: BusEvent, now: int) -> None:
        """Tell of lost trust before the message that says so, of gained trust after it."""
        usable = followed.trust in USABLE
        if not usable and followed.told:
            self._losses.tell(followed, now, trusted=False)
        self.items.append(Message(kind, followed.venue, followed.market, header, event, now))
        if usable and not followed.told and followed.sync is Sync.OK and followed.since is None:
            self._losses.tell(followed, now, trusted=True)

    # -- what heartbeats and gaps tell ----------------------------------------------------------------------------

    def _announced(self, epoch: int, event: Gap, now: int) -> None:
        followed = self._chains.get(event.chain)
        if followed is None or followed.run is None or followed.run.epoch != epoch:
            return
        self._losses.missing(followed, event.first_seq - 1, Why.HOLE, now)
        self._losses.missing(followed, event.last_seq, Why.ANNOUNCED, now)
        followed.next = max(followed.next, event.last_seq + 1)

    def _beaten(self, sender: Chain, event: Heartbeat, now: int) -> None:
        if self._restoring:
            return
        if sender.venue == PUBLISHER:
            self._senders.second(now)
        run = sender.run
        if run is None or not self.asking.linked:
            return
        for name, last in event.chains.items():
            if name != sender.name:
                self._claimed(run, name, last, now)
        run.followed = True

    def _claimed(self, run: Run, name: str, last: int, now: int) -> None:
        """The sender says that it has sent up to ``last`` on a chain, all of it before this heartbeat."""
        try:
            kind, venue, market = name.split(".", 2)
        except ValueError:
            return
        other = self._follow(kind, venue, market) if venue == run.sender else None
        if other is None:
            return
        if other.run is not run:
            if not self._senders.takes_over(run, other, now):
                return
            self._begin(other, run, 0 if run.followed or other.known else last)
            if not other.is_log:
                other.sync = max(other.sync, Sync.SUSPECT)
                self.asking.need(other, now)
        newest = max(other.next - 1, other.held[-1][0].seq if other.held else 0)
        if last > newest:
            self._tail(other, last, now)
        if last < max(newest, other.accounted):
            self._doubt(other, last, now)
        else:
            other.doubts, other.restored = 0, False

    def _doubt(self, other: Chain, last: int, now: int) -> None:
        """All that was sent on a chain before a heartbeat comes before it, so what went beyond its word is a lie.

        Only an answer overtakes heartbeats; then several have to say so.
        """
        other.doubts += 1
        if not other.restored or other.doubts >= DOUBTS:
            self._losses.refuted(other, last, now)

    def _tail(self, other: Chain, last: int, now: int) -> None:
        other.held.clear()
        self._losses.missing(other, last, Why.TAIL, now)
        if other.is_log:
            other.next = last + 1
        else:
            self._losses.broken(other, Why.TAIL, now)
            self.asking.need(other, now)

    # -- one answer -----------------------------------------------------------------------------------------------

    def _restore(self, frames: list[bytes], now: int) -> None:
        route = self._routes.get(frames[0]) or self._discover(frames[0], now)
        followed = route.chain
        if followed is None or followed.is_log:
            return
        try:
            header = decode_header(frames[0], wire.header_frame(frames))
        except WireError:
            self._counters.add(Counter.CLIENT_BAD)
            return
        run = followed.run
        if (run is None or run.epoch != header.epoch) and self._adopt(followed, header, now) is None:
            return
        self._answered[followed] = None
        followed.restored = True
        if followed.sync is Sync.BROKEN:
            if route.kind == "book":
                self._rebuild(followed, header, frames, Sync.RESTORING, now)
        elif header.seq >= followed.next:
            self._catch_up(route.kind, followed, header, frames, now)

    def _catch_up(self, kind: str, followed: Chain, header: Header, frames: list[bytes], now: int) -> None:
        if header.seq > followed.next and kind == "delta":
            # The publisher's own state has a hole.
            self._losses.missing(followed, header.seq - 1, Why.HOLE, now)
            self._losses.broken(followed, Why.HOLE, now)
            self.asking.need(followed, now)
            return
        self._losses.missing(followed, header.seq - 1, Why.HOLE, now)
        self._take(kind, followed, header, frames, now)

    def _restored(self, now: int) -> None:
        answered, self._answered = self._answered, {}
        for followed in answered:
            if followed.sync is Sync.RESTORING:
                self._splice(followed, now)
            silent = followed.run is not None and followed.run.silent
            if followed.unwell and followed.sync is not Sync.BROKEN and not silent:
                self._losses.heal(followed, now)
        self.asking.answered(now)

    def _splice(self, followed: Chain, now: int) -> None:
        """Go on with the deltas held since the book broke."""
        held, followed.held = followed.held, []
        for index, (header, frames) in enumerate(held):
            if header.seq < followed.next:
                continue
            if header.seq > followed.next:
                self._losses.missing(followed, header.seq - 1, Why.HOLE, now)
                self._losses.broken(followed, Why.HOLE, now)
            elif self._take("delta", followed, header, frames, now):
                continue
            followed.held = held[index:]
            self.asking.need(followed, now)
            return
