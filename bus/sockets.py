"""ZeroMQ sockets as the delivery contract wants them: who binds, who connects, what is refused, what is queued.

A producer's loop waits on ``ProducerLink.fd`` beside its venue's sockets. That descriptor is ZeroMQ's own and it is
edge-triggered: it becomes readable when something *may* have happened and stays silent about what was left undone. So a
loop must call ``subscriptions`` (and with it read all there is) once every time round, whatever woke it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import zmq
import zmq.backend

from bus.clock import mono, wall
from bus.counters import Counters
from bus.errors import SettingsError, TransportError
from bus.events import BusEvent
from bus.outbox import Outbox
from bus.settings import Settings

RECONNECT_MS: Final = 10
"""A peer on the same host that comes back is reached after so long (the library's default is 100)."""

_IPC: Final = "ipc://"

# Three frames received and sent again take 3.8 µs by these and 7.6 µs by the methods above them, which check and
# convert what is bytes already.
_receive, _send, _get = zmq.backend.Socket.recv, zmq.backend.Socket.send, zmq.backend.Socket.get
_MORE: Final = int(zmq.NOBLOCK | zmq.SNDMORE)
_LAST: Final = int(zmq.NOBLOCK)
_RCVMORE: Final = int(zmq.RCVMORE)
_EVENTS: Final = int(zmq.EVENTS)
_IN: Final = int(zmq.POLLIN)


def prepare(endpoint: str) -> str:
    """Make the directory of an ``ipc://`` endpoint, for its owner alone (0700). Returns the endpoint."""
    if endpoint.startswith(_IPC) and not endpoint.startswith("ipc://@"):
        private_dir(Path(endpoint.removeprefix(_IPC)).parent)
    return endpoint


def socket_path(endpoint: str) -> Path | None:
    """The file that an ``ipc://`` endpoint is reached by, ``None`` where there is none."""
    return Path(endpoint.removeprefix(_IPC)) if endpoint.startswith(_IPC) and "@" not in endpoint else None


def private_dir(path: Path) -> Path:
    """Make a directory, and what is missing above it, for its owner alone (0700). Returns the path."""
    for folder in (*reversed(path.parents), path):
        folder.mkdir(mode=0o700, exist_ok=True)
    return path


def is_local(endpoint: str) -> bool:
    """Whether nobody outside this host can reach what is bound here."""
    parts = urlsplit(endpoint)
    if parts.scheme in {"ipc", "inproc"}:
        return True
    if parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def bind(socket: zmq.Socket[bytes], endpoint: str, key: str, *, secured: bool = False) -> None:
    """Bind where the setting ``key`` says.

    Raises SettingsError when that is impossible or open to others unsecured, TransportError when another process is
    there already (which time may cure).
    """
    if not is_local(endpoint) and not secured:
        raise SettingsError(
            key,
            f"{endpoint} is reachable from outside",
            "ipc:// or loopback; other hosts by an SSH or WireGuard tunnel",
        )
    try:
        prepare(endpoint)
        socket.bind(endpoint)
    except (zmq.ZMQError, OSError) as error:
        if error.errno == zmq.EADDRINUSE:
            raise TransportError(f"{endpoint} is in use") from None
        raise SettingsError(key, f"cannot bind {endpoint}: {error}") from None


def receive(socket: zmq.Socket[bytes]) -> list[bytes]:
    """All frames of the next message, without waiting. Raises zmq.Again when there is none.

    Every message of ours has three. Asking after each frame whether it was the last costs twice as much as reading all
    three (2.5 of 2.9 µs), so the question is put once, after the third: a message of fewer frames comes together with
    the one after it, as one of more than three or with a topic that is none. Either is seen, counted and healed.
    """
    frames = [_receive(socket, _LAST)]
    try:
        frames.append(_receive(socket, _LAST))
        frames.append(_receive(socket, _LAST))
    except zmq.Again:
        return frames
    while _get(socket, _RCVMORE):
        frames.append(_receive(socket, _LAST))
    return frames


def send(socket: zmq.Socket[bytes], frames: Sequence[bytes]) -> None:
    """Queue one message without waiting. Raises zmq.Again when it is refused; then nothing of it is queued."""
    for frame in frames[:-1]:
        _send(socket, frame, _MORE)
    _send(socket, frames[-1], _LAST)


class ProducerLink:
    """A producer's XPUB towards the publisher. Not thread-safe: one thread owns it.

    ``NODROP`` makes a full queue a refusal instead of a silent loss, ``VERBOSE`` shows every subscription and not only
    the first, ``IMMEDIATE`` ends the queue with the connection, so that a publisher that is gone is known to be.
    """

    def __init__(self, endpoint: str, hwm: int, context: zmq.Context[zmq.Socket[bytes]] | None = None) -> None:
        self._socket = (context or zmq.Context.instance()).socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, hwm)
        self._socket.setsockopt(zmq.XPUB_NODROP, 1)
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        self._socket.setsockopt(zmq.LINGER, 100)
        self._socket.connect(endpoint)
        self._prefixes: set[bytes] = set()
        self._send: Callable[[bytes, int], object] = super(zmq.Socket, self._socket).send
        """The compiled method itself: what wraps it, and flags that are an enum, cost three times the sending."""
        self._get: Callable[[int], Any] = super(zmq.Socket, self._socket).get
        self.fd: int = self._socket.getsockopt(zmq.FD)  # type: ignore[assignment]
        """For ``select``/``poll``, edge-triggered: see the module's docstring."""

    def send(self, frames: Sequence[bytes]) -> bool:
        """Queue one message without waiting; False when the high-water mark is reached (nothing of it is queued)."""
        send = self._send
        try:
            send(frames[0], _MORE)
        except zmq.Again:
            return False
        # Once its first part is taken, a message is taken whole: the mark counts messages.
        for frame in frames[1:-1]:
            send(frame, _MORE)
        send(frames[-1], _LAST)
        return True

    def subscriptions(self) -> list[bytes | None]:
        """What happened since the last call: a prefix was subscribed, or (``None``) nobody is left."""
        changes: list[bytes | None] = []
        # Asking first takes half the time of a refused read.
        while self._get(_EVENTS) & _IN:
            message = self._socket.recv(zmq.NOBLOCK)
            if message[:1] == b"\x01":
                self._prefixes.add(message[1:])
                changes.append(message[1:])
            elif message[:1] == b"\x00" and message[1:] in self._prefixes:
                self._prefixes.remove(message[1:])
                if not self._prefixes:
                    changes.append(None)
        return changes

    def close(self) -> None:
        """Close; what is queued has 100 ms to leave."""
        self._socket.close()


def attend(link: ProducerLink, outbox: Outbox, mono_ns: int) -> None:
    """Once every time round a producer's loop: hear who joined or left, and send what is due."""
    for prefix in link.subscriptions():
        if prefix is None:
            outbox.left()
        else:
            outbox.joined(prefix, mono_ns)
    if outbox.deadline is not None and outbox.deadline <= mono_ns:
        outbox.flush(mono_ns)


class Producer:
    """An outbox on its link, for processes that publish beside their main work (sentinel, runner)."""

    def __init__(
        self,
        settings: Settings,
        venue: str,
        epoch: int,
        counters: Counters,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        self.link = ProducerLink(settings.endpoint("market_in"), settings.bus.connector_hwm, context)
        self.outbox = Outbox(venue, epoch, settings.run.line, counters, self.link.send, settings.bus.log_buffer, mono)

    def publish(self, market: str, event: BusEvent, recv_ns: int, mono_ns: int) -> None:
        """As ``Outbox.publish``."""
        self.outbox.publish(market, event, recv_ns, mono_ns)

    def attend(self) -> None:
        """Once every time round the loop, and at least every 20 ms while ``outbox.deadline`` is set."""
        attend(self.link, self.outbox, mono())

    def close(self) -> None:
        """Close the link."""
        self.link.close()


def consumer_sockets(
    settings: Settings, identity: str, context: zmq.Context[zmq.Socket[bytes]] | None = None
) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
    """A consumer's SUB and DEALER, not connected yet.

    ``IMMEDIATE`` keeps requests from queueing for a publisher that is not there.
    """
    context = context or zmq.Context.instance()
    subscription = context.socket(zmq.SUB)
    subscription.setsockopt(zmq.RCVHWM, settings.bus.consumer_hwm)
    requests = context.socket(zmq.DEALER)
    requests.setsockopt(zmq.IDENTITY, identity.encode())
    requests.setsockopt(zmq.IMMEDIATE, 1)
    requests.setsockopt(zmq.RCVHWM, 0)
    for socket in (subscription, requests):
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.setsockopt(zmq.LINGER, 0)
    return subscription, requests


def new_epoch() -> int:
    """Epoch of this run of this process: its start in wall clock ns."""
    return wall()
