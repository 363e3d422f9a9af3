"""Records as rows that people and other programs read."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

from cli.capture.runs import Run
from connectors import capture
from connectors.capture import INPUTS, Record

IN: Final = "in"
OUT: Final = "out"
SELF: Final = "-"


class Row(msgspec.Struct, frozen=True):
    """One record. A record without clocks has those of the call that it belongs to."""

    venue: str
    wall_ns: int
    mono_ns: int
    direction: str
    """``in`` from the venue, ``out`` to it, ``-`` what the connector noted of itself."""
    kind: str
    conn: str
    """``generation/connection``; of a REST answer the generation; empty where it concerns none."""
    data: bytes
    """The frame, the text sent, the body; else a few words."""
    binary: bool = False
    about: str = ""
    """What a REST call was, why a connection was lost …"""


def rows(run: Run) -> Iterator[Row]:
    """Every record of a run that says something: not the engine's waking up, not checksums."""
    wall = mono = 0
    for record in run.records():
        if isinstance(record, INPUTS):
            wall, mono = record.wall, record.mono
        told = _told(record)
        if told is not None:
            direction, conn, data, about = told
            binary = isinstance(record, capture.Received) and record.binary
            kind = type(record).__name__.lower()
            yield Row(run.header.venue, wall, mono, direction, kind, conn, data, binary, about)


def _told(record: Record) -> tuple[str, str, bytes, str] | None:
    """Direction, connection, data, and what else there is to say."""
    match record:
        case capture.Received(key=key, frame=frame):
            return IN, key, frame, ""
        case capture.Sent(key=key, text=text, problem=problem):
            return OUT, key, text.encode(), problem or ""
        case capture.Fetched(key=key, request=request, reply=reply):
            return IN, key, reply.body, f"{request.method} {_url(request.url, request.params)} {reply.outcome}"
        case capture.Woken() | capture.Checked() | capture.Checkpoint():
            return None
        case _:
            return _seldom(record)


def _seldom(record: Record) -> tuple[str, str, bytes, str]:
    match record:
        case capture.Tried(key=key, url=url):
            return OUT, key, b"", url
        case capture.Pinged(key=key, problem=problem):
            return OUT, key, b"", problem or ""
        case capture.Opened(key=key) | capture.Ponged(key=key):
            return IN, key, b"", ""
        case capture.Refused(key=key, refusal=refusal):
            return IN, key, refusal.body, f"{refusal.reason} {refusal.detail}"
        case capture.Lost(key=key, reason=reason, detail=detail):
            return IN, key, b"", f"{reason} {detail}"
        case capture.Torn(records=records, why=why):
            return SELF, "", b"", f"{'' if records is None else f'{records} records missing: '}{why}"
        case _:
            return SELF, "", b"", ""


def _url(url: str, params: tuple[tuple[str, str], ...]) -> str:
    return url + ("?" + "&".join(f"{name}={value}" for name, value in params) if params else "")


def as_json(row: Row) -> bytes:
    """One JSON line. Bytes that are no text are in ``base64`` instead of ``data``."""
    tree: dict[str, object] = {
        "time": datetime.fromtimestamp(row.wall_ns / 1e9, UTC).isoformat(timespec="microseconds"),
        "wall_ns": row.wall_ns,
        "mono_ns": row.mono_ns,
        "venue": row.venue,
        "direction": row.direction,
        "kind": row.kind,
        "conn": row.conn,
    }
    if row.about:
        tree["about"] = row.about
    if row.data:
        text = None if row.binary else _text(row.data)
        tree |= {"base64": b64encode(row.data).decode()} if text is None else {"data": text}
    return msgspec.json.encode(tree)


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
