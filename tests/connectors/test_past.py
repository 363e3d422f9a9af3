"""What a successor is told of a venue's limits is true by its own clocks, and nothing damaged is believed."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.effects import Now
from connectors.past import LONGEST_HOLD_NS, MOST_SPENT, Past, Unusable, decode, encode
from tests.connectors.doubles import S, at

PAST = Past([(1 * S, 1), (2 * S, 3)], [(3 * S, 1)], [(4 * S, 20)], 90 * S, 0)


def test_within_one_boot_the_monotonic_clock_goes_on_whatever_the_wall_clock_did() -> None:
    record = encode(PAST, "boot", "host", at(10 * S))
    assert decode(record, "boot", "host", Now(11 * S, 0)) == PAST


def test_across_a_boot_the_wall_clock_says_how_long_it_was() -> None:
    record = encode(PAST, "boot", "host", Now(100 * S, 1_000 * S))
    after = decode(record, "another", "host", Now(5 * S, 1_060 * S))
    assert after.connects_held_until == -65 * S, "held until 10 s before it was written"
    record = encode(Past(connects_held_until=300 * S), "boot", "host", Now(100 * S, 1_000 * S))
    assert decode(record, "another", "host", Now(5 * S, 1_060 * S)) == Past(connects_held_until=145 * S)
    assert decode(record, "another", "host", Now(5 * S, 0)) == Past(connects_held_until=205 * S), "set back: no credit"


def test_two_of_one_instant_are_in_order_whatever_they_cost() -> None:
    past = Past(rest=[(4 * S, 20), (4 * S, 2)])
    assert decode(encode(past, "boot", "host", at(10 * S)), "boot", "host", at(11 * S)) == past


def test_what_was_not_held_is_not_held_after_a_boot() -> None:
    record = encode(Past([(1, 1)]), "boot", "host", at(10 * S))
    assert decode(record, "another", "host", at(0)).connects_held_until == 0


@given(st.integers(0, LONGEST_HOLD_NS), st.integers(0, 10**9), st.integers(0, 10**12))
def test_a_hold_never_grows_and_never_ends_early(held_ns: int, away_s: int, boot_mono: int) -> None:
    record = encode(Past(rest_held_until=7 + held_ns), "boot", "host", Now(7, 1_000))
    after = decode(record, "another", "host", Now(boot_mono, 1_000 + away_s * S))
    assert after.rest_held_until - boot_mono == held_ns - away_s * S


@pytest.mark.parametrize(
    ("past", "why"),
    [
        (Past([(2, 1), (1, 1)]), "units"),
        (Past(rest=[(11 * S, 1)]), "units"),
        (Past(messages=[(1, -1)]), "units"),
        (Past([(1, 0)] * (MOST_SPENT + 1)), "units"),
        (Past(connects_held_until=10 * S + LONGEST_HOLD_NS + 1), "hold"),
        (Past(rest_held_until=10 * S + LONGEST_HOLD_NS + 1), "hold"),
    ],
)
def test_the_impossible_is_left_aside(past: Past, why: str) -> None:
    with pytest.raises(Unusable, match=why):
        decode(encode(past, "boot", "host", at(10 * S)), "boot", "host", at(11 * S))


def test_a_record_of_the_future_or_of_another_address_is_left_aside() -> None:
    record = encode(PAST, "boot", "host", at(10 * S))
    with pytest.raises(Unusable, match="future"):
        decode(record, "boot", "host", at(9 * S))
    with pytest.raises(Unusable, match="address: host"):
        decode(record, "boot", "testnet", at(11 * S))


@given(st.binary(max_size=60))
def test_damage_is_left_aside(damage: bytes) -> None:
    record = encode(PAST, "boot", "host", at(10 * S))
    for data in (damage, record[:-1], record + damage + b"x", b"\xff" + record):
        with pytest.raises(Unusable):
            decode(data, "boot", "host", at(11 * S))


def test_a_record_with_something_new_in_it_is_left_aside() -> None:
    record = {**msgspec.json.decode(encode(PAST, "boot", "host", at(10 * S))), "more": 1}
    with pytest.raises(Unusable, match="more"):
        decode(msgspec.json.encode(record), "boot", "host", at(11 * S))
