"""The HTTP server: uvicorn, with connections that can be cut and that cannot linger before they have asked anything."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractContextManager, nullcontext
from socket import AF_INET, AF_INET6, SO_SNDBUF, SOL_SOCKET, socket
from socket import create_server as listen
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from bus.errors import SettingsError, TransportError
from dashboard.stream import ABORT

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

MAX_CONNECTIONS: Final = 64
FIRST_REQUEST_S: Final = 10.0
SEND_BUFFER: Final = 65_536
ADDRESS_IN_USE: Final = 98
"""errno of Linux."""


class Connection(H11Protocol):
    """One connection. Its scope offers ``ABORT``, which drops it together with everything still to be written."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        # The kernel would grow this to megabytes for a peer that does not read, and hide for a minute that it does not.
        transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_SNDBUF, SEND_BUFFER)
        inner: Any = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await inner({**scope, ABORT: transport.abort}, receive, send)

        self.app = app
        self.loop.call_later(FIRST_REQUEST_S, self._asked)

    def _asked(self) -> None:
        if self.cycle is None:
            self.transport.abort()


class Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Nothing."""
        return nullcontext()


class _Handler(logging.Handler):
    """Uvicorn's warnings as lines of ours."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one."""
        self._log.warning("http_server", said=record.getMessage().strip(), exc_info=record.exc_info)


def bind(host: str, port: int) -> socket:
    """Listen. Raises SettingsError for an impossible address, TransportError for one in use."""
    try:
        return listen((host, port), family=AF_INET6 if ":" in host else AF_INET, backlog=64)
    except OSError as error:
        if error.errno == ADDRESS_IN_USE:
            raise TransportError(f"{host}:{port} is in use") from None
        raise SettingsError("dashboard.host", f"cannot listen on {host}:{port}: {error}") from None


def server(app: ASGIApp, log: FilteringBoundLogger) -> Server:
    """Server of the application; ``serve(sockets=[…])`` runs it until ``should_exit``."""
    for name in ("uvicorn", "uvicorn.error", "asyncio"):
        logging.getLogger(name).handlers = [_Handler(log)] if name != "uvicorn.error" else []
    logging.getLogger("uvicorn").propagate = False
    return Server(
        uvicorn.Config(
            app,
            loop="asyncio",
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
        )
    )
