"""Frames come out whole however their bytes arrive, and every way a connection can end has its own word."""

from __future__ import annotations

import select
import socket
import struct
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import websocket
from hypothesis import given
from hypothesis import strategies as st
from websocket import ABNF

from bus.errors import TransportError
from connectors.session import ConnectTimeout, FrameTooLarge, Session, UpgradeRefused, close_text, connect

LIMIT = 65_536


def server_frame(payload: bytes, opcode: int = ABNF.OPCODE_TEXT, *, fin: bool = True) -> bytes:
    """A frame as servers send it: not masked."""
    first = (0x80 if fin else 0) | opcode
    if len(payload) < 126:
        return bytes([first, len(payload)]) + payload
    if len(payload) < 65_536:
        return struct.pack("!BBH", first, 126, len(payload)) + payload
    return struct.pack("!BBQ", first, 127, len(payload)) + payload


@contextmanager
def session() -> Iterator[tuple[Session, socket.socket]]:
    """An open session and the venue's end of its socket."""
    ours, theirs = socket.socketpair()
    ws = websocket.WebSocket(enable_multithread=False, skip_utf8_validation=True)
    ws.sock, ws.connected = ours, True
    made = Session(ws, LIMIT)
    try:
        yield made, theirs
    finally:
        theirs.close()
        made.close()


def drain(made: Session) -> list[tuple[int, bytes]]:
    """Read until there is nothing, and take what has come whole as the shell does."""
    found: list[tuple[int, bytes]] = []
    while readable(made):
        made.fill()
        while True:
            if ready := made.ready(3):
                assert len(ready) <= 3
                found += ready
            elif (frame := made.next()) is not None:
                found.append(frame)
            else:
                break
    return found


def readable(made: Session) -> bool:
    return bool(select.select([made], [], [], 0.0)[0])


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=8), st.lists(st.integers(1, 50), max_size=40))
def test_frames_cut_anywhere_come_out_whole_and_in_order(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(server_frame(payload) for payload in payloads)
    with session() as (made, venue):
        found = []
        for cut in [*cuts, len(stream)]:
            venue.sendall(stream[:cut])
            stream = stream[cut:]
            found += drain(made)
        assert found == [(ABNF.OPCODE_TEXT, payload) for payload in payloads]


def test_a_read_takes_no_more_memory_than_what_came() -> None:
    with session() as (made, venue):
        venue.sendall(server_frame(b"x" * 100))
        tracemalloc.start()
        try:
            made.fill()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 4_096
        assert made.next() == (ABNF.OPCODE_TEXT, b"x" * 100)


KINDS = (ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY, ABNF.OPCODE_PONG)
MESSAGES = st.lists(
    st.tuples(st.sampled_from(KINDS), st.lists(st.integers(0, 400), min_size=1, max_size=3)), min_size=1, max_size=8
)


@given(MESSAGES, st.lists(st.integers(1, 90), max_size=40))
def test_whole_and_fragmented_messages_may_take_turns(messages: list[tuple[int, list[int]]], cuts: list[int]) -> None:
    stream, expected = b"", []
    for opcode, sizes in messages:
        parts = [bytes(size % 256 for _ in range(size)) for size in sizes[: 1 if opcode == ABNF.OPCODE_PONG else 3]]
        parts = [part[:125] for part in parts] if opcode == ABNF.OPCODE_PONG else parts
        for number, part in enumerate(parts):
            stream += server_frame(part, ABNF.OPCODE_CONT if number else opcode, fin=number == len(parts) - 1)
        expected.append((opcode, b"".join(parts)))
    with session() as (made, venue):
        found = []
        for cut in [*cuts, len(stream)]:
            venue.sendall(stream[:cut])
            stream = stream[cut:]
            found += drain(made)
        assert found == expected


@pytest.mark.parametrize(
    "frames",
    [
        server_frame(b"a", fin=False) + server_frame(b"whole"),
        bytes([0x81, 0x85]) + bytes(4) + b"abcde" + bytes([0xC1, 1]) + b"x",
        bytes([0xC1, 1]) + b"x",
        server_frame(b"b", ABNF.OPCODE_CONT),
        bytes([0x83, 1]) + b"x",
    ],
    ids=["message inside a message", "compressed after masked", "reserved bit", "continues nothing", "unknown opcode"],
)
def test_a_violation_is_not_mistaken_for_a_whole_message(frames: bytes) -> None:
    with session() as (made, venue):
        venue.sendall(frames)
        with pytest.raises(TransportError):
            drain(made)


def test_sizes_at_the_edges_of_the_header_come_out_whole() -> None:
    payloads = [b"x" * size for size in (0, 1, 125, 126, 127, 65_535, 65_536)]
    with session() as (made, venue):
        thread = threading.Thread(target=venue.sendall, args=(b"".join(map(server_frame, payloads)),))
        thread.start()
        found: list[tuple[int, bytes]] = []
        while len(found) < len(payloads):
            found += drain(made)
        thread.join()
        assert [payload for _, payload in found] == payloads


def test_a_message_longer_than_the_limit_is_refused_in_its_short_form_too() -> None:
    ours, theirs = socket.socketpair()
    ws = websocket.WebSocket(enable_multithread=False, skip_utf8_validation=True)
    ws.sock, ws.connected = ours, True
    made = Session(ws, 200)
    theirs.sendall(server_frame(b"x" * 201))
    with pytest.raises(FrameTooLarge):
        drain(made)
    theirs.close()
    made.close()


def test_nothing_to_read_is_no_frame_and_no_error() -> None:
    with session() as (made, _):
        assert drain(made) == []


def test_binary_frames_and_fragments_are_told_as_messages() -> None:
    with session() as (made, venue):
        venue.sendall(server_frame(b"\x00\xff", ABNF.OPCODE_BINARY))
        venue.sendall(server_frame(b"ab", fin=False) + server_frame(b"cd", ABNF.OPCODE_CONT))
        assert drain(made) == [(ABNF.OPCODE_BINARY, b"\x00\xff"), (ABNF.OPCODE_TEXT, b"abcd")]


def test_a_ping_is_answered_with_its_payload_and_told() -> None:
    with session() as (made, venue):
        venue.sendall(server_frame(b"hello", ABNF.OPCODE_PING))
        assert drain(made) == [(ABNF.OPCODE_PING, b"hello")]
        answer = venue.recv(100)
        assert answer[0] == 0x80 | ABNF.OPCODE_PONG
        assert ABNF.mask(answer[2:6], answer[6:]) == b"hello"


def test_text_and_pings_of_ours_go_out_masked() -> None:
    with session() as (made, venue):
        made.send("subscribe")
        made.ping()
        sent = venue.recv(100)
        assert sent[:2] == bytes([0x81, 0x80 | 9])
        assert ABNF.mask(sent[2:6], sent[6:15]) == b"subscribe"
        assert sent[15] == 0x80 | ABNF.OPCODE_PING


def test_a_frame_that_announces_too_much_ends_the_connection_before_it_is_read() -> None:
    with session() as (made, venue):
        venue.sendall(struct.pack("!BBQ", 0x81, 127, 2**40))
        made.fill()
        with pytest.raises(FrameTooLarge, match="max_frame_bytes is 65536"):
            made.next()


def test_fragments_that_add_up_to_too_much_end_the_connection() -> None:
    with session() as (made, venue):
        part = b"x" * 40_000
        venue.sendall(server_frame(part, fin=False) + server_frame(part, ABNF.OPCODE_CONT))
        with pytest.raises(FrameTooLarge, match="in fragments"):
            drain(made)


def test_garbage_instead_of_frames_is_a_transport_error() -> None:
    with session() as (made, venue):
        venue.sendall(b"\xff\xff HTTP/1.1 500 Oops")
        made.fill()
        with pytest.raises(TransportError):
            made.next()


def test_an_end_without_a_close_frame_is_told() -> None:
    with session() as (made, venue):
        venue.close()
        with pytest.raises(TransportError, match="without a close frame"):
            made.fill()


def test_a_reset_is_told() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    ours = socket.create_connection(listener.getsockname())
    theirs, _ = listener.accept()
    ws = websocket.WebSocket(enable_multithread=False, skip_utf8_validation=True)
    ws.sock, ws.connected = ours, True
    made = Session(ws, LIMIT)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    listener.close()
    with pytest.raises(TransportError, match="read"):
        made.fill()
    with pytest.raises(TransportError, match="send"):
        made.send("x" * 100)
    made.close()


def test_a_close_frame_is_told_with_its_code() -> None:
    with session() as (made, venue):
        venue.sendall(server_frame(struct.pack("!H", 1000) + b"Expired", ABNF.OPCODE_CLOSE))
        opcode, payload = drain(made)[0]
        assert (opcode, close_text(payload)) == (ABNF.OPCODE_CLOSE, "1000 Expired")
        assert close_text(b"") == "no close code"


def test_a_venue_that_no_longer_reads_is_a_failed_send_and_not_a_wait() -> None:
    def fill_the_socket(made: Session) -> None:
        for _ in range(10_000):
            made.send("x" * 1_000)

    with session() as (made, _), pytest.raises(TransportError, match="send"):
        fill_the_socket(made)


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A TCP server that answers one connection and is gone."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            answer(peer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"ws://127.0.0.1:{listener.getsockname()[1]}/path"
    thread.join(10)
    listener.close()


def reply(text: bytes) -> Callable[[socket.socket], None]:
    def answer(peer: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += peer.recv(4096)
        assert b"user-agent: desk/1\r\n" in request.lower()
        assert b"origin" not in request.lower()
        peer.sendall(text)

    return answer


def attempt(url: str, timeout_s: float = 10.0) -> Session:
    return connect(url, {"User-Agent": "desk/1"}, timeout_s=timeout_s, max_frame_bytes=LIMIT, tls=None)


def test_a_refused_upgrade_tells_status_headers_and_body() -> None:
    text = b"HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nslow"
    with server(reply(text)) as url, pytest.raises(UpgradeRefused) as caught:
        attempt(url)
    assert (caught.value.status, caught.value.headers["retry-after"], caught.value.body) == (429, "7", b"slow")


def test_an_answer_that_is_no_http_is_a_transport_error() -> None:
    with server(reply(b"nonsense\r\n\r\n")) as url, pytest.raises(TransportError):
        attempt(url)


def test_a_server_that_accepts_and_says_nothing_is_a_timeout() -> None:
    release = threading.Event()

    def say_nothing(_: socket.socket) -> None:
        release.wait(10)

    with server(say_nothing) as url:
        with pytest.raises(ConnectTimeout, match=r"no answer within 0\.2 s"):
            attempt(url, 0.2)
        release.set()


def test_nobody_listening_is_a_transport_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(TransportError, match="refused"):
        attempt(f"ws://127.0.0.1:{port}/")
