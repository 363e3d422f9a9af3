"""What pages are told, as server-sent events."""

from __future__ import annotations

from typing import Any

import msgspec

from dashboard import page
from tests.dashboard.samples import BTC, WALL_MS, body, heartbeat, now, state, telemetry, whole


def told(message: bytes) -> tuple[str, dict[str, Any]]:
    """Name and body of one event."""
    assert message.endswith(b"\n\n")
    fields = dict(line.split(": ", 1) for line in message.decode().strip().splitlines())
    return fields["event"], msgspec.json.decode(fields["data"])


def test_a_page_opens_with_the_past() -> None:
    name, found = told(page.hello(state(telemetry(whole())), now(), "1.2.3"))
    assert name == "hello"
    assert found["version"] == "1.2.3"
    assert found["now_ms"] == WALL_MS
    assert found["stale_ms"] == {"aster": 10_000, "paradex": 15_000}
    assert found["past"]["venues"]["aster"]["age_ms"] == [40]
    assert found["past"]["marks"][0]["text"] == "started"


def test_a_page_is_told_how_soon_to_come_back() -> None:
    assert page.hello(state(), now(), "1").startswith(b"retry: 500\n")


def test_a_tick_carries_health_and_the_marks_since_the_last() -> None:
    known = state(telemetry(body()))
    known.history.mark(WALL_MS, "aster", "gap", "news")
    name, found = told(page.tick(known, now(), 1))
    assert name == "tick"
    assert found["health"]["venues"]["aster"]["age_ms"] == 40
    assert found["health"]["source"]["ok"] is True
    assert [mark["text"] for mark in found["marks"]] == ["news"]


def test_details_carry_what_the_page_shows() -> None:
    known = state(telemetry(whole()), heartbeat("aster", headroom={"rest": 0.4}))
    name, found = told(page.detail(known, now()))
    assert name == "detail"
    assert found["venues"]["aster"]["reconnects"] == {"seq_gap": 2}
    assert found["markets"]["aster"][BTC]["bid"] == [100.0, 1.0]
    assert found["system"]["processes"]["aster"]["pid"] == 42
    assert found["headroom"] == {"aster": {"rest": 0.4}}
    assert found["venues"]["aster"]["hops_us"] == {
        "window": {"socket_to_apply": [100, 200, 300, 400, 7], "venue_to_socket": None}
    }


def test_without_current_telemetry_no_detail_stands_for_now_and_what_is_left_of_limits_is_what_is_heard() -> None:
    known = state(telemetry(whole()), heartbeat("aster", 4_000, headroom={"rest": 0.4}))
    _, found = told(page.detail(known, now(5_000)))
    assert found == {"venues": {}, "markets": {}, "system": None, "headroom": {"aster": {"rest": 0.4}}}


def test_text_that_breaks_lines_cannot_break_an_event() -> None:
    known = state()
    known.history.mark(WALL_MS, "aster", "gap", "one\n\nevent: tick\ndata: {}")
    message = page.tick(known, now(), 1)
    assert message.count(b"\n") == 3
    assert told(message)[1]["marks"][0]["text"].startswith("one\n\nevent")
