"""Requests for faults are read strictly, and the register knows what is in force."""

from __future__ import annotations

import pytest

from simulator.fault_frames import EFFECTS
from simulator.faults import CATALOGUE, FaultError, Register, read_request

SERVED = {"aster": {"BTC-PERP", "ETH-PERP"}, "lighter": {"BTC-PERP"}}


def test_a_request_is_completed_with_defaults() -> None:
    request = read_request({"fault": "gap", "venue": "aster", "market": "ETH-PERP", "params": {"count": 2}}, SERVED)
    assert request.params == {"kinds": "", "times": 1, "every": 1, "count": 2}
    assert (request.venue, request.market, request.at_s, request.for_s) == ("aster", "ETH-PERP", 0.0, None)
    everywhere = read_request({"fault": "stall", "venue": "*", "at_s": 1, "for_s": 2.5}, SERVED)
    assert (everywhere.venue, everywhere.market, everywhere.at_s, everywhere.for_s) == (None, None, 1.0, 2.5)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "is an object"),
        ({"fault": "gap", "forever": True}, "unknown key: forever"),
        ({"fault": "nothing"}, "known are accept_close"),
        ({"fault": ["gap"]}, "unknown fault"),
        ({}, "unknown fault None"),
        ({"fault": "gap", "venue": "paradex"}, "served are aster, lighter"),
        ({"fault": "gap", "venue": "lighter", "market": "ETH-PERP"}, "not served there"),
        ({"fault": "refuse", "market": "BTC-PERP"}, "cannot be limited to a market"),
        ({"fault": "clock_skew", "market": "BTC-PERP"}, "cannot be limited to a market"),
        ({"fault": "gap", "params": {"size": 1}}, "it has count, every, kinds, times"),
        ({"fault": "deaf", "params": {"size": 1}}, "it has none"),
        ({"fault": "gap", "params": {"count": "2"}}, "count must be like 1"),
        ({"fault": "gap", "params": {"count": True}}, "count must be like 1"),
        ({"fault": "stall", "params": {"control": 1}}, "control must be like False"),
        ({"fault": "emptied", "params": {"side": 1}}, "side must be like"),
        ({"fault": "gap", "params": [1]}, "params is an object"),
        ({"fault": "gap", "at_s": -1}, "not negative"),
        ({"fault": "gap", "for_s": "1"}, "not negative"),
        ({"fault": "gap", "for_s": True}, "not negative"),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_allowed(value: object, text: str) -> None:
    with pytest.raises(FaultError, match=text):
        read_request(value, SERVED)


def test_every_fault_has_a_sentence_and_an_effect_where_it_acts_on_frames() -> None:
    assert set(EFFECTS) == {name for name, kind in CATALOGUE.items() if kind.where == "frames"}
    for kind in CATALOGUE.values():
        assert kind.sentence


def test_the_register_tells_scheduled_active_and_over() -> None:
    register = Register()
    fault = register.add(read_request({"fault": "stall", "at_s": 2}, SERVED), 1_000)
    assert register.report()["scheduled"][0]["due_ns"] == 2_000_001_000
    assert register.find(fault.id) is fault
    register.begin(fault, 5, 1.5)
    assert list(register.active) == [fault.id]
    assert register.on("frames") == [fault]
    assert register.on("port", "all") == []
    register.end(fault, 9)
    report = register.report()
    assert (report["active"], report["scheduled"]) == ([], [])
    assert (report["log"][0]["began_ns"], report["log"][0]["ended_ns"]) == (5, 9)
    assert register.find(fault.id) is None


def test_a_fault_touches_its_venue_and_market_only() -> None:
    register = Register()
    fault = register.add(read_request({"fault": "gap", "venue": "aster", "market": "BTC-PERP"}, SERVED), 0)
    assert fault.touches("aster", "BTC-PERP")
    assert not fault.touches("aster", "ETH-PERP")
    assert not fault.touches("aster", None)
    assert not fault.touches("lighter", "BTC-PERP")
