"""Health and readiness say what is wrong, in words, and never call unknown well."""

from __future__ import annotations

# ruff: noqa: ANN401
from typing import Any

from dashboard.health import UNHEARD, UNKNOWN, Health, health, ready
from tests.dashboard.samples import BTC, ETH, body, market, now, process, state, system, telemetry, venue, whole


def judge(told: dict[str, Any], at_ms: int = 0, **of: Any) -> Health:
    """Judge a tick so long after it was made."""
    return health(state(telemetry(told), **of), now(at_ms))


def test_when_all_is_live_fresh_and_trusted_there_is_no_problem() -> None:
    found = judge(whole())
    assert found.healthy
    assert found.ready
    assert found.problems == []
    assert ready(found).problems == []
    aster = found.venues["aster"]
    assert (aster.state, aster.age_ms, aster.age_event_ms, aster.skew_ms) == ("live", 40, -3, 12)
    assert aster.reconnects == {"seq_gap": 2}
    assert aster.last_reconnect is not None
    assert aster.process is not None
    assert aster.process.pid == 42
    assert aster.markets[BTC].since_ms is not None


def test_before_the_details_come_what_they_say_is_unknown() -> None:
    aster = judge(body()).venues["aster"]
    assert aster.healthy
    assert (aster.reconnects, aster.last_reconnect, aster.process) == (None, None, None)
    assert (aster.markets[BTC].since_ms, aster.markets[BTC].reason) == (None, None)


def test_old_telemetry_says_nothing_of_now() -> None:
    found = judge(whole(), 5_000)
    assert not found.healthy
    assert not found.ready
    assert found.problems == [found.source.problem]
    aster = found.venues["aster"]
    assert aster.problems == [UNKNOWN]
    assert (aster.state, aster.age_ms, aster.fresh, aster.trusted) == (None, None, None, None)
    assert aster.markets[BTC].problems == [UNKNOWN]
    assert ready(found).problems == [found.source.problem]


def test_a_venue_that_the_runner_does_not_know_is_not_well() -> None:
    found = judge(body(paradex=None))
    assert found.problems == [f"paradex: {UNHEARD}"]
    assert ready(found).problems == [f"paradex/BTC-PERP: {UNHEARD}"]


def test_a_market_that_the_runner_does_not_know_is_not_well() -> None:
    found = judge(body(aster=venue({BTC: market()})))
    assert found.problems == [f"aster: ETH-PERP: {UNHEARD}"]
    assert not found.venues["aster"].markets[ETH].ready


def test_a_stale_venue_is_told_once_and_not_again_for_each_market() -> None:
    gone = {"age_ms": 12_000, "fresh": False}
    markets = {name: market(state="stale", trust="stale", trusted=False, **gone) for name in (BTC, ETH)}
    found = judge(whole(aster=venue(markets, state="stale", reason="book", **gone)))
    assert found.venues["aster"].problems == [
        "stale (book)",
        "no usable book or quote for 12.0 s (limit 10.0 s)",
        "BTC-PERP, ETH-PERP: the book must not be used (stale)",
    ]
    assert found.venues["aster"].markets[BTC].problems == [
        "stale (snapshot)",
        "no usable book or quote for 12.0 s",
        "the book must not be used (stale)",
    ]
    assert found.venues["paradex"].healthy


def test_one_stale_market_of_a_live_venue_is_named() -> None:
    told = {BTC: market(), ETH: market(state="stale", age_ms=15_000, fresh=False)}
    found = judge(body(aster=venue(told)))
    assert found.problems == ["aster: ETH-PERP: stale", "aster: ETH-PERP: no usable book or quote for 15.0 s"]
    assert found.venues["aster"].markets[BTC].healthy


def test_an_untrusted_book_says_why() -> None:
    for trust, words in (
        (None, "there is no book yet"),
        ("live", "messages of the book are missing"),
        ("rest", "messages of the book are missing"),
        ("resync", "the book must not be used (resync)"),
    ):
        found = judge(body(paradex=venue({BTC: market(trust=trust, trusted=False)})))
        assert found.problems == [f"paradex: BTC-PERP: {words}"]
        assert not found.ready


def test_a_stand_in_from_rest_is_ready_and_not_healthy() -> None:
    found = judge(body(paradex=venue({BTC: market(state="recovering", trust="rest")}, state="recovering", reason="")))
    assert found.problems == ["paradex: recovering"]
    assert not found.healthy
    assert found.ready


def test_an_unknown_state_is_a_problem() -> None:
    found = judge(body(paradex=venue({BTC: market(state=None)}, state=None)))
    assert found.problems == ["paradex: its state is not known"]


def test_a_connector_without_heartbeats_is_a_problem_even_while_its_last_word_is_live() -> None:
    told = {**whole(), "system": system(aster=process(missing=True))}
    assert judge(told).problems == ["aster: no heartbeat of process aster"]


def test_readiness_asks_for_what_is_required_only() -> None:
    told = body(paradex=venue({BTC: market(trust="resync", trusted=False)}))
    found = judge(told, required=frozenset({("aster", BTC)}))
    assert not found.healthy
    assert ready(found).ready
    assert ready(found).problems == []
    assert found.venues["paradex"].required is False
    assert found.venues["paradex"].ready
    assert found.venues["aster"].markets[ETH].required is False


def test_nothing_is_ready_without_a_source_even_when_nothing_is_required() -> None:
    found = judge(body(), 9_000, required=frozenset())
    assert not ready(found).ready
    assert found.venues["aster"].ready
