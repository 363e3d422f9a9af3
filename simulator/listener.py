"""A listening port that can be made to refuse, swallow or drop connections, and to serve again on the same number."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from simulator.frames import Mode

BACKLOG = 512


def reset(transport: asyncio.BaseTransport) -> None:
    """End a connection with RST instead of FIN."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()


class _Mute(asyncio.Protocol):
    """Accepts and never answers, or ends what it accepted."""

    def __init__(self, mode: Mode, held: set[asyncio.BaseTransport]) -> None:
        self._mode = mode
        self._held = held
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._mode == "accept_close":
            transport.close()
        elif self._mode == "accept_reset":
            reset(transport)
        else:
            self._held.add(transport)
            self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._transport is not None:
            self._held.discard(self._transport)


class Listener:
    """One port. ``switch`` changes what happens to new connections; accepted ones are left alone."""

    def __init__(
        self, host: str, port: int, factory: Callable[[], asyncio.BaseProtocol], tls: ssl.SSLContext | None
    ) -> None:
        self._host = host
        self._factory = factory
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._placeholder: socket.socket | None = None
        self._held: set[asyncio.BaseTransport] = set()
        self._switching = asyncio.Lock()
        self.port = port
        self.mode: Mode = "refuse"

    async def switch(self, mode: Mode) -> None:
        """Take the port into another mode; a held black-hole connection ends when the mode ends."""
        async with self._switching:
            if mode != self.mode:
                await self._switch(mode)

    async def _switch(self, mode: Mode) -> None:
        await self.close()
        self.mode = mode
        sock = self._bind()
        if mode == "refuse":
            # Bound but not listening: connects are refused, and nobody else can take the number meanwhile.
            self._placeholder = sock
            return
        loop = asyncio.get_running_loop()
        if mode == "serve":
            self._server = await loop.create_server(self._factory, sock=sock, ssl=self._tls, backlog=BACKLOG)
        else:
            self._server = await loop.create_server(lambda: _Mute(mode, self._held), sock=sock, backlog=BACKLOG)

    def _bind(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((self._host, self.port))
        self.port = sock.getsockname()[1]
        return sock

    async def close(self) -> None:
        """Stop listening and end what a black hole holds."""
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None
        if self._server is not None:
            self._server.close()
            self._server = None
            await asyncio.sleep(0)
        for transport in list(self._held):
            reset(transport)
        self._held.clear()
        self.mode = "refuse"
