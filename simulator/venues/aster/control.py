"""What a client asks on the socket, and how it is answered (pure)."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec

from simulator.decimals import encode

Method = Literal["SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY"]
METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
UNKNOWN_PROPERTY, NOT_BOOLEAN, INVALID, NOT_JSON = 0, 1, 2, 3
PARAMETERS = {"SET_PROPERTY": 2, "GET_PROPERTY": 1}


class Request(NamedTuple):
    """A well-formed request. ``id`` None: it had none, which is served all the same."""

    method: Method
    params: list[Any]
    id: int | None


class Refusal(NamedTuple):
    """An error reply."""

    code: int
    message: str
    id: int | None = None


def parse(text: str | bytes) -> Request | Refusal:
    """Read one message."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return Refusal(NOT_JSON, "Invalid JSON: expected value at line 1 column 1")
    if not isinstance(value, dict):
        return Refusal(INVALID, "Invalid request: invalid type, expected struct Request")
    number = value.get("id")
    if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 0):
        return Refusal(INVALID, "Invalid request: request ID must be an unsigned integer")
    method, params = value.get("method"), value.get("params", [])
    if method is None:
        return Refusal(INVALID, f"Invalid request: missing field `method` at line 1 column {len(text)}", number)
    if method not in METHODS:
        return Refusal(INVALID, f"Invalid request: unknown variant `{method}`, expected one of {_NAMES}", number)
    if not isinstance(params, list) or not _fits(method, params):
        return Refusal(INVALID, "Invalid request: too many parameters", number)
    return Request(method, params, number)


_NAMES = ", ".join(f"`{method}`" for method in METHODS)


def _fits(method: str, params: list[Any]) -> bool:
    if method in {"SUBSCRIBE", "UNSUBSCRIBE"}:
        return all(isinstance(name, str) for name in params)
    return len(params) <= PARAMETERS.get(method, 0)


def property_refusal(request: Request) -> Refusal | None:
    """Whether a SET or GET names a property with a fitting value."""
    name = request.params[0] if request.params else None
    if not isinstance(name, str):
        return Refusal(INVALID, "Invalid request: property name must be a string", request.id)
    if name != "combined":
        return Refusal(UNKNOWN_PROPERTY, "Unknown property", request.id)
    if request.method == "SET_PROPERTY" and not isinstance(request.params[-1], bool):
        return Refusal(NOT_BOOLEAN, "Invalid value type: expected Boolean", request.id)
    return None


def reply(result: Any, number: int | None) -> bytes:  # noqa: ANN401 - any JSON
    """An acknowledgement or a value."""
    return encode({"result": result, "id": number})


def error(refusal: Refusal, shape: str) -> bytes:
    """``bare`` as documented, ``envelope`` as one client met it, ``reversed`` as a relative of this server sends it."""
    body = {"code": refusal.code, "msg": refusal.message}
    match shape:
        case "bare":
            return encode(body)
        case "reversed":
            return encode({"error": body, "id": refusal.id})
        case _:
            return encode({"id": refusal.id, "error": body})
