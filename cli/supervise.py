"""supervisord from the command line's side: which configuration, is it running, start, ask, stop."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import xmlrpc.client
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
"""The checkout: supervisord.conf, the settings files and .venv are here."""

LIVE_CONF: Final = ROOT / "supervisord.conf"
SIM_CONF: Final = ROOT / "supervisord.sim.conf"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self.timeout)
            sock.connect(self._path)
        except OSError:
            sock.close()
            raise
        self.sock = sock


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__()
        self._path = path
        self._timeout = timeout
        # Where the base class keeps, and closes, the one connection.
        self._connection: Any = None

    def make_connection(self, host: str) -> http.client.HTTPConnection:  # type: ignore[override]
        if self._connection is None or self._connection[1] is None:
            self._connection = host, _UnixConnection(self._path, self._timeout)
        connection: http.client.HTTPConnection = self._connection[1]
        return connection


class Supervisor:
    """The supervisord whose control socket is in a run directory."""

    def __init__(self, run_dir: Path, timeout: float = 10.0) -> None:
        self.socket = run_dir / "supervisor.sock"
        self._transport = _UnixTransport(str(self.socket), timeout)
        self._rpc: Any = xmlrpc.client.ServerProxy("http://localhost", transport=self._transport).supervisor

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        self._transport.close()

    def pid(self) -> int | None:
        """Its process id, ``None`` when nobody answers on the socket."""
        try:
            return int(self._rpc.getPID())
        except (OSError, xmlrpc.client.Error, http.client.HTTPException):
            return None

    def programs(self) -> list[dict[str, Any]]:
        """``getAllProcessInfo`` of supervisord's own interface."""
        found: list[dict[str, Any]] = self._rpc.getAllProcessInfo()
        return found

    def start_all(self) -> None:
        """Start what is not running, without waiting for it."""
        self._rpc.startAllProcesses(False)  # noqa: FBT003 - XML-RPC has no keywords

    def start(self, program: str) -> None:
        """Start one program by ``group:name`` without waiting for it."""
        self._rpc.startProcess(program, False)  # noqa: FBT003 - XML-RPC has no keywords

    def stop(self, program: str) -> None:
        """Stop one program and wait for its end."""
        self._rpc.stopProcess(program)

    def shutdown(self) -> None:
        """Have it stop its programs and then itself."""
        self._rpc.shutdown()


def launch(conf: Path) -> str | None:
    """Start supervisord in the background. What it said when it would not start, else ``None``."""
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(conf)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return None if done.returncode == 0 else (done.stderr or done.stdout).strip()
