"""Log lines: one a line, in order of use, and never a reason to stop or end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from select import PIPE_BUF
from typing import Literal

import pytest
import structlog

from bus.log import LineWriter, configure
from bus.settings import Log

TIME = r"time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


class Pipe:
    """A pipe whose reader may be slow or gone."""

    def __init__(self) -> None:
        self.reader, self.descriptor = os.pipe()
        self.writer = LineWriter(self.descriptor)

    def lines(self) -> list[str]:
        os.set_blocking(self.reader, False)
        try:
            return os.read(self.reader, 1_000_000).decode().splitlines()
        except BlockingIOError:
            return []


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    for descriptor in (pipe.reader, pipe.descriptor):
        try:
            os.close(descriptor)
        except OSError:
            continue


def test_a_line_has_time_level_process_venue_and_event(pipe: Pipe) -> None:
    log = configure("connectors:aster", "aster", writer=pipe.writer)
    log.info("live", after_ms=12, detail="two words", flag=True, nothing=None)
    log.warning("slow")
    first, second = pipe.lines()
    assert re.fullmatch(
        TIME + ' level=info process=connectors:aster venue=aster event=live after_ms=12 detail="two words"'
        " flag=true nothing=",
        first,
    )
    assert "level=warning process=connectors:aster venue=aster event=slow" in second


def test_a_process_without_a_venue_has_none(pipe: Pipe) -> None:
    configure("publisher", writer=pipe.writer).error("bad settings", problem='say "x"')
    (line,) = pipe.lines()
    assert re.fullmatch(TIME + r' level=error process=publisher event="bad settings" problem="say \\"x\\""', line)


def test_lines_can_be_json(pipe: Pipe) -> None:
    configure("publisher", settings=Log(format="json"), writer=pipe.writer).info("started", path=Path("/x"))
    line = json.loads(pipe.lines()[0])
    assert list(line) == ["time", "level", "process", "event", "path"]


def test_levels_below_the_least_are_not_written(pipe: Pipe) -> None:
    log = configure("publisher", settings=Log(level="warning"), writer=pipe.writer)
    log.info("quiet")
    log.warning("loud")
    assert len(pipe.lines()) == 1


def test_an_exception_stays_one_line(pipe: Pipe) -> None:
    log = configure("publisher", writer=pipe.writer)
    try:
        int("two\nlines")
    except ValueError:
        log.exception("failed")
    (line,) = pipe.lines()
    assert "ValueError: invalid literal" in line


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_what_a_terminal_would_obey_is_told_and_not_sent(pipe: Pipe, form: Literal["logfmt", "json"]) -> None:
    log = configure("runner", settings=Log(format=form), writer=pipe.writer)
    log.warning("bad_frame", sample="\x1b]0;title\x07 a\r\nb\x9b2J\x7f\x00")
    (line,) = pipe.lines()
    assert line.isprintable()
    assert "title" in line


def test_a_full_pipe_loses_lines_and_nothing_else(pipe: Pipe) -> None:
    for _ in range(20):
        pipe.writer.info("x" * 4_000)
    assert pipe.writer.lost > 0
    assert all(line == "x" * 4_000 for line in pipe.lines())


def test_a_long_line_on_a_pipe_is_cut_and_not_torn(pipe: Pipe) -> None:
    pipe.writer.info("x" * 3 * PIPE_BUF)
    (line,) = pipe.lines()
    assert line.endswith("...")
    assert len(line) == PIPE_BUF - 1


def test_a_reader_that_is_gone_is_no_error(pipe: Pipe) -> None:
    os.close(pipe.reader)
    pipe.writer.info("x")
    assert pipe.writer.lost == 1


def test_a_closed_descriptor_is_no_error(pipe: Pipe) -> None:
    os.close(pipe.descriptor)
    LineWriter(pipe.descriptor).info("x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_no_error() -> None:
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123  (unbuffered)
        writer = LineWriter(full.fileno())
        writer.info("x")
        assert writer.lost == 1


def test_long_lines_go_whole_into_a_file(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        LineWriter(file.fileno()).info("\udcff" + "x" * 3 * PIPE_BUF)
    assert len((tmp_path / "log").read_text().splitlines()[0]) == 3 * PIPE_BUF + len("\\udcff")


def test_starting_to_log_does_not_load_what_only_terminals_need() -> None:
    script = "import sys; from bus.log import configure; configure('x'); print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_first_line_after_a_loss_says_how_many_are_missing(pipe: Pipe) -> None:
    log = configure("publisher", writer=pipe.writer)
    while not pipe.writer.lost:
        log.info("much", text="x" * 3_000)
    log.info("more", text="x" * 3_000)
    assert "lines_lost" not in "".join(pipe.lines())
    assert pipe.writer.untold == 2
    log.info("again")
    log.info("well")
    again, well = pipe.lines()
    assert again.endswith("event=again lines_lost=2")
    assert well.endswith("event=well")


def test_a_line_that_a_full_disk_tore_is_ended_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "log"
    script = """
import os, resource, signal, sys
from bus.log import LineWriter, configure
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = configure("publisher", writer=LineWriter(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)))
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
log.info("first", text="x" * 200)
log.info("second")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.info("third")
"""
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, cwd=Path(__file__).parents[2])
    torn, third = path.read_text().splitlines()
    assert len(torn) == 100
    assert third.endswith("event=third lines_lost=2")
