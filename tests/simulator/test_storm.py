"""Storms are repeatable, stay within their time, and leave a calm at both ends."""

from __future__ import annotations

from random import Random

from simulator.faults import CATALOGUE, read_request
from simulator.storm import CALM_S, GUSTS, storm

SERVED = {"aster": {"BTC-PERP", "ETH-PERP"}, "lighter": {"BTC-PERP"}}


def test_the_same_seed_makes_the_same_storm() -> None:
    assert storm(Random(4), SERVED, 600) == storm(Random(4), SERVED, 600)
    assert storm(Random(4), SERVED, 600) != storm(Random(5), SERVED, 600)


def test_it_is_calm_at_both_ends() -> None:
    requests = storm(Random(1), SERVED, 600)
    assert len(requests) > 40
    assert [request.at_s for request in requests] == sorted(request.at_s for request in requests)
    for request in requests:
        assert request.for_s is not None
        assert request.at_s >= CALM_S
        assert request.at_s + request.for_s <= 600 - CALM_S + 0.01
    assert {request.venue for request in requests} == set(SERVED)
    assert storm(Random(1), SERVED, 30) == []


def test_every_gust_is_a_possible_fault() -> None:
    assert set(GUSTS) <= set(CATALOGUE)
    for request in storm(Random(2), SERVED, 20_000):
        value = {
            "fault": request.fault,
            "venue": request.venue,
            "market": request.market,
            "params": dict(request.params),
        }
        assert read_request(value, SERVED).params == request.params
