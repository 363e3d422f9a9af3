"""The HTTP face: answers as documented, headers on all of them, and nothing that changes anything."""

from __future__ import annotations

# ruff: noqa: ANN401
import asyncio
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from dashboard.state import Now, State
from dashboard.stream import Hub
from dashboard.web import SECURITY, Web
from tests.dashboard.samples import BTC, body, market, now, state, telemetry, venue, whole


class Clock:
    """A clock that stands until it is told otherwise."""

    def __init__(self) -> None:
        self.ms = 0

    def __call__(self) -> Now:
        return now(self.ms)


class Client:
    """Asks an application in memory."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def request(self, method: str, path: str, **of: Any) -> httpx.Response:
        """One request, and its answer."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
                return await http.request(method, path, **of)

        return asyncio.run(ask())

    def get(self, path: str, **of: Any) -> httpx.Response:
        """GET."""
        return self.request("GET", path, **of)


def client(told: State, clock: Clock | None = None, *, local: bool = True) -> Client:
    """A client of an application over this state."""
    web = Web(told, Hub(lambda: b"hello", told.counters), clock or Clock(), local=local)
    return Client(web.app)


@pytest.fixture
def well() -> Client:
    """Everything is live."""
    return client(state(telemetry(whole())))


def test_health_is_200_with_every_venue_and_market_while_all_is_well(well: Client) -> None:
    answer = well.get("/health")
    assert answer.status_code == 200
    told = answer.json()
    assert told["healthy"] is True
    assert told["venues"]["aster"]["markets"][BTC]["trust"] == "live"
    assert set(told) == {"healthy", "ready", "problems", "as_of_ms", "source", "venues"}


def test_health_is_503_with_the_reason_once_telemetry_is_old() -> None:
    clock = Clock()
    found = client(state(telemetry(whole())), clock)
    clock.ms = 2_000
    assert found.get("/health").status_code == 200
    clock.ms = 2_001
    answer = found.get("/health")
    assert answer.status_code == 503
    assert answer.json()["problems"] == [answer.json()["source"]["problem"]]
    assert found.get("/ready").status_code == 503
    assert found.get("/live").status_code == 200


def test_one_venue_is_asked_for_by_its_name() -> None:
    found = client(state(telemetry(body(paradex=venue({BTC: market(trust="resync", trusted=False)})))))
    assert found.get("/health").status_code == 503
    assert found.get("/health/aster").status_code == 200
    sick = found.get("/health/paradex")
    assert sick.status_code == 503
    assert sick.json()["venue"] == "paradex"
    assert sick.json()["problems"] == ["BTC-PERP: the book must not be used (resync)"]
    unknown = found.get("/health/nowhere")
    assert unknown.status_code == 404
    assert unknown.json() == {"error": "no such venue", "venues": ["aster", "paradex"]}


def test_readiness_asks_only_for_what_is_required() -> None:
    sick = body(paradex=venue({BTC: market(trust="resync", trusted=False)}))
    assert client(state(telemetry(sick))).get("/ready").json() == {
        "ready": False,
        "problems": ["paradex/BTC-PERP: the book must not be used (resync)"],
    }
    ready = client(state(telemetry(sick), required=frozenset({("aster", BTC)}))).get("/ready")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "problems": []})


def test_metrics_are_served_in_the_format_that_is_asked_for(well: Client) -> None:
    plain = well.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain")
    assert 'paraphina_venue_age_seconds{venue="aster"} 0.04' in plain.text
    assert "process_resident_memory_bytes" in plain.text
    newer = well.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert newer.headers["content-type"].startswith("application/openmetrics-text")
    assert newer.text.endswith("# EOF\n")


@pytest.mark.parametrize("path", ["/", "/health", "/health/x", "/ready", "/live", "/metrics", "/static/app.js", "/no"])
def test_every_answer_carries_the_security_headers(well: Client, path: str) -> None:
    headers = well.get(path).headers
    assert {name: headers[name] for name in SECURITY} == SECURITY
    policy = headers["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/metrics", "/events", "/static/app.js"])
def test_nothing_can_be_changed(well: Client, method: str, path: str) -> None:
    assert well.request(method, path).status_code == 405


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:18080", 200),
        ("localhost", 200),
        ("dash.localhost:1", 200),
        ("[::1]:18080", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:80", 421),
        ("10.0.0.5", 421),
        ("", 421),
    ],
)
def test_on_loopback_only_names_of_this_host_are_served(well: Client, host: str, status: int) -> None:
    assert well.get("/live", headers={"host": host}).status_code == status


def test_a_dashboard_that_is_open_to_others_is_served_by_any_name() -> None:
    found = client(state(telemetry(whole())), local=False)
    assert found.get("/live", headers={"host": "dash.example"}).status_code == 200


def test_the_page_loads_nothing_from_elsewhere_and_has_no_inline_script_or_style(well: Client) -> None:
    page = well.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<style" not in page.text
    assert "style=" not in page.text
    assert "onclick" not in page.text
    assert page.text.count("<script") == page.text.count('<script type="module" src="/static/') == 1
    assert "http://" not in page.text
    assert "https://" not in page.text


def test_files_are_revalidated_by_their_content_and_nothing_else_can_be_named(well: Client) -> None:
    first = well.get("/static/app.js")
    assert first.headers["content-type"].startswith("text/javascript")
    assert first.headers["cache-control"] == "no-cache"
    again = well.get("/static/app.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for path in ("/static/../web.py", "/static/%2e%2e/web.py", "/static/", "/web.py", "/static/none.js"):
        assert well.get(path).status_code == 404


def test_answers_of_the_api_are_not_kept(well: Client) -> None:
    values: list[Any] = [well.get(path).headers["cache-control"] for path in ("/health", "/ready", "/live", "/metrics")]
    assert set(values) == {"no-store"}
