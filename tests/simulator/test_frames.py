"""What leaves a connection, and the hook that passes everything."""

import pytest

from simulator.frames import Connection, Frame, Hook, Op, Send, wire


@pytest.mark.parametrize(
    ("size", "head"),
    [(5, b"\x81\x05"), (125, b"\x81\x7d"), (126, b"\x81\x7e\x00\x7e"), (70_000, b"\x81\x7f" + (70_000).to_bytes(8))],
)
def test_wire_frames_have_the_length_forms_of_the_rfc(size: int, head: bytes) -> None:
    assert wire(Frame(b"x" * size, "delta")) == head + b"x" * size


def test_wire_frames_carry_their_opcode() -> None:
    assert wire(Frame(b"", "ping", op=Op.PING)) == b"\x89\x00"
    assert wire(Frame(b"\x03\xe8", "close", op=Op.CLOSE)) == b"\x88\x02\x03\xe8"


def test_the_plain_hook_passes_everything() -> None:
    hook, frame = Hook(), Frame(b"{}", "delta", "BTC-PERP")
    assert hook.idle
    connection = Connection(1, "aster", "/ws", "", 0.0)
    assert hook.outgoing(connection, frame, 0.0) == (Send(frame),)
    assert hook.opened(connection, 0.0) == ()
    assert hook.incoming(connection, "x", 0.0) is None
    assert not hook.active("f1")
    assert hook.handshake("aster", "/ws", 0.0) is None
    assert hook.rest("aster", "/x", 0.0) is None


def test_market_data_is_told_from_control() -> None:
    assert Frame(b"", "delta").is_market_data
    assert not Frame(b"", "pong").is_market_data
    assert Frame(b"a", "bbo", "X").with_data(b"b") == Frame(b"b", "bbo", "X")
