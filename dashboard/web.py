"""The pages and their headers. Everything is read-only: there is no other method than GET (and HEAD)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from importlib.metadata import version as installed
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard import metrics
from dashboard.health import health, ready
from dashboard.state import Now, State
from dashboard.stream import Hub

VERSION: Final = installed("paraphina-connectivity")
STATIC: Final = Path(__file__).resolve().parent / "static"
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
SECURITY: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class Web:
    """The application, over a state that somebody else keeps up to date."""

    def __init__(self, state: State, hub: Hub, clock: Callable[[], Now], *, local: bool) -> None:
        self._state = state
        self._hub = hub
        self._clock = clock
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(self._families))
        ProcessCollector(registry=self._registry)
        routes: list[tuple[str, Any]] = [
            ("/health", self.health),
            ("/health/{venue}", self.venue),
            ("/ready", self.ready),
            ("/live", self.live),
            ("/metrics", self.metrics),
            ("/events", hub),
            *_files(),
        ]
        inner = Starlette(routes=[Route(path, endpoint, methods=["GET"]) for path, endpoint in routes])
        self.app: ASGIApp = Guard(inner, local=local)

    async def health(self, _: Request) -> Response:
        """Everything; 503 unless every venue is live, fresh and trusted."""
        report = health(self._state, self._clock())
        return _json(report, 200 if report.healthy else 503)

    async def venue(self, request: Request) -> Response:
        """One venue."""
        name = request.path_params["venue"]
        report = health(self._state, self._clock())
        found = report.venues.get(name)
        if found is None:
            return _json({"error": "no such venue", "venues": list(report.venues)}, 404)
        told = {"venue": name, "as_of_ms": report.as_of_ms, "source": report.source, **msgspec.structs.asdict(found)}
        return _json(told, 200 if found.healthy else 503)

    async def ready(self, _: Request) -> Response:
        """503 while any required market is not fresh and trusted."""
        report = ready(health(self._state, self._clock()))
        return _json(report, 200 if report.ready else 503)

    async def live(self, _: Request) -> Response:
        """Whether this process answers; nothing else is asked."""
        up = (self._clock().mono - self._state.started.mono) // 1_000_000
        return _json({"live": True, "up_ms": up, "version": VERSION}, 200)

    async def metrics(self, request: Request) -> Response:
        """Prometheus exposition."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._registry), headers={"content-type": content_type})

    def _families(self) -> Iterator[Metric]:
        yield from metrics.families(self._state, self._clock())
        yield from metrics.serving(len(self._hub), VERSION)


class Guard:
    """Adds the security headers, and refuses names that are not ours.

    A page elsewhere whose name is made to point to 127.0.0.1 could read everything here; its requests name that host.
    """

    def __init__(self, inner: ASGIApp, *, local: bool) -> None:
        self._inner = inner
        self._local = local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        if self._local and not _is_loopback(Headers(scope=scope).get("host", "")):
            answer = PlainTextResponse("This dashboard is served on loopback only: use localhost or 127.0.0.1.\n", 421)
            await answer(scope, receive, guarded)
            return
        await self._inner(scope, receive, guarded)


class _Collector(Collector):
    def __init__(self, families: Callable[[], Iterator[Metric]]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return self._families()

    def describe(self) -> Iterator[Metric]:
        """Nothing: the registry would collect to find the names."""
        return iter(())


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    name = name.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _json(value: object, status: int) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _files() -> list[tuple[str, Callable[[Request], Any]]]:
    """A route a file, read once: nothing outside this folder can be named."""
    found = []
    for path in sorted(STATIC.rglob("*")):
        if path.suffix in TYPES:
            name = path.relative_to(STATIC).as_posix()
            found.append(("/" if name == "index.html" else f"/static/{name}", _file(path)))
    return found


def _file(path: Path) -> Callable[[Request], Any]:
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"content-type": TYPES[path.suffix], "etag": tag, "cache-control": "no-cache"}

    async def serve(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers)

    return serve
