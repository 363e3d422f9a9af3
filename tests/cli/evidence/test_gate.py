"""The gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from cli.evidence.build import Inputs, facts
from cli.evidence.gate import Gate, LimitError, Limits, judge, limits
from cli.evidence.logs import LogScan, RxScan
from cli.evidence.scan import Scan
from tests.cli.evidence.runs import BEGIN_MS, MARKET, VENUES, calm, detail, lines, rx_lines, system, tick, venue


def gate(ticks: list[dict[str, Any]], **more: Any) -> Gate:  # noqa: ANN401
    scan = Scan(whole_run=True)
    scan.feed(lines(ticks))
    log, rx = LogScan(whole_run=True), RxScan(whole_run=True)
    log.feed(more.pop("log", []))
    rx.feed(more.pop("rx", rx_lines(len(ticks)).splitlines(keepends=True)))
    inputs = Inputs(scan, log, rx, manifest=more.pop("manifest", {}))
    expected = more.pop("expected", VENUES)
    bounds = more.pop("bounds", Limits())
    return judge(facts(inputs), expected, bounds, require_event_age=more.pop("require_event_age", True))


def failed(found: Gate) -> set[tuple[str, str]]:
    return {(criterion.of, criterion.name) for criterion in found.failures}


def ages(values: Sequence[float], **more: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    return [tick(t, {"aster": venue(age, **more)}) for t, age in enumerate(values)]


def test_a_calm_run_passes_every_criterion() -> None:
    found = gate(calm(20))
    assert found.passed
    names = [criterion.name for criterion in found.criteria if criterion.of == "aster"]
    assert names == [
        *("samples", "age_p95_ms", "age_p99_ms", "age_event_p95_ms", "age_event_p99_ms", "plateaus_30s"),
        *(f"reconnects {r}" for r in ("stale_watchdog", "read_timeout", "ping_send_fail", "session_timeout")),
    ]
    whole = [criterion.name for criterion in found.criteria if criterion.of not in VENUES]
    assert whole == ["mp_try_send_full_count", "mp_pending_latest_replaced_count", "cap_hits", "imbalance"]


@pytest.mark.parametrize(("age", "passes"), [(10_000, True), (10_001, False)])
def test_age_p95(age: float, passes: bool) -> None:
    assert (("aster", "age_p95_ms") not in failed(gate(ages([20] * 94 + [age] * 6), expected=["aster"]))) is passes
    assert ("aster", "age_p95_ms") not in failed(gate(ages([20] * 95 + [age] * 5), expected=["aster"]))


@pytest.mark.parametrize(("age", "passes"), [(30_000, True), (30_001, False)])
def test_age_p99(age: float, passes: bool) -> None:
    found = gate(ages([20] * 97 + [age] * 3), expected=["aster"])
    assert (("aster", "age_p99_ms") not in failed(found)) is passes


@pytest.mark.parametrize(
    ("share", "age", "criterion"),
    [(10, 12_001, "age_event_p95_ms"), (3, 35_001, "age_event_p99_ms")],
)
def test_event_ages(share: int, age: float, criterion: str) -> None:
    def run(event_age: float) -> set[tuple[str, str]]:
        ticks = [tick(t, {"aster": venue(20)}) for t in range(100)]
        for late in ticks[-share:]:
            late["venue_age_event_ms"] = [event_age]
        return failed(gate(ticks, expected=["aster"]))

    assert ("aster", criterion) in run(age)
    assert ("aster", criterion) not in run(age - 1)


def test_a_venue_without_samples_fails_and_is_named() -> None:
    ticks = [tick(t, {"aster": venue(), "lighter": venue(None, state="connecting")}) for t in range(5)]
    assert failed(gate(ticks, expected=["aster", "lighter"])) == {("lighter", "samples")}


def test_a_venue_that_is_not_there_fails() -> None:
    assert failed(gate(calm(5), expected=[*VENUES, "paradex"])) == {("paradex", "samples")}


def test_missing_event_ages_fail_only_when_they_are_required() -> None:
    ticks = ages([20] * 5)
    for one in ticks:
        one["venue_age_event_ms"] = [None]
    assert failed(gate(ticks, expected=["aster"])) == {("aster", "age_event_samples")}
    assert gate(ticks, expected=["aster"], require_event_age=False).passed


def test_a_plateau_of_30_s_fails_even_when_percentiles_hold() -> None:
    found = gate(ages([20] * 1_000 + [30_000, 30_250, 30_500]), expected=["aster"])
    assert failed(found) == {("aster", "plateaus_30s")}


@pytest.mark.parametrize("reason", ["stale_watchdog", "read_timeout", "ping_send_fail", "session_timeout"])
def test_more_than_three_reconnects_of_a_bad_reason_fail(reason: str) -> None:
    def run(count: int) -> set[tuple[str, str]]:
        ticks = [tick(0, {"aster": venue()}, venue_detail={"aster": detail({reason: count})})]
        return failed(gate(ticks, expected=["aster"]))

    assert run(3) == set()
    assert run(4) == {("aster", f"reconnects {reason}")}


def test_reconnects_of_audit_lines_count_where_telemetry_has_none() -> None:
    log = [b"WS_AUDIT venue=aster reconnect_reason=stale_watchdog count=4\n"]
    assert failed(gate(ages([20] * 3), expected=["aster"], log=log)) == {("aster", "reconnects stale_watchdog")}


def test_other_reasons_do_not_fail() -> None:
    ticks = [tick(0, {"aster": venue()}, venue_detail={"aster": detail({"seq_gap": 400})})]
    assert gate(ticks, expected=["aster"]).passed


def test_pressure_fails() -> None:
    ticks = [tick(0, {"aster": venue()}, system=system(full=1))]
    assert failed(gate(ticks, expected=["aster"])) == {("publisher", "mp_try_send_full_count")}
    log = [b"WS_AUDIT component=market_publisher mp_pending_latest_replaced_count=1\n"]
    found = failed(gate(ages([20]), expected=["aster"], log=log))
    assert found == {("publisher", "mp_pending_latest_replaced_count")}


def test_cap_hits_of_either_file_fail() -> None:
    rx = rx_lines(1, cap_hits=1).splitlines(keepends=True)
    assert failed(gate(ages([20]), expected=["aster"], rx=rx)) == {("runner", "cap_hits")}
    assert failed(gate([tick(0, {"aster": venue()}) | {"cap_hits": 2}], expected=["aster"])) == {("runner", "cap_hits")}


def test_cap_hits_that_nobody_tells_of_fail() -> None:
    bare = tick(0, {"aster": venue()})
    del bare["cap_hits"]
    assert failed(gate([bare], expected=["aster"], rx=[])) == {("runner", "cap_hits")}


def test_an_imbalance_fails() -> None:
    assert failed(gate([tick(0, {"aster": venue()}, system=system(imbalance=-1))], expected=["aster"])) == {
        ("bus", "imbalance")
    }


def test_a_run_that_was_not_watched_to_its_end_fails() -> None:
    manifest = {"start_ms": BEGIN_MS - 2_000, "end_ms": BEGIN_MS + 600_000}
    assert failed(gate(calm(400), manifest=manifest)) == {("telemetry", "coverage")}
    assert gate(calm(400), manifest={**manifest, "end_ms": BEGIN_MS + 100_000}).passed


def test_limits_can_be_made_stricter_only() -> None:
    stricter = limits({"age_p95_ms": 100, "coverage": 0.99})
    assert (stricter.age_p95_ms, stricter.coverage, stricter.age_p99_ms) == (100, 0.99, 30_000)
    assert failed(gate(ages([101] * 9), expected=["aster"], bounds=stricter)) == {("aster", "age_p95_ms")}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("age_p95_ms", 10_001, "loosest value is 10000"),
        ("coverage", 0.5, "loosest value is 0.9"),
        ("cap_hits", float("nan"), "would loosen"),
        ("age_p50_ms", 1, "unknown limit age_p50_ms; there are age_p95_ms"),
    ],
)
def test_a_limit_that_would_loosen_the_gate_is_refused(name: str, value: float, words: str) -> None:
    with pytest.raises(LimitError, match=words):
        limits({name: value})


def test_market_ages_do_not_hide_behind_the_venue() -> None:
    ticks = [tick(t, {"aster": venue()}) for t in range(4)]
    for one in ticks:
        one["venues"]["aster"]["markets"][MARKET]["age_ms"] = 50_000
    scan = Scan(whole_run=True)
    scan.feed(lines(ticks))
    market = facts(Inputs(scan)).venues[0].markets[0]
    assert market.age is not None
    assert market.age.p50 == 50_000
