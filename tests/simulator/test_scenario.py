"""Scenario files are read strictly."""

import pytest

from simulator.faults import FaultError
from simulator.scenario import read_scenario

SERVED = {"aster": {"BTC-PERP"}, "lighter": {"BTC-PERP"}}

TEXT = """
title = "two faults"

[[fault]]
fault = "stall"
venue = "aster"
market = "BTC-PERP"
at_s = 5
for_s = 10

[[fault]]
fault = "close"
at_s = 20.5
params = { code = 1001 }

[[fault]]
fault = "reset"
venue = "paradex"
"""


def test_faults_of_venues_that_are_not_served_are_left_out() -> None:
    requests = read_scenario(TEXT, SERVED)
    assert [(one.fault, one.venue, one.market, one.at_s, one.for_s) for one in requests] == [
        ("stall", "aster", "BTC-PERP", 5.0, 10.0),
        ("close", None, None, 20.5, None),
    ]
    assert requests[1].params["code"] == 1001
    assert read_scenario("", SERVED) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[fault", "scenario: "),
        ("faults = []", "unknown key: faults"),
        ("fault = 5", r"\[\[fault\]\] tables"),
        ('[[fault]]\nfault = "stall"\n[[fault]]\nfault = "x"', "fault 2: unknown fault 'x'"),
        ('[[fault]]\nfault = "stall"\nvenue = "asterr"', "fault 1: venue 'asterr' is not served"),
        ("fault = [5]", "fault 1: a fault is an object"),
    ],
)
def test_a_mistake_names_its_entry(text: str, message: str) -> None:
    with pytest.raises(FaultError, match=message):
        read_scenario(text, SERVED)
