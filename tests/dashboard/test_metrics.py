"""Metrics: named and bounded as Prometheus wants them, and silent about what is not known."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from bus.counters import Counter
from bus.events import Reason
from dashboard import metrics
from dashboard.state import State
from tests.dashboard.samples import body, heartbeat, now, state, telemetry, whole


class Samples(dict[str, float]):
    """Values by ``name{labels}``."""


def exposed(told: State, at_ms: int = 0) -> Samples:
    """What Prometheus would read."""

    class One(Collector):
        def collect(self) -> Iterator[Metric]:
            yield from metrics.families(told, now(at_ms))
            yield from metrics.serving(3, "1.2.3")

    registry = CollectorRegistry()
    registry.register(One())
    found = Samples()
    for line in generate_latest(registry).decode().splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            assert name not in found, "told twice"
            found[name] = float(value)
    return found


@pytest.fixture
def full() -> State:
    """Everything is known."""
    return state(
        telemetry(whole()),
        heartbeat("aster", counters={"frames": 9, "reconnect.seq_gap": 2, "made up": 1, "mp_try_send_full_count": 4}),
        heartbeat("publisher", counters={"forwarded": 5}),
        heartbeat("visitor"),
    )


def test_ages_are_seconds_by_venue_and_market(full: State) -> None:
    found = exposed(full)
    assert found['paraphina_venue_age_seconds{venue="aster"}'] == 0.04
    assert found['paraphina_venue_event_age_seconds{venue="aster"}'] == -0.003
    assert found['paraphina_market_age_seconds{market="ETH-PERP",venue="aster"}'] == 0.04
    assert found['paraphina_venue_stale_limit_seconds{venue="paradex"}'] == 15.0
    assert found['paraphina_venue_state{state="live",venue="aster"}'] == 1.0
    assert found['paraphina_venue_state{state="down",venue="aster"}'] == 0.0


def test_latencies_are_seconds_by_hop_and_percentile(full: State) -> None:
    found = exposed(full)
    name = 'paraphina_hop_latency_window_seconds{hop="socket_to_apply",percentile="%s",venue="aster"}'
    assert [found[name % of] for of in ("50", "95", "99", "max")] == [0.0001, 0.0002, 0.0003, 0.0004]
    assert not [key for key in found if "window" in key and "venue_to_socket" in key]
    assert found['paraphina_venue_age_window_seconds{percentile="99",venue="aster"}'] == 0.03


def test_latencies_are_histograms_that_a_restart_of_the_runner_begins_anew(full: State) -> None:
    name = 'paraphina_hop_latency_seconds_bucket{hop="%s",le="%s",venue="aster"}'
    edges = ("0.0", "5e-05", "1.0", "+Inf")
    found = exposed(full)
    assert [found[name % ("socket_to_apply", edge)] for edge in edges] == [0, 3, 7, 7]
    assert found['paraphina_hop_latency_seconds_count{hop="socket_to_apply",venue="aster"}'] == 7
    assert found['paraphina_hop_latency_seconds_sum{hop="socket_to_apply",venue="aster"}'] == 0.0025
    assert [found[name % ("venue_to_socket", edge)] for edge in edges] == [2, 2, 3, 4]
    # A sum of signed values may fall: Prometheus would take that for a restart.
    assert 'paraphina_hop_latency_seconds_sum{hop="venue_to_socket",venue="aster"}' not in found
    again = whole()
    again["venue_detail"]["aster"]["hops_us"]["counts"] = {"socket_to_apply": [0, 1, 0, 0]}
    full.take(telemetry(again, epoch=2), now())
    assert exposed(full)[name % ("socket_to_apply", "+Inf")] == 1


def test_what_is_left_of_a_limit_is_the_least_of_the_lines_that_are_heard_and_of_known_limits_only() -> None:
    name = 'paraphina_venue_limit_headroom_ratio{limit="rest",venue="aster"}'
    told = state(
        heartbeat("aster", headroom={"rest": 0.4, "made up": 0.1}),
        heartbeat("aster", line="b", headroom={"rest": 0.3}),
        heartbeat("aster", line="c", headroom={"rest": 0.5}),
        heartbeat("atlantis", headroom={"rest": 0.1}),
    )
    assert {key: left for key, left in exposed(told).items() if "headroom" in key} == {name: 0.3}
    assert not [key for key in exposed(told, 3_500) if "headroom" in key]


def test_counts_that_do_not_fit_their_bounds_or_of_an_unknown_hop_are_left_out(full: State) -> None:
    told = whole()
    counts = {"socket_to_apply": [1, 2], "made_up": [0, 0, 0, 0]}
    told["venue_detail"]["aster"]["hops_us"]["counts"] = counts
    full.take(telemetry(told), now())
    assert not [key for key in exposed(full) if "hop_latency_seconds" in key]


def test_every_reason_is_there_before_it_happens_so_that_its_first_time_is_seen(full: State) -> None:
    found = exposed(full)
    assert found['paraphina_reconnects_total{reason="seq_gap",venue="aster"}'] == 2
    assert len([key for key in found if key.startswith("paraphina_reconnects_total")]) == len(Reason)


def test_counters_of_a_process_are_there_before_they_count(full: State) -> None:
    found = exposed(full)
    assert found['paraphina_frames_total{process="aster"}'] == 9
    assert found['paraphina_breaker_openings_total{process="aster"}'] == 0
    assert found['paraphina_mp_try_send_full_total{process="aster"}'] == 4
    assert found['paraphina_forwarded_total{process="publisher"}'] == 5
    assert 'paraphina_breaker_openings_total{process="publisher"}' not in found
    assert not [key for key in found if "made up" in key or "made_up" in key]
    assert not [key for key in found if "_total" in key and 'process="visitor"' in key and "cpu" not in key]


def test_delivery_processes_and_checks_are_told(full: State) -> None:
    found = exposed(full)
    assert found['paraphina_accounts_imbalance_messages{sender="aster"}'] == 1
    assert found['paraphina_accounts_published_messages_total{sender="aster"}'] == 10
    assert found['paraphina_lost_messages_total{cause="hole",sender="aster"}'] == 3
    assert not [key for key in found if "of another version" in key]
    assert found["paraphina_heals_total"] == 2
    assert found['paraphina_process_up{process="aster"}'] == 1
    assert found['paraphina_process_cpu_seconds_total{process="aster"}'] == 1.25
    assert found['paraphina_process_restarts_total{process="aster"}'] == 1
    assert found['paraphina_market_divergence_ratio{market="BTC-PERP",venue="aster"}'] == 0.001
    assert found['paraphina_market_diverged_seconds{market="BTC-PERP",venue="aster"}'] == 2.5
    assert 'paraphina_market_divergence_ratio{market="ETH-PERP",venue="aster"}' not in found
    assert found['paraphina_build_info{version="1.2.3"}'] == 1
    assert found["paraphina_dashboard_pages"] == 3


def test_what_the_dashboard_counts_itself_is_told_once_and_also_while_nothing_is_heard() -> None:
    told = state()
    told.counters.add(Counter.PAGES_CUT)
    name = 'paraphina_pages_cut_total{process="dashboard"}'
    assert exposed(told)[name] == 1
    assert exposed(told)['paraphina_client_lost_total{process="dashboard"}'] == 0
    told.take(heartbeat("dashboard", counters={"pages_cut": 1}), now())
    assert exposed(told)[name] == 1


def test_without_current_telemetry_nothing_measured_is_told_and_what_was_counted_stays(full: State) -> None:
    found = exposed(full, 4_000)
    assert found["paraphina_telemetry_up"] == 0
    assert found["paraphina_telemetry_age_seconds"] == 4.0
    assert found["paraphina_healthy"] == 0
    assert found['paraphina_venue_healthy{venue="aster"}'] == 0
    gone = ("venue_age", "venue_fresh", "market_age", "market_trusted", "latency_window", "divergence", "resident")
    assert not [key for key in found if any(word in key for word in gone)]
    assert found['paraphina_process_up{process="aster"}'] == 0
    assert found['paraphina_reconnects_total{reason="seq_gap",venue="aster"}'] == 2


def test_before_anything_is_heard_there_is_still_an_answer() -> None:
    found = exposed(state())
    assert found["paraphina_telemetry_up"] == 0
    assert "paraphina_telemetry_age_seconds" not in found
    assert "paraphina_cap_hit_ticks_total" not in found


def test_rates_of_all_kinds_are_added_up() -> None:
    assert exposed(state(telemetry(whole())))['paraphina_venue_events_per_second{venue="aster"}'] == 2.5


def test_an_equal_book_has_diverged_for_no_time() -> None:
    told = whole()
    told["market_detail"]["aster"]["BTC-PERP"]["check"]["for_ms"] = None
    assert exposed(state(telemetry(told)))['paraphina_market_diverged_seconds{market="BTC-PERP",venue="aster"}'] == 0


def test_names_follow_the_conventions(full: State) -> None:
    names = {key.partition("{")[0] for key in exposed(full)}
    assert all(re.fullmatch(r"paraphina_[a-z][a-z_]*", name) for name in names)
    assert not [name for name in names if re.search(r"_(ms|us|ns|percent)(_|$)", name)]


def test_every_counter_of_the_bus_has_a_name_that_prometheus_takes() -> None:
    labels = {one.label for one in Counter}
    assert all(re.fullmatch(r"[a-z][a-z_]*", label) for label in labels)
    assert len({label.removesuffix("_count") for label in labels}) == len(labels)


def test_telemetry_without_details_is_enough_for_the_ages() -> None:
    found = exposed(state(telemetry(body())))
    assert found['paraphina_venue_age_seconds{venue="paradex"}'] == 0.04
    assert found["paraphina_cap_hit_ticks_total"] == 2
