"""What log lines say."""

from __future__ import annotations

import pytest

from cli.evidence.logs import LogScan, RxScan, read_word, time_of
from runner.audit import text
from runner.rxstats import RxStats
from tests.cli.evidence.runs import rx_lines

AT = b"time=2026-11-22T00:14:57.004Z level=info process=runner event="


def log(*lines: bytes, whole_run: bool = True) -> LogScan:
    found = LogScan(whole_run=whole_run)
    found.feed(line + b"\n" for line in lines)
    return found


def test_audit_lines_are_read_as_the_runner_writes_them() -> None:
    found = log(
        AT + text({"venue": "aster", "reconnect_reason": "seq_gap", "count": 2}).encode(),
        AT + text({"component": "market_publisher", "mp_try_send_full_count": 0}).encode(),
        AT + text({"component": "market_publisher", "mp_lossless_wait_count": 10}).encode(),
    )
    assert found.audit.reconnects() == {"aster": {"seq_gap": 2}}
    assert found.audit.pressure() == {"mp_try_send_full_count": 0, "mp_lossless_wait_count": 10}
    assert found.audit.lines == 3


def test_audit_counts_that_begin_anew_go_on_adding() -> None:
    counts = [b"WS_AUDIT venue=aster reconnect_reason=seq_gap count=%d" % count for count in (1, 3, 1)]
    assert log(*counts).audit.reconnects() == {"aster": {"seq_gap": 4}}
    assert log(*counts, whole_run=False).audit.reconnects() == {"aster": {"seq_gap": 3}}


@pytest.mark.parametrize("line", [b"WS_AUDIT", b"WS_AUDIT venue=aster count=x", b"something else"])
def test_other_lines_are_no_audit(line: bytes) -> None:
    assert log(line).audit.lines == 0


def test_a_connectors_trouble_is_told_in_its_own_words() -> None:
    line = (
        "time=2026-11-22T00:15:53.119Z level=warning process=connectors:aster venue=aster event=reconnect conn=main "
        'reason=stream_ended count=1 detail="closed by the venue" wait_ms=3839'
    )
    word = read_word(line)
    assert word is not None
    assert (word.venue, word.event, word.market, word.trouble) == ("aster", "reconnect", None, True)
    assert word.words == "conn=main reason=stream_ended detail=closed by the venue"
    assert word.at_ms == 1_795_306_553_119


def test_states_are_kept_and_chatter_is_not() -> None:
    connector = b"time=2026-11-22T00:15:53.119Z level=info process=connectors:aster venue=aster event="
    found = log(connector + b"live market=BTC-PERP was=stale", connector + b"connected conn=main", b"no venue=x here")
    assert [(word.event, word.market, word.trouble) for word in found.words] == [("live", "BTC-PERP", False)]


def test_words_beyond_the_most_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.evidence.logs.MAX_MOMENTS", 1)
    line = b"time=2026-11-22T00:15:53.119Z level=info process=connectors:aster venue=aster event=live"
    found = log(line, line, line)
    assert (len(found.words), found.left_out) == (1, 2)


def test_a_traceback_is_told_with_its_process() -> None:
    found = log(b"time=2026-11-22T00:15:53.119Z process=publisher | Traceback (most recent call last):")
    assert [(moment.who, moment.what) for moment in found.tracebacks] == [("publisher", "traceback")]
    assert found.tracebacks[0].at_ms == 1_795_306_553_119


@pytest.mark.parametrize(
    ("line", "at_ms"),
    [
        ("time=1970-01-01T00:00:01.500Z level=info", 1_500),
        ('{"time": "1970-01-01T00:00:01.500Z"}', 1_500),
        ('{"time":"1970-01-01T00:00:01.500Z"}', 1_500),
        ("time=yesterdayZ", None),
        ("File spam.py, line 3", None),
    ],
)
def test_the_time_of_a_line(line: str, at_ms: float | None) -> None:
    assert time_of(line) == at_ms


def test_cap_hits_are_read_as_the_runner_writes_them() -> None:
    found = RxScan(whole_run=True)
    found.feed([RxStats().line(tick, hits).encode() + b"\n" for tick, hits in enumerate([0, 1, 3])])
    assert (found.lines, found.cap_hits, found.other) == (3, 3, 0)


def test_no_line_tells_of_no_cap_hits_at_all() -> None:
    found = RxScan(whole_run=True)
    found.feed([b"hello\n"])
    assert (found.cap_hits, found.other) == (None, 1)
    found.feed(rx_lines(2).splitlines(keepends=True))
    assert found.cap_hits == 0
