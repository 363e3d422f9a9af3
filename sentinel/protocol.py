"""supervisord's event listener protocol: header lines, payloads, and the answers it waits for.

Format: https://supervisord.org/events.html, protocol 3.0.
"""

from __future__ import annotations

from typing import Final

import msgspec

READY: Final = b"READY\n"
OK: Final = b"RESULT 2\nOK"


class Notice(msgspec.Struct, frozen=True):
    """One event: its name, such as ``PROCESS_STATE_EXITED``, and the tokens of its payload."""

    name: str
    tokens: dict[str, str]

    @property
    def program(self) -> str | None:
        """``group:name`` of the process concerned, ``None`` for events about no process."""
        if "processname" not in self.tokens:
            return None
        return f"{self.tokens.get('groupname', '')}:{self.tokens['processname']}"


class Reader:
    """Cuts the byte stream of supervisord into notices."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> list[Notice]:
        """Notices that are complete with these bytes. Raises ValueError on a line that is no header: out of step."""
        self._data += data
        found = []
        while (end := self._data.find(b"\n")) >= 0:
            header = _tokens(self._data[:end])
            if "len" not in header or "eventname" not in header:
                raise ValueError(f"not an event header: {self._data[:end][:200]!r}")
            size = int(header["len"])
            if len(self._data) < end + 1 + size:
                break
            payload = self._data[end + 1 : end + 1 + size]
            self._data = self._data[end + 1 + size :]
            found.append(Notice(header["eventname"], _tokens(payload.split(b"\n", 1)[0])))
        return found


def _tokens(line: bytes) -> dict[str, str]:
    pairs = (token.partition(":") for token in line.decode(errors="replace").split())
    return {key: value for key, _, value in pairs}


def death_in_log(log: str, name: str) -> str | None:
    """How a process ended, by the last line of supervisord's log about it (``terminated by SIGKILL``)."""
    marker = f"exited: {name} ("
    at = log.rfind(marker)
    if at < 0:
        return None
    words = log[at + len(marker) :].split("\n", 1)[0]
    return words.partition(";")[0].rstrip(") \r")
