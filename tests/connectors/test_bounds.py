"""No integer that a venue sends can outgrow 64 bits on its way to the bus, which could not be encoded."""

from __future__ import annotations

from importlib import import_module

import msgspec
import pytest
from msgspec import inspect

from bus.settings import VENUES

INT64 = 2**63
HERE = {"id", "code", "close_in_ms"}
"""Fields of requests and refusals: they never leave the connector."""
LOOSE = {"MarketRow", "SummaryRow"}
"""Paradex's rows: text or number, read as finite floats and text only."""
MARGIN = 1_000_000
"""From milliseconds to nanoseconds."""


def structs(venue: str) -> list[type[msgspec.Struct]]:
    module = import_module(f"connectors.{venue}.messages")
    found = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    # What SBE frames are read into has the width of their fields.
    return [kind for kind in found if kind.__module__ == module.__name__ and not kind.__name__.endswith("Event")]


def integers(kind: inspect.Type) -> list[inspect.IntType]:
    if isinstance(kind, inspect.IntType):
        return [kind]
    if isinstance(kind, inspect.UnionType):
        return [found for each in kind.types for found in integers(each)]
    if isinstance(kind, inspect.ListType):
        return integers(kind.item_type)
    if isinstance(kind, inspect.TupleType):
        return [found for each in kind.item_types for found in integers(each)]
    return []


@pytest.mark.parametrize("venue", VENUES)
def test_every_integer_of_a_frame_is_bounded(venue: str) -> None:
    seen = 0
    for struct in structs(venue):
        described = inspect.type_info(struct)
        assert isinstance(described, inspect.StructType)
        for field in described.fields:
            if field.name in HERE or (venue == "paradex" and struct.__name__ in LOOSE):
                continue
            for kind in integers(field.type):
                lowest = kind.ge if kind.ge is not None else kind.gt
                highest = kind.le if kind.le is not None else kind.lt
                assert lowest is not None, f"{struct.__name__}.{field.name}"
                assert highest is not None, f"{struct.__name__}.{field.name}"
                assert lowest >= -INT64
                assert highest <= INT64
                seen += 1
    assert seen


@pytest.mark.parametrize("venue", VENUES)
def test_a_time_in_milliseconds_fits_as_nanoseconds(venue: str) -> None:
    millis = getattr(import_module(f"connectors.{venue}.messages"), "Millis", None)
    if millis is not None:
        (bounded,) = integers(inspect.type_info(millis))
        assert bounded.lt is not None
        assert bounded.lt * MARGIN < INT64
