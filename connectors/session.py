"""One WebSocket connection: websocket-client for handshake and framing, our own reading underneath it.

As it comes, websocket-client makes three small reads a frame and validates UTF-8 in Python: 3,700 frames/s. Here the
socket is read 64 kB at a time without blocking, and the library's frame buffer is served from memory; when half a
frame is there, the library keeps what it has parsed and goes on with the next bytes. TLS stays the library's.

Nearly all frames of a venue are whole, unmasked messages. Those are cut out where they lie, for 0.5 µs instead of the
library's 4.7; everything else (fragments, control frames, violations, half a frame) is the library's to judge.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final

import websocket
from websocket import ABNF
from websocket._abnf import frame_buffer

from bus.errors import TransportError

READ_BYTES: Final = 65_536
"""Taken from the socket at once."""
_BUFFER: Final = memoryview(bytearray(READ_BYTES))
"""Where every read of the main thread goes: a new buffer for each, cut down to what came, leaves holes in the heap that
nothing fits into, and the process grows for hours (seen: 36 MB in one)."""
_PLAIN: Final = frozenset({0x81, 0x82})
"""First byte of a whole message, text or binary, without reserved bits."""
_SIZE_IN_2: Final = 126
_SIZE_IN_8: Final = 127


class FrameTooLarge(TransportError):  # noqa: N818
    """A frame announces more bytes than the setting allows."""


class _Starved(Exception):  # noqa: N818
    """Not enough bytes yet; the library's half-parsed state is kept."""


class _MemoryFrameBuffer(frame_buffer):
    """The library's frame parser, reading from memory. ``recv_strict`` is its only way to bytes."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(self._refuse, skip_utf8_validation=True)
        self._data = b""
        self._at = 0
        self._max_bytes = max_bytes

    @staticmethod
    def _refuse(_: int) -> bytes:
        raise AssertionError("reads go through recv_strict")

    def feed(self, data: memoryview) -> None:
        """Append a copy of what came from the socket."""
        self._data = self._data[self._at :] + data
        self._at = 0

    def is_empty(self) -> bool:
        """Whether everything fed has been taken: then even a frame that was begun needs more."""
        return self._at == len(self._data)

    def plain(self, most: int) -> list[tuple[int, bytes]]:
        """The next frames, as (opcode, payload), up to the first that is not all there or not a message by itself.

        To be asked only between two messages: the library may hold the beginning of a fragmented one.
        """
        found: list[tuple[int, bytes]] = []
        data, at, end = self._data, self._at, len(self._data)
        if self.header is not None:
            return found
        while len(found) < most and at + 2 <= end and (first := data[at]) in _PLAIN:
            size, start = data[at + 1], at + 2
            if size == _SIZE_IN_2:
                start = at + 4
                size = int.from_bytes(data[at + 2 : start], "big")
            elif size >= _SIZE_IN_8:
                # Masked, which is a violation, or so long that the library's pace is good enough.
                break
            if start + size > end or size > self._max_bytes:
                break
            at = start + size
            found.append((first & 0x0F, data[start:at]))
        self._at = at
        return found

    def recv_strict(self, bufsize: int) -> bytes:
        """Exactly so many bytes, or _Starved with nothing taken."""
        start = self._at
        end = start + bufsize
        if end > len(self._data):
            if bufsize > self._max_bytes:
                raise FrameTooLarge(f"a frame of {bufsize} bytes; max_frame_bytes is {self._max_bytes}")
            raise _Starved
        self._at = end
        return self._data[start:end]


class Session:
    """An open connection, not blocking. Made by ``connect`` on a worker, then owned by the main thread alone."""

    def __init__(self, ws: websocket.WebSocket, max_frame_bytes: int) -> None:
        self._ws = ws
        self._frames = _MemoryFrameBuffer(max_frame_bytes)
        self._max_bytes = max_frame_bytes
        ws.frame_buffer = self._frames
        self._continued = ws.cont_frame
        if ws.sock is None:
            raise TransportError("the socket is already closed")
        self._sock = ws.sock
        self._sock.settimeout(0.0)
        self._pending = getattr(self._sock, "pending", None)

    def fileno(self) -> int:
        """Descriptor to poll for reading."""
        return int(self._sock.fileno())

    def fill(self) -> bool:
        """Read once what the socket has. True when TLS holds more that polling would not show.

        Raises TransportError when the connection is over.
        """
        try:
            count = self._sock.recv_into(_BUFFER)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError as error:
            raise TransportError(f"read: {error}") from None
        if not count:
            raise TransportError("closed by the venue without a close frame")
        self._frames.feed(_BUFFER[:count])
        return self._pending is not None and self._pending() > 0

    def ready(self, most: int) -> list[tuple[int, bytes]]:
        """Whole messages that lie ready, in order, as (opcode, payload); when there are none, ``next`` says why."""
        return self._frames.plain(most) if self._continued.cont_data is None else []

    def next(self) -> tuple[int, bytes] | None:
        """The next whole message or control frame as (opcode, payload), ``None`` until more bytes have come.

        Pings have been answered. Raises TransportError on a protocol violation or an oversized message.
        """
        if self._frames.is_empty():
            return None
        try:
            opcode, data = self._ws.recv_data_frame(control_frame=True)
        except _Starved:
            return None
        except FrameTooLarge:
            raise
        except (websocket.WebSocketException, OSError, ValueError) as error:
            raise TransportError(f"{type(error).__name__}: {error}") from None
        payload: bytes = data.data
        if len(payload) > self._max_bytes:
            raise FrameTooLarge(f"a message of {len(payload)} bytes in fragments; max_frame_bytes is {self._max_bytes}")
        return opcode, payload

    def send(self, text: str) -> None:
        """Send one text frame at once. Raises TransportError; a full socket means that the venue no longer reads."""
        self._send(text, ABNF.OPCODE_TEXT)

    def ping(self) -> None:
        """Send a ping control frame. Raises TransportError."""
        self._send("", ABNF.OPCODE_PING)

    def _send(self, text: str, opcode: int) -> None:
        try:
            self._ws.send(text, opcode)
        except (websocket.WebSocketException, OSError) as error:
            raise TransportError(f"send: {type(error).__name__}: {error}") from None

    def close(self) -> None:
        """Say goodbye if that is possible without waiting, and free the descriptor."""
        try:
            self._ws.send_close()
        except (websocket.WebSocketException, OSError, ValueError):
            pass
        finally:
            self._ws.shutdown()  # type: ignore[no-untyped-call]


def close_text(payload: bytes) -> str:
    """Code and reason of a close frame, for a log line."""
    if len(payload) < 2:  # noqa: PLR2004
        return "no close code"
    return f"{int.from_bytes(payload[:2], 'big')} {payload[2:].decode(errors='replace')}".strip()


def connect(
    url: str, headers: Mapping[str, str], *, timeout_s: float, max_frame_bytes: int, tls: ssl.SSLContext | None
) -> Session:
    """TCP, TLS and upgrade, blocking for at most about ``timeout_s`` a step. To be called on a worker.

    Raises TransportError; ``status`` is set when the venue answered the upgrade with something else than 101.
    """
    ws = websocket.WebSocket(
        sslopt={"context": tls} if tls is not None else None, enable_multithread=False, skip_utf8_validation=True
    )
    try:
        lines = [f"{name}: {value}" for name, value in headers.items()]
        ws.connect(url, timeout=timeout_s, header=lines, suppress_origin=True)  # type: ignore[no-untyped-call]
    except websocket.WebSocketBadStatusException as error:
        answered = {key.lower(): value for key, value in (error.resp_headers or {}).items()}
        body = error.resp_body or b""
        raise UpgradeRefused(str(error).split(" -+-+-")[0], error.status_code, body, answered) from None
    except (websocket.WebSocketTimeoutException, TimeoutError) as error:
        raise ConnectTimeout(f"no answer within {timeout_s:g} s: {error}") from None
    except ssl.SSLCertVerificationError as error:
        raise TransportError(f"certificate refused: {error.verify_message}; is ca_file right?") from None
    except (websocket.WebSocketException, OSError, ValueError) as error:
        raise TransportError(f"{type(error).__name__}: {error}") from None
    return Session(ws, max_frame_bytes)


class ConnectTimeout(TransportError):  # noqa: N818
    """The connection did not come about in time."""


class UpgradeRefused(TransportError):  # noqa: N818
    """The venue answered the upgrade with an HTTP status other than 101."""

    def __init__(self, problem: str, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(problem, status=status)
        self.body = body[:4096]
        self.headers = headers
