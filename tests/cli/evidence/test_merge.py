"""Log lines of many processes in one order."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from cli.evidence.merge import HOLD_MS, Merger


def line(ms: int, words: str = "x") -> bytes:
    stamp = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"time={stamp} level=info event={words}".encode()


@given(st.lists(st.lists(st.integers(0, 10_000)), min_size=1, max_size=4))
def test_whatever_the_order_of_reading_lines_come_out_in_time_order(logs: list[list[int]]) -> None:
    merger = Merger()
    for number, times in enumerate(logs):
        for ms in sorted(times):
            merger.take(f"p{number}", line(ms), 0)
    expected = sorted(line(ms) for times in logs for ms in times)
    assert merger.rest() == expected


def test_lines_are_held_back_for_older_ones_of_others() -> None:
    merger = Merger()
    merger.take("runner", line(5_000, "late"), 5_000)
    assert merger.due(5_000 + HOLD_MS - 1) == []
    merger.take("aster", line(4_900, "early"), 5_100)
    assert merger.due(5_000 + HOLD_MS) == [line(4_900, "early"), line(5_000, "late")]
    assert merger.rest() == []


def test_lines_of_one_process_at_the_same_time_keep_their_order() -> None:
    merger = Merger()
    for words in "abc":
        merger.take("aster", line(7, words), 0)
    assert merger.rest() == [line(7, words) for words in "abc"]


def test_a_traceback_stays_together_behind_its_line_and_says_whose_it_is() -> None:
    merger = Merger()
    merger.take("aster", line(1_000), 0)
    merger.take("aster", b"Traceback (most recent call last):", 9_000)
    merger.take("lighter", line(2_000), 0)
    merger.take("aster", b"ValueError: no", 9_000)
    start = b"time=1970-01-01T00:00:01.000Z process=aster | "
    assert merger.rest() == [
        line(1_000),
        start + b"Traceback (most recent call last):",
        start + b"ValueError: no",
        line(2_000),
    ]


def test_supervisords_local_times_are_understood() -> None:
    merger = Merger()
    local = datetime.fromtimestamp(1_795_306_553.5).strftime("%Y-%m-%d %H:%M:%S,500")  # noqa: DTZ006 - what it writes
    merger.take("supervisord", f"{local} INFO spawned".encode(), 0)
    [out] = merger.rest()
    assert out.startswith(b"time=2026-11-22T00:15:53.500Z process=supervisord | ")


def test_a_line_without_any_time_has_that_of_reading() -> None:
    merger = Merger()
    merger.take("simulator", b"simulator: control", 1_500)
    assert merger.rest() == [b"time=1970-01-01T00:00:01.500Z process=simulator | simulator: control"]
