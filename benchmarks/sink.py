"""The publisher's place on the bus, where events are counted and nothing else is done with them.

``python -m benchmarks.sink ENDPOINT`` binds ENDPOINT (XSUB), takes everything, and says on standard output:
``live VENUE MONO_NS`` when a venue says that all its markets are live, and ``beat VENUE JSON`` for each heartbeat.
After ``until MARK`` on standard input: ``done EVENTS`` when the book event with that mark (``venue_seq`` or
``venue_ns``), or one after it, has come, with the number of book events since the last time. Ends with its standard
input.
"""

from __future__ import annotations

import select
import sys
from typing import Final

import msgspec
import zmq

from bus import wire
from bus.clock import mono
from bus.events import Book, Delta, Heartbeat, State, Status

LONGEST_S: Final = 0.2
EVERYTHING: Final = b"\x01"


class Sink:
    """Counts of what came."""

    def __init__(self) -> None:
        self.events = 0
        self.mark = 0
        """0: nothing is waited for."""
        self._newest: list[bytes] = []

    def take(self, frames: list[bytes]) -> None:
        """One message. Book events are only kept, so that counting costs the machine little."""
        kind = frames[0][:5]
        if kind in {b"book.", b"delta"}:
            self.events += 1
            self._newest = frames
        elif kind == b"statu":
            self._status(frames)
        elif kind == b"heart":
            self._beat(frames)

    def drained(self) -> None:
        """Nothing more is there for now: look at the newest book."""
        if not self._newest or not self.mark:
            return
        event = wire.decode_payload(self._newest[0].split(b".")[0].decode(), self._newest[0], self._newest[2])
        if not isinstance(event, Book | Delta):
            return
        found = event.venue_ns if event.venue_seq is None else event.venue_seq
        if found is not None and found >= self.mark:
            print(f"done {self.events}", flush=True)
            self.mark = self.events = 0

    @staticmethod
    def _status(frames: list[bytes]) -> None:
        kind, venue, market = wire.split_topic(frames[0])
        event = wire.decode_payload(kind, frames[0], frames[2])
        if market == "-" and isinstance(event, Status) and event.state is State.LIVE:
            print(f"live {venue} {mono()}", flush=True)

    @staticmethod
    def _beat(frames: list[bytes]) -> None:
        kind, venue, _ = wire.split_topic(frames[0])
        event = wire.decode_payload(kind, frames[0], frames[2])
        if isinstance(event, Heartbeat):
            print(f"beat {venue} {msgspec.json.encode(event).decode()}", flush=True)


def main(endpoint: str) -> None:
    """Run until standard input ends."""
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.XSUB)
    socket.setsockopt(zmq.RCVHWM, 200_000)
    socket.bind(endpoint)
    socket.send(EVERYTHING)
    sink = Sink()
    poll = select.poll()
    poll.register(int(socket.getsockopt(zmq.FD)), select.POLLIN)
    poll.register(sys.stdin, select.POLLIN)
    print("bound", flush=True)
    while True:
        while True:
            try:
                frames = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            sink.take(frames)
        sink.drained()
        if sys.stdin.fileno() in dict(poll.poll(LONGEST_S * 1e3)):
            command = sys.stdin.readline().split()
            if not command:
                return
            sink.mark = int(command[1])


if __name__ == "__main__":
    main(sys.argv[1])
