"""One pass over telemetry."""

from __future__ import annotations

import msgspec
import pytest

from cli.evidence.scan import BrokenLineError, Scan
from tests.cli.evidence.runs import BEGIN_MS, MARKET, VENUES, calm, detail, lines, system, tick, venue


def scan(ticks: list[dict[str, object]], *, whole_run: bool = True) -> Scan:
    found = Scan(whole_run=whole_run)
    found.feed(lines(ticks))
    return found


def test_a_calm_run_is_well_all_the_time() -> None:
    found = scan(calm(41))
    assert (found.ticks, found.runners, found.seen_ms, found.holes) == (41, 1, 10_000, [])
    for name in VENUES:
        about = found.venues[name]
        assert about.well_ms == 10_000
        assert about.trouble.count == 0
        assert about.state_ms == {"live": 10_000}
        percentiles = about.age.percentiles()
        assert percentiles is not None
        assert (percentiles.p50, percentiles.n) == (20, 41)
        market = about.markets[MARKET].event_age.percentiles()
        assert market is not None
        assert market.p99 == 25


def test_arrays_are_read_in_the_order_that_the_line_names() -> None:
    found = scan([tick(0, {"aster": venue(1), "hyperliquid": venue(2)}), tick(1, {"hyperliquid": venue(4)})])
    assert found.venues["hyperliquid"].age.counts == {2: 1, 4: 1}
    assert found.venues["aster"].age.counts == {1: 1}


def test_an_unknown_age_is_no_sample() -> None:
    found = scan([tick(0, {"aster": venue(None, state="connecting")})])
    assert found.venues["aster"].age.percentiles() is None


@pytest.mark.parametrize(
    ("about", "words"),
    [
        (venue(20, state="stale"), "stale (because)"),
        (venue(12_000), "not fresh"),
        (venue(20, trusted=False), "BTC-PERP not trusted"),
    ],
)
def test_trouble_is_told_with_what_is_wrong_and_when_it_is_over(about: dict[str, object], words: str) -> None:
    found = scan([tick(0, {"aster": venue()}), tick(1, {"aster": about}), tick(2, {"aster": venue()})])
    told = [(moment.at_ms - BEGIN_MS, moment.what, moment.words) for moment in found.moments]
    assert told == [(250, "trouble", words), (500, "well", "")]


def test_a_runner_that_returns_is_no_hole_if_it_is_quick_and_one_if_not() -> None:
    first = calm(9)
    again = [tick(t, {name: venue() for name in VENUES}, at_ms=BEGIN_MS + 8 * 250 + 5_000 + t * 250) for t in range(5)]
    found = scan([*first, *again])
    assert found.runners == 2
    assert [(hole.begin_ms, hole.end_ms) for hole in found.holes] == [(BEGIN_MS + 2_000, BEGIN_MS + 7_000)]
    assert found.seen_ms == 2_000 + 1_000
    assert ("runner", "restarted") in [(moment.who, moment.what) for moment in found.moments]


def test_a_step_of_the_wall_clock_is_no_hole_and_no_time() -> None:
    ticks = calm(8)
    for late in ticks[4:]:
        late["treasury_guidance"]["as_of_ms"] += 3_600_000
        late["clock_jumps"] = 1
    found = scan(ticks)
    assert (found.holes, found.seen_ms, found.clock_jumps.grown) == ([], 1_750, {"clock_jumps": 1})


def test_silence_does_not_reach_across_lives_of_the_runner() -> None:
    silent = {"aster": venue(31_000, state="stale")}
    two = [tick(0, silent), tick(1, silent)]
    found = scan([*two, *two])
    assert found.venues["aster"].plateaus[30_000].count == 0


def test_counters_of_a_plane_that_was_there_before_count_their_growth() -> None:
    def run(first: int, last: int) -> list[dict[str, object]]:
        return [
            tick(t, {"aster": venue()}, venue_detail={"aster": detail({"seq_gap": n})}, cap_hits=n)
            for t, n in enumerate([first, last])
        ]

    attached = scan(run(5, 7), whole_run=False)
    assert attached.venues["aster"].reconnects.grown == {"seq_gap": 2}
    assert attached.cap_hits.grown == {"cap_hits": 2}
    own = scan(run(5, 7), whole_run=True)
    assert own.venues["aster"].reconnects.grown == {"seq_gap": 7}


def test_reconnects_are_told_when_they_are_counted() -> None:
    ticks = [
        tick(t, {"aster": venue()}, venue_detail={"aster": detail(counts)})
        for t, counts in enumerate([{}, {"seq_gap": 1}, {"seq_gap": 3}])
    ]
    told = [(moment.what, moment.words) for moment in scan(ticks).moments]
    assert told == [("reconnect", "seq_gap"), ("reconnect", "seq_gap ×2")]


def test_processes_are_followed_over_restarts() -> None:
    ticks = [
        tick(0, {"aster": venue()}, system=system(pid=7)),
        tick(1, {"aster": venue()}, system=system(pid=7, missing=True)),
        tick(2, {"aster": venue()}, system=system(pid=9, restarts=1)),
    ]
    found = scan(ticks)
    process = found.processes["aster"]
    assert process.restarts.grown == {"restarts": 1}
    assert process.missing.total_ms == 250
    assert [(moment.what, moment.words) for moment in found.moments] == [("process restarted", "pid 9")]


def test_the_worst_imbalance_stays_known() -> None:
    ticks = [
        tick(t, {"aster": venue()}, system=system(imbalance=imbalance)) for t, imbalance in enumerate([0, -3, 1, 0])
    ]
    assert scan(ticks).worst_imbalance == -3


def test_a_last_line_that_is_cut_off_is_left_out_and_told() -> None:
    found = Scan(whole_run=True)
    whole = lines(calm(3))
    found.feed([*whole, whole[0][:100]])
    assert (found.ticks, found.torn, found.torn_end) == (3, [4], True)


def test_a_line_torn_by_a_kill_costs_that_line_alone() -> None:
    found = Scan(whole_run=True)
    whole = lines(calm(4))
    found.feed([*whole[:2], b"\0\0\0\n", *whole[2:]])
    assert (found.ticks, found.torn, found.torn_end) == (4, [3], False)


def test_what_is_no_telemetry_is_refused_with_its_line() -> None:
    with pytest.raises(BrokenLineError, match="line 1"):
        Scan(whole_run=True).feed([b"hello\n", b"world\n"])
    with pytest.raises(BrokenLineError, match=r"line 2.*venue_age_ms"):
        Scan(whole_run=True).feed([*lines(calm(1)), b'{"t": 1}\n'])


def test_ages_of_other_venues_than_named_are_refused() -> None:
    broken = tick(0, {"aster": venue()}) | {"venue_age_ms": [1, 2]}
    with pytest.raises(BrokenLineError, match="2 ages of 1 venues"):
        Scan(whole_run=True).feed(lines([broken]))


def test_a_newer_schema_is_refused() -> None:
    with pytest.raises(BrokenLineError, match="schema 2"):
        scan([tick(0, {"aster": venue()}, schema=2)])


def test_telemetry_with_ages_alone_is_understood() -> None:
    keys = ("t", "venue_age_ms", "venue_age_event_ms", "treasury_guidance")
    bare = [{key: one[key] for key in keys} for one in calm(9, age=12_000)]
    found = scan(bare)
    assert found.venues["aster"].plateaus[10_000].count == 1
    assert found.seen_ms == 2_000
    assert not found.cap_hits.told


def test_moments_beyond_the_most_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.evidence.scan.MAX_MOMENTS", 1)
    states = ["live", "stale", "live", "stale"]
    found = scan([tick(t, {"aster": venue(20, state=state)}) for t, state in enumerate(states)])
    assert (len(found.moments), found.left_out) == (1, 2)


def test_details_of_markets_are_taken_where_the_market_is_known() -> None:
    checked = {"rebuild": 1, "check": {"compared": 9, "diverged": 1, "divergence": 0.5}}
    parts = [{"aster": {MARKET: checked, "ETH-PERP": checked}}, {"aster": {MARKET: {**checked, "rebuild": 4}}}]
    found = scan([tick(t, {"aster": venue()}, market_detail=part) for t, part in enumerate(parts)])
    market = found.venues["aster"].markets[MARKET]
    assert market.rebuilds.grown == {"rebuilds": 4}
    assert market.check is not None
    assert market.check.compared == 9
    assert set(found.venues["aster"].markets) == {MARKET}


def test_the_decoder_takes_what_the_runner_writes() -> None:
    assert msgspec.json.decode(lines(calm(1))[0])["schema"] == 1
