"""REST answers arrive by mailbox, bounded in time and size, and no failure of a worker is silent."""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from connectors import rest
from connectors.effects import Fetch, Reply
from connectors.rest import Mailbox, Rest, Workers


class _Venue(BaseHTTPRequestHandler):
    """Behaves as the path asks."""

    release = threading.Event()

    def do_GET(self) -> None:
        if self.path.startswith("/drip"):
            self.send_response(200)
            self.end_headers()
            while not self.release.wait(0.02):
                try:
                    self.wfile.write(b"x")
                    self.wfile.flush()
                except OSError:
                    return
        elif self.path == "/hang":
            self.release.wait(20)
        elif self.path == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"half")
        elif self.path == "/away":
            self.answer(302, b"", ("Location", "http://127.0.0.1:1/"))
        else:
            self.answer(200, self.path.encode(), ("X-Weight", "7"))

    def do_POST(self) -> None:
        self.answer(429, self.rfile.read(int(self.headers["Content-Length"])), ("Retry-After", "3"))

    def answer(self, status: int, body: bytes, header: tuple[str, str]) -> None:
        self.send_response(status)
        self.send_header(*header)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def venue() -> Iterator[str]:
    _Venue.release.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Venue)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    _Venue.release.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_answer_has_status_body_and_lower_case_headers(venue: str) -> None:
    reply = Rest("").call(Fetch("x", f"{venue}/depth", params=(("symbol", "BTC"), ("limit", "5"))))
    assert (reply.status, reply.body, reply.headers["x-weight"]) == (200, b"/depth?symbol=BTC&limit=5", "7")
    assert reply.ok


def test_a_post_carries_json_and_an_error_status_is_an_answer(venue: str) -> None:
    reply = Rest("").call(Fetch("x", f"{venue}/info", method="POST", json={"type": "meta"}))
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (429, b'{"type": "meta"}', "3")
    assert reply.outcome == "HTTP 429"


def test_redirects_are_not_followed(venue: str) -> None:
    assert Rest("").call(Fetch("x", f"{venue}/away")).status == 302


@pytest.mark.parametrize(
    ("path", "problem"), [("/hang", "no answer within 0.3 s"), ("/drip", "no answer within 0.3 s")]
)
def test_a_call_ends_in_time_however_the_venue_stalls(venue: str, path: str, problem: str) -> None:
    reply = Rest("").call(Fetch("x", venue + path, timeout_s=0.3))
    assert (reply.status, reply.outcome) == (None, problem)


def test_a_body_cut_short_is_a_problem_and_not_a_short_answer(venue: str) -> None:
    reply = Rest("").call(Fetch("x", f"{venue}/cut"))
    assert reply.status is None
    assert "ConnectionError" in reply.outcome


def test_a_body_that_swells_is_cut_off(venue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "MAX_BODY_BYTES", 3)
    assert "body over 3 bytes" in Rest("").call(Fetch("x", f"{venue}/drip", timeout_s=20)).outcome


def test_nobody_there_is_a_problem() -> None:
    assert "ConnectionError" in Rest("").call(Fetch("x", "http://127.0.0.1:1/")).outcome


def wait(mailbox: Mailbox) -> list[object]:
    ready, _, _ = select.select([mailbox.fileno()], [], [], 30)
    assert ready
    return mailbox.drain()


def test_workers_post_what_their_jobs_return() -> None:
    mailbox = Mailbox()
    workers = Workers(mailbox, count=2)
    gate = threading.Barrier(2)
    for name in ("a", "b"):
        workers.submit(lambda name=name: (gate.wait(30), name)[1])  # type: ignore[misc]
    found: list[object] = []
    while len(found) < 2:
        found += wait(mailbox)
    assert sorted(map(str, found)) == ["a", "b"]
    assert mailbox.drain() == []


def test_a_job_that_dies_is_posted_as_its_error() -> None:
    mailbox = Mailbox()
    workers = Workers(mailbox, count=1)
    workers.submit(lambda: 1 // 0)
    assert isinstance(wait(mailbox)[0], ZeroDivisionError)
    workers.submit(lambda: Reply(200))
    assert wait(mailbox) == [Reply(200)]


def test_a_thread_is_made_only_when_all_are_busy() -> None:
    mailbox = Mailbox()
    workers = Workers(mailbox, count=4)
    idents: list[object] = []
    for _ in range(5):
        workers.submit(threading.get_ident)
        idents += wait(mailbox)
    assert len(set(idents)) == 1
    gate = threading.Barrier(2)
    for _ in range(2):
        workers.submit(lambda: (gate.wait(30), threading.get_ident())[1])
    found: list[object] = []
    while len(found) < 2:
        found += wait(mailbox)
    assert idents[0] in found
    assert len(set(found)) == 2


ALONE = """
import sys
from connectors.effects import Fetch
from connectors.rest import Rest
reply = Rest("").call(Fetch("nothing", sys.argv[1], timeout_s=5.0))
assert reply.problem and "ConnectionError" in reply.problem, reply
assert "requests" in sys.modules
assert not any(name.startswith(("charset_normalizer", "chardet")) for name in sys.modules)
import charset_normalizer
"""


def test_what_guesses_encodings_is_not_loaded_and_can_still_be() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE, url], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
