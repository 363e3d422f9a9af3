"""Sockets: refusal instead of loss, subscriptions seen, nothing open to others unsecured."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zmq

from bus.errors import SettingsError, TransportError
from bus.sockets import ProducerLink, bind, is_local, new_epoch, prepare, receive
from tests.bus import samples
from tests.bus.conftest import Stage
from tests.bus.plane import serving, turning

if TYPE_CHECKING:
    from tests.conftest import Eventually

Socket = zmq.Socket[bytes]


@pytest.fixture
def context() -> Iterator[zmq.Context[Socket]]:
    context: zmq.Context[Socket] = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("ipc:///tmp/x", True),
        ("inproc://x", True),
        ("tcp://127.0.0.1:5", True),
        ("tcp://127.8.8.8:5", True),
        ("tcp://[::1]:5", True),
        ("tcp://localhost:5", True),
        ("tcp://0.0.0.0:5", False),
        ("tcp://*:5", False),
        ("tcp://10.0.0.1:5", False),
        ("tcp://eth0:5", False),
        ("tcp://example.org:5", False),
    ],
)
def test_what_others_can_reach(endpoint: str, local: bool) -> None:
    assert is_local(endpoint) is local


def test_an_open_endpoint_is_refused_by_its_key(context: zmq.Context[Socket]) -> None:
    refusal = r"bus\.market_in: tcp://0\.0\.0\.0:5 is reachable from outside"
    with context.socket(zmq.XSUB) as socket, pytest.raises(SettingsError, match=refusal):
        bind(socket, "tcp://0.0.0.0:5", "bus.market_in")


@pytest.mark.parametrize("endpoint", ["ipc:///proc/no/such", "nonsense", "ipc:///tmp/" + "x" * 200])
def test_an_impossible_endpoint_is_refused_by_its_key(context: zmq.Context[Socket], endpoint: str) -> None:
    with context.socket(zmq.XSUB) as socket, pytest.raises(SettingsError, match=r"bus\.resync: "):
        bind(socket, endpoint, "bus.resync", secured=True)


def test_an_endpoint_in_use_is_not_the_settings_fault(context: zmq.Context[Socket]) -> None:
    with context.socket(zmq.XSUB) as first, context.socket(zmq.XSUB) as second:
        first.bind("tcp://127.0.0.1:*")
        endpoint = first.getsockopt(zmq.LAST_ENDPOINT)
        assert isinstance(endpoint, bytes)
        with pytest.raises(TransportError, match="in use"):
            bind(second, endpoint.rstrip(b"\0").decode(), "bus.market_in")


def test_socket_directories_are_their_owners_alone(run_dir: Path) -> None:
    assert prepare(f"ipc://{run_dir}/a/b/socket") == f"ipc://{run_dir}/a/b/socket"
    for folder in (run_dir / "a", run_dir / "a" / "b"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert prepare("tcp://127.0.0.1:5") == "tcp://127.0.0.1:5"


def test_a_full_queue_refuses_and_loses_nothing(
    run_dir: Path, context: zmq.Context[Socket], eventually: Eventually
) -> None:
    endpoint = f"ipc://{run_dir}/x"
    reader = context.socket(zmq.XSUB)
    reader.setsockopt(zmq.RCVHWM, 10)
    reader.bind(endpoint)
    reader.send(b"\x01")
    link = ProducerLink(endpoint, 10, context)
    eventually(lambda: (reader.poll(10), link.subscriptions())[1] == [b""])
    taken = 0
    body = b"x" * 100_000
    while link.send([b"topic", b"%d" % taken, body]):
        taken += 1
    assert taken >= 10
    received: list[list[bytes]] = []
    while reader.poll(2_000 if len(received) < taken else 0):
        received.append(reader.recv_multipart())
    assert [int(frames[1]) for frames in received] == list(range(taken))
    assert all(frames[0] == b"topic" and frames[2] == body for frames in received)
    # The reader's thanks for what it took arrive by another thread.
    eventually(lambda: link.send([b"topic", b"again"]))
    link.close()
    reader.close(0)


def test_a_producer_sees_who_joins_asks_again_and_leaves(
    run_dir: Path, context: zmq.Context[Socket], eventually: Eventually
) -> None:
    endpoint = f"ipc://{run_dir}/x"
    link = ProducerLink(endpoint, 10, context)
    for _ in range(2):
        reader = context.socket(zmq.XSUB)
        reader.bind(endpoint)
        reader.send(b"\x01")
        seen: list[bytes | None] = []

        def look(reader: Socket = reader, seen: list[bytes | None] = seen) -> list[bytes | None]:
            reader.poll(10)
            seen += link.subscriptions()
            return seen

        eventually(lambda look=look: look() == [b""])  # type: ignore[misc]
        reader.send(b"\x01book.")
        reader.send(b"\x00book.")
        eventually(lambda look=look: look() == [b"", b"book."])  # type: ignore[misc]
        reader.close(0)
        eventually(lambda: link.subscriptions() == [None])
    link.close()


def test_a_producer_serves_state_and_stream_through_a_publisher(stage: Stage, eventually: Eventually) -> None:
    talker, listener = stage.talker(), stage.listener(kinds=["book"])
    talker.say(samples.book())
    when = turning(talker, listener)
    with serving(stage.settings):
        eventually(when(lambda: listener.subscriber.trusted("aster", "BTC-PERP")))
        talker.say(samples.delta(7))
        eventually(when(lambda: getattr(listener.subscriber.book("aster", "BTC-PERP"), "venue_seq", None) == 7))


def test_epochs_grow() -> None:
    assert new_epoch() <= new_epoch()


@pytest.mark.parametrize("sent", [[b"a"], [b"a", b"b"], [b"a", b"b", b"c", b"d"], [b"a", b"b", b"c", b"d", b"e"]])
def test_a_message_of_another_length_is_never_taken_for_one_of_three(
    context: zmq.Context[Socket], sent: list[bytes]
) -> None:
    good = [b"book.aster.BTC-PERP", b"header", b"payload"]
    with context.socket(zmq.PAIR) as out, context.socket(zmq.PAIR) as into:
        out.bind("inproc://pair")
        into.connect("inproc://pair")
        for message in (good, sent, good, good):
            out.send_multipart(message)
        assert receive(into) == good
        assert receive(into) in (sent, [*sent, *good]), "alone, or together with what follows"
        assert receive(into) == good
        out.send_multipart(sent)
        while True:
            try:
                last = receive(into)
            except zmq.Again:
                break
        assert last == sent
