"""Blocking work off the main thread: REST calls and connection attempts. The workers own nothing.

Each job is a function; its outcome goes into the mailbox, whose descriptor wakes the main loop. A job that dies of a
bug posts its own exception, which ends the process: nothing here can stop unnoticed.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable
from importlib import import_module
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from connectors.effects import Fetch, Reply

if TYPE_CHECKING:
    import requests

WORKERS: Final = 8
"""Enough for Extended's eighteen sockets to be opened in a few rounds while REST goes on."""
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
CHUNK_BYTES: Final = 65_536


class Mailbox:
    """Answers from the workers to the main thread. ``fileno`` becomes readable when there is one."""

    def __init__(self) -> None:
        self._items: deque[object] = deque()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """Descriptor to poll for reading."""
        return self._event

    def put(self, item: object) -> None:
        """Called by workers (and signal handlers)."""
        self._items.append(item)
        os.eventfd_write(self._event, 1)

    def drain(self) -> list[object]:
        """Everything there is."""
        try:
            os.eventfd_read(self._event)
        except BlockingIOError:
            return []
        found = []
        while self._items:
            found.append(self._items.popleft())
        return found


class Workers:
    """A few daemon threads that run jobs in order of arrival and post what each returns."""

    def __init__(self, mailbox: Mailbox, count: int = WORKERS) -> None:
        self._mailbox = mailbox
        self._jobs: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._count = count
        self._threads: list[threading.Thread] = []
        self._open = 0
        """Jobs submitted and not ended."""
        self._lock = threading.Lock()

    def submit(self, job: Callable[[], object]) -> None:
        """Have ``job()`` run on a worker; its result is posted.

        A thread is made only when all there are have something to do: each keeps connections, authorities and memory
        of its own.
        """
        with self._lock:
            self._open += 1
            wanted = len(self._threads) < min(self._open, self._count)
        self._jobs.put(job)
        if wanted:
            thread = threading.Thread(target=self._work, name=f"worker-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                result = job()
            except BaseException as error:  # noqa: BLE001 - a worker must not die unnoticed; the main thread raises it
                result = error
            with self._lock:
                self._open -= 1
            self._mailbox.put(result)


class Rest:
    """REST calls with a bound on the whole call, not only on each read."""

    def __init__(self, ca_file: str) -> None:
        self._verify: str | bool = ca_file or True
        self._local = threading.local()

    def call(self, fetch: Fetch) -> Reply:
        """Make the call; every failure is a Reply with a ``problem``. To be called on a worker."""
        requests = _requests()
        started = time.monotonic()
        try:
            with self._session().request(
                fetch.method,
                fetch.url,
                params=list(fetch.params),
                json=fetch.json,
                headers=dict(fetch.headers),
                timeout=fetch.timeout_s,
                verify=self._verify,
                stream=True,
                allow_redirects=False,
            ) as response:
                body = self._read(response, started + fetch.timeout_s)
                headers = {key.lower(): value for key, value in response.headers.items()}
                return Reply(response.status_code, body, headers)
        except requests.exceptions.SSLError as error:
            return Reply(None, problem=f"TLS: {error}")
        except requests.exceptions.Timeout:
            return Reply(None, problem=f"no answer within {fetch.timeout_s:g} s")
        except (requests.exceptions.RequestException, OSError, ValueError) as error:
            return Reply(None, problem=f"{type(error).__name__}: {error}")

    @staticmethod
    def _read(response: requests.Response, deadline: float) -> bytes:
        """The whole body; a body that drips or swells ends the call."""
        requests = _requests()
        from urllib3.exceptions import HTTPError

        parts: list[bytes] = []
        size = 0
        while True:
            try:
                part = response.raw.read1(CHUNK_BYTES, decode_content=True)
            except (OSError, HTTPError) as error:
                raise requests.exceptions.ConnectionError(str(error)) from None
            if not part:
                return b"".join(parts)
            parts.append(part)
            size += len(part)
            if size > MAX_BODY_BYTES:
                raise requests.exceptions.RequestException(f"body over {MAX_BODY_BYTES} bytes")
            if time.monotonic() > deadline:
                raise requests.exceptions.Timeout

    def _session(self) -> requests.Session:
        """One session, so one kept-alive connection pool, a thread."""
        if not hasattr(self._local, "session"):
            self._local.session = _requests().Session()
        session: requests.Session = self._local.session
        return session


_GUESSERS: Final = ("charset_normalizer", "chardet")
_importing = threading.Lock()


def _requests() -> Any:  # noqa: ANN401  (a module)
    """Import requests without what guesses encodings: 2 MB and 20 ms in every connector, and bodies are JSON here.

    Without it requests takes a body for UTF-8, and warns of that on being imported.
    """
    with _importing:
        if "requests" in sys.modules:
            return sys.modules["requests"]
        hidden = [name for name in _GUESSERS if name not in sys.modules]
        sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is what makes an import fail
        try:
            with warnings.catch_warnings(action="ignore"):
                return import_module("requests")
        finally:
            for name in hidden:
                del sys.modules[name]
