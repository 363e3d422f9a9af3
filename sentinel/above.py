"""The supervisord above the sentinel: its command, its control socket, and its resurrection."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from configparser import Error, RawConfigParser
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bus.sockets import private_dir
from sentinel.control import configuration, is_ours, wait_s

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_UNIX: Final = "unix://"
START_S: Final = 30.0
"""What a start may take until it has gone to the background."""


class Above:
    """Made while supervisord is alive; remembers how it was started."""

    def __init__(self, server_url: str, log: FilteringBoundLogger) -> None:
        self.pid = os.getppid()
        self._log = log
        self._socket = Path(server_url.removeprefix(_UNIX)) if server_url.startswith(_UNIX) else None
        self._born = time.monotonic()
        self._command: list[str] = []
        self._directory = "/"
        try:
            words = Path(f"/proc/{self.pid}/cmdline").read_bytes().split(b"\0")
            self._command = [os.fsdecode(word) for word in words[:-1]]
            self._directory = str(Path(f"/proc/{self.pid}/cwd").readlink())
        except OSError as error:
            log.warning("supervisord_unreadable", problem=str(error))

    @property
    def gone(self) -> bool:
        """Whether it is dead."""
        return os.getppid() != self.pid

    def reachable(self) -> bool:
        """Whether its control socket is where it was bound; one that is no file is not looked after."""
        return self._socket is None or self._socket.exists()

    def restart(self) -> None:
        """Have it stop everything, bind its socket anew and start everything; this process is part of that."""
        if self._socket is not None:
            private_dir(self._socket.parent)
        if not self.gone:
            os.kill(self.pid, signal.SIGHUP)

    def resurrect(self) -> str:
        """Start it again as it was started, for as long as it takes. What was done, in words."""
        if not is_ours(self._command, nodaemon=self._nodaemon()):
            return "it ran in the foreground: whoever started it has to start it again"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SUPERVISOR_")}
        uptime = time.monotonic() - self._born
        attempts = 0
        while True:
            time.sleep(wait_s(attempts, uptime))
            if self._answers():
                return "somebody else has started it again"
            problem = self._start(environment)
            if problem is None:
                return f"started again, attempt {attempts + 1}"
            attempts += 1
            self._log.error("supervisord_not_started", attempt=attempts, problem=problem)

    def _start(self, environment: dict[str, str]) -> str | None:
        try:
            done = subprocess.run(
                self._command,
                cwd=self._directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=START_S,
                check=False,
                start_new_session=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            return str(error)
        return None if done.returncode == 0 else (done.stderr or done.stdout).strip()[-500:]

    def _nodaemon(self) -> bool:
        """Whether its configuration keeps it in the foreground."""
        named = configuration(self._command)
        parser = RawConfigParser(inline_comment_prefixes=(";", " #"))
        try:
            if named is not None:
                parser.read(Path(self._directory) / named, encoding="utf-8")
            return parser.getboolean("supervisord", "nodaemon", fallback=False)
        except (Error, ValueError, OSError):
            return False

    def _answers(self) -> bool:
        """Whether somebody listens on the control socket."""
        if self._socket is None:
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self._socket))
            except OSError:
                return False
        return True
