"""The live table: what is shown, in which order, and what keys do."""

from __future__ import annotations

# ruff: noqa: ANN401
from typing import Any

from rich.console import Console

from cli.top import SORTS, View, picture
from dashboard.health import health
from dashboard.state import State
from tests.dashboard.samples import BTC, body, market, now, process, state, system, telemetry, venue, whole


def view(sort: str = "venue", venues: tuple[str, ...] = (), markets: tuple[str, ...] = ()) -> View:
    """A view."""
    return View(sort, venues, markets)


def order(found: View, told: State) -> list[str]:
    """Venues as they are shown."""
    return [name for name, _ in found.chosen(health(told, now()))]


def text(told: State, found: View, at_ms: int = 0) -> str:
    """The picture as it is on a wide terminal."""
    console = Console(width=160, force_terminal=False)
    with console.capture() as capture:
        console.print(picture(told, found, now(at_ms)))
    return capture.get()


def old(**of: Any) -> dict[str, Any]:
    """Paradex is old, aster is well."""
    return {**whole(paradex=venue({BTC: market(age_ms=16_000, fresh=False)}, age_ms=16_000, fresh=False)), **of}


def test_venues_are_sorted_worst_first_and_unknown_is_worst() -> None:
    told = state(telemetry(old()))
    assert order(view(), told) == ["aster", "paradex"]
    assert order(view("age"), told) == ["paradex", "aster"]
    assert order(view("trouble"), told) == ["paradex", "aster"]
    assert order(view("reconnects"), told) == ["aster", "paradex"]
    unknown = state(telemetry(body(paradex=venue({BTC: market(age_ms=None)}, age_ms=None))))
    assert order(view("age"), unknown) == ["paradex", "aster"]
    assert order(view("event-age"), unknown) == ["aster", "paradex"]


def test_a_filter_keeps_what_was_asked_for() -> None:
    told = state(telemetry(old()))
    assert order(view(venues=("paradex",)), told) == ["paradex"]
    found = view()
    found.key("t")
    assert order(found, told) == ["paradex"]


def test_keys_change_the_view() -> None:
    found = view()
    names = [found.sort]
    for _ in SORTS:
        found.key("s")
        names.append(found.sort)
    assert set(names) == set(SORTS)
    assert names[0] == names[-1]
    found.key("m")
    assert found.wide
    found.key("x")
    assert not found.over
    found.key("q")
    assert found.over


def test_the_picture_says_what_is_wrong_first() -> None:
    said = text(state(telemetry(old())), view())
    assert said.splitlines()[0] == "▲ 1 of 2 venues not well"
    assert "paradex: no usable book or quote for 16.0 s (limit 15.0 s)" in said
    assert "16,000" in said
    assert "seq_gap" in said
    assert text(state(telemetry(whole())), view()).startswith("● all 2 venues live, fresh and trusted")


def test_old_telemetry_is_no_picture_of_now() -> None:
    said = text(state(telemetry(whole())), view(), 3_000)
    assert said.startswith("✖ no current telemetry")
    assert "telemetry is 3.0 s old" in said
    assert "live" not in said.replace("delivery", "")
    assert "CPU" not in said, "nothing is known of the processes either"


def test_the_keys_are_told_where_a_low_window_still_shows_them() -> None:
    assert "q quit" in text(state(telemetry(whole())), view()).splitlines()[1]


def test_markets_have_lines_when_they_are_wanted() -> None:
    told = state(telemetry(whole(paradex=venue({BTC: market(trust="resync", trusted=False)}))))
    assert "ETH-PERP" not in text(told, view())
    said = text(told, view(markets=(BTC,)))
    assert "✖ resync" in said
    assert "ETH-PERP" not in said


def test_a_process_that_is_not_heard_is_marked() -> None:
    told = state(telemetry({**whole(), "system": system(runner=process(missing=True, last_action="hung"))}))
    assert "✖ runner" in text(told, view())
