"""Checkpoints: the whole state of an engine in the middle of its run, so that a replay can begin there.

A pickle of the object graph, which keeps what refers to what. It is read back by an unpickler that makes nothing but
values of the modules that have no I/O, so that a capture from elsewhere can do no more than be wrong.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Sequence
from typing import Any, Final
from weakref import WeakSet

from connectors.capture import CaptureError
from connectors.effects import Fetch
from connectors.engine import Engine

PURE: Final = re.compile(
    r"bus\.(book|counters|events|settings|state)"
    r"|connectors\.(backoff|budget|drift|effects|feed|generation|health|limits|links|past|polls|recovery|replay|streams|teller"
    r"|venue|watch)"
    r"|connectors\.(aster|extended|hyperliquid|lighter|paradex)\.\w+"
)
"""Modules whose classes and functions a state may name."""
PLAIN: Final = frozenset(
    {
        ("_random", "Random"),
        ("_weakrefset", "WeakSet"),
        ("builtins", "bytearray"),
        ("builtins", "frozenset"),
        ("builtins", "set"),
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        ("collections", "deque"),
        ("functools", "partial"),
        ("random", "Random"),
    }
)
"""Others that it may name."""
UNWRITABLE: Final = (pickle.PicklingError, AttributeError, TypeError)
"""What ``dump`` raises for something that has no place in a state: a closure, an open file."""
OWN: Final = ("_performers", "_factory", "counters", "ports", "settings", "spec")
"""What an engine has of its own process rather than of its past."""


def dump(engine: Engine, asked: Sequence[tuple[str, Fetch]]) -> bytes:
    """The state between two calls, with the REST calls that are not answered yet."""
    past = {name: value for name, value in vars(engine).items() if name not in OWN}
    file = io.BytesIO()
    _Pickler(file, engine).dump((past, dict(engine.counters.values), list(asked)))
    return file.getvalue()


def restore(state: bytes, engine: Engine) -> list[tuple[str, Fetch]]:
    """Put an engine into a state, whatever it has been told before. Raises CaptureError, the engine is void then."""
    try:
        past, counts, asked = _Unpickler(io.BytesIO(state), engine).load()
        engine.counters.values.clear()
        engine.counters.values.update(counts)
        vars(engine).update(past)
        return list(asked)
    except CaptureError:
        raise
    except Exception as error:  # noqa: BLE001 - a pickle of other code fails in any way
        raise CaptureError(f"a state of another version of the program: {error}") from None


def _own(engine: Engine) -> dict[str, object]:
    """What is named in a state instead of being in it."""
    named = {name: getattr(engine, name) for name in OWN if name != "_performers"}
    return {"engine": engine, **named}


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, engine: Engine) -> None:
        super().__init__(file, protocol=5)
        self._names = {id(value): name for name, value in _own(engine).items()}

    def persistent_id(self, value: object) -> str | None:
        return self._names.get(id(value))

    def reducer_override(self, value: object) -> Any:  # noqa: ANN401 - as in the base class
        return (WeakSet, (list(value),)) if isinstance(value, WeakSet) else NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, engine: Engine) -> None:
        super().__init__(file)
        self._own = _own(engine)

    def persistent_load(self, name: Any) -> object:  # noqa: ANN401 - as in the base class
        return self._own[name]

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("builtins", "getattr"):
            return _method
        if (module, name) in PLAIN:
            return super().find_class(module, name)
        if PURE.fullmatch(module) and not any(part.startswith("__") for part in name.split(".")):
            found = super().find_class(module, name)
            # A module's own: not what it has imported.
            if PURE.fullmatch(getattr(found, "__module__", "")):
                return found
        raise CaptureError(f"a state names {module}.{name}")


def _method(of: object, name: str) -> object:
    """A bound method is pickled as this call."""
    found = getattr(of, name)
    if name.startswith("__") or not PURE.fullmatch(type(of).__module__) or not callable(found):
        raise CaptureError(f"a state names {name!r} of a {type(of).__name__}")
    return found
