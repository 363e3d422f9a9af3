"""supervisord's event stream is cut into notices however its bytes arrive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.protocol import Notice, Reader, death_in_log

PAYLOAD = b"processname:aster groupname:connectors from_state:RUNNING expected:0 pid:2766"
HEADER = b"ver:3.0 server:paraphina serial:21 pool:sentinel poolserial:10 eventname:PROCESS_STATE_EXITED len:%d\n"
EVENT = HEADER % len(PAYLOAD) + PAYLOAD


@given(st.lists(st.integers(1, 60), max_size=30))
def test_any_cut_of_the_stream_gives_the_same_notices(cuts: list[int]) -> None:
    stream = EVENT * 3
    reader, found = Reader(), []
    for cut in [*cuts, len(stream)]:
        found += reader.feed(stream[:cut])
        stream = stream[cut:]
    assert [(notice.name, notice.program, notice.tokens["pid"]) for notice in found] == [
        ("PROCESS_STATE_EXITED", "connectors:aster", "2766")
    ] * 3


def test_an_event_about_no_process_names_no_program() -> None:
    payload = b"when:1201063880"
    stream = b"ver:3.0 serial:1 eventname:TICK_5 len:%d\n" % len(payload) + payload
    assert Reader().feed(stream) == [Notice("TICK_5", {"when": "1201063880"})]
    assert Notice("TICK_5", {}).program is None


def test_a_stream_out_of_step_is_an_error() -> None:
    with pytest.raises(ValueError, match="not an event header"):
        Reader().feed(b"pid:2766 whatever\n")


def test_the_log_tells_how_a_process_ended() -> None:
    log = (
        "2026-11-21 10:00:00,1 WARN exited: aster (exit status 1; not expected)\n"
        "2026-11-21 10:00:05,1 INFO spawned: 'aster' with pid 7\n"
        "2026-11-21 10:00:09,1 WARN exited: aster (terminated by SIGKILL; not expected)\n"
        "2026-11-21 10:00:09,1 WARN exited: lighter (exit status 3; not expected)\n"
    )
    assert death_in_log(log, "aster") == "terminated by SIGKILL"
    assert death_in_log(log, "lighter") == "exit status 3"
    assert death_in_log(log, "paradex") is None
