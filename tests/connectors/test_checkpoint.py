"""A state holds everything of an engine's past, and reading one can make nothing but such values."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from importlib import import_module
from random import Random
from typing import Any
from weakref import WeakSet

import pytest

from bus.counters import Counters
from bus.settings import VENUES, load
from connectors import checkpoint
from connectors.capture import CaptureError
from connectors.effects import Fetch
from connectors.engine import Engine
from connectors.venue import load as load_venue
from connectors.watch import Watch
from tests.connectors.doubles import FakePorts, at


def engine(venue: str) -> tuple[Engine, FakePorts]:
    spec, factory = load_venue(venue)
    ports = FakePorts()
    made = Engine(spec, factory, load({}).venues[venue], ports, Counters(), Random(1))
    made.watch = Watch()
    return made, ports


@pytest.mark.parametrize("venue", VENUES)
def test_an_engine_that_is_given_a_state_does_what_the_other_does(venue: str) -> None:
    (one, said), (other, also) = engine(venue), engine(venue)
    one.start(at(0))
    for key, _ in said.connects:
        one.opened(key, at(1))
    state = checkpoint.dump(one, said.fetches)
    assert [(key, request.url) for key, request in checkpoint.restore(state, other)] == [
        (key, request.url) for key, request in said.fetches
    ]
    assert vars(other).keys() == vars(one).keys()
    assert other.counters.values == one.counters.values
    assert other.ports is also
    before = len(said.events), len(said.sent), len(said.connects)
    for played in (one, other):
        for second in range(1, 90):
            played.woken(at(second * 1_000_000_000))
    assert (also.events, also.sent, also.connects) == (
        said.events[before[0] :],
        said.sent[before[1] :],
        said.connects[before[2] :],
    )
    assert len(also.events) + len(also.connects) > 0


def test_what_refers_to_one_thing_still_does() -> None:
    one, said = engine("aster")
    one.start(at(0))
    other, _ = engine("aster")
    asked = checkpoint.restore(checkpoint.dump(one, said.fetches), other)
    link = next(iter(other.active.links.values()))
    assert other._by_key[link.key] == (other.active, link)  # noqa: SLF001 - sameness is what is tested
    assert all(isinstance(request, Fetch) for _, request in asked)


class Names:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


WRONG = [
    Names(print, "x"),
    Names(import_module, "os"),
    Names(eval, "1"),
    Names(getattr, Watch(), "__class__"),
    Names(getattr, Watch(), "escalations"),
    Names(getattr, "text", "upper"),
    Names(partial, print),
]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_state_that_names_anything_else_is_refused(wrong: Names) -> None:
    with pytest.raises(CaptureError):
        checkpoint.restore(pickle.dumps(({"x": wrong}, {}, [])), engine("aster")[0])


@pytest.mark.parametrize("name", ["import_module", "__builtins__", "SPEC.__class__", "no_such_thing"])
def test_a_module_of_ours_lends_only_what_is_its_own(name: str) -> None:
    state = b"\x80\x04\x8c\x10connectors.venue\x8c" + bytes([len(name)]) + name.encode() + b"\x93."
    with pytest.raises(CaptureError):
        checkpoint.restore(state, engine("aster")[0])


@pytest.mark.parametrize("state", [b"", b"nonsense", pickle.dumps(1), pickle.dumps((1, 2, 3))])
def test_what_is_no_state_is_refused(state: bytes) -> None:
    with pytest.raises(CaptureError, match="another version"):
        checkpoint.restore(state, engine("aster")[0])


def test_a_weak_set_holds_what_it_held() -> None:
    one, _ = engine("aster")
    one.start(at(0))
    kept = one.active
    one.weak = WeakSet([kept])  # type: ignore[attr-defined]
    other, _ = engine("aster")
    checkpoint.restore(checkpoint.dump(one, []), other)
    assert list(other.weak) == [other.active]  # type: ignore[attr-defined]


def test_a_closure_has_no_place_in_a_state() -> None:
    one, _ = engine("aster")
    one.start(at(0))
    one.odd = lambda: None  # type: ignore[attr-defined]
    with pytest.raises(checkpoint.UNWRITABLE):
        checkpoint.dump(one, [])
