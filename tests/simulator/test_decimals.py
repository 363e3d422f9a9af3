"""Scaled integers are printed exactly, in every venue's way."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.decimals import encode, fixed, pointed, pointed_decimal, trimmed


@pytest.mark.parametrize(
    ("value", "decimals", "expected"),
    [(191428, 2, "1914.28"), (5, 3, "0.005"), (-5, 3, "-0.005"), (0, 4, "0.0000"), (84143, 0, "84143")],
)
def test_fixed_prints_every_decimal(value: int, decimals: int, expected: str) -> None:
    assert fixed(value, decimals) == expected


@pytest.mark.parametrize(
    ("value", "decimals", "plain", "point"),
    [(841430, 1, "84143", "84143.0"), (441, 5, "0.00441", "0.00441"), (100, 0, "100", "100.0"), (0, 3, "0", "0.0")],
)
def test_zeros_behind_the_point_are_trimmed(value: int, decimals: int, plain: str, point: str) -> None:
    assert trimmed(value, decimals) == plain
    assert pointed(value, decimals) == point


@given(st.integers(-(10**15), 10**15), st.integers(0, 10))
def test_every_way_of_printing_gives_the_same_number(value: int, decimals: int) -> None:
    exact = Decimal(value).scaleb(-decimals)
    shown = {Decimal(print_(value, decimals)) for print_ in (fixed, trimmed, pointed)}
    assert shown == {exact}
    assert Decimal(pointed_decimal(exact)) == exact
    assert "." in pointed_decimal(exact)


def test_encode_gives_compact_json() -> None:
    assert encode({"a": ["1", None, 2]}) == b'{"a":["1",null,2]}'
