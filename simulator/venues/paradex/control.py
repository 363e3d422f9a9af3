"""The JSON-RPC control plane (pure): requests in, text with a trailing newline out."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from simulator.decimals import encode

PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS = -32700, -32600, -32601, -32602
METHODS = ("subscribe", "unsubscribe", "modify_subscription")


class Request(NamedTuple):
    """A well-formed one; ``id`` is 0 when it had none."""

    id: int | str
    method: str
    channel: str
    params: dict[str, Any]


class Failure(NamedTuple):
    """A refusal; ``data`` tells the cause."""

    id: int | str
    code: int
    message: str
    data: str | None = None


def parse(message: str | bytes) -> Request | Failure:
    """Read one message."""
    try:
        value = msgspec.json.decode(message)
    except (msgspec.DecodeError, RecursionError):
        return Failure(0, PARSE_ERROR, "parse error")
    if not isinstance(value, dict):
        return Failure(0, INVALID_REQUEST, "invalid request")
    number = value.get("id", 0)
    number = number if isinstance(number, int | str) else 0
    method, params = value.get("method"), value.get("params")
    if not isinstance(method, str):
        return Failure(number, INVALID_REQUEST, "invalid request")
    if method not in METHODS:
        return Failure(number, NO_METHOD, "method does not exist")
    if not isinstance(params, dict) or not isinstance(params.get("channel"), str):
        return Failure(number, INVALID_PARAMS, "Invalid parameters")
    return Request(number, method, params["channel"], params)


def symbols(params: dict[str, Any], name: str) -> list[str]:
    """A list of names among the parameters."""
    found = params.get(name)
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _stamps(us_in: int, us_out: int) -> dict[str, int]:
    return {"usIn": us_in, "usDiff": us_out - us_in, "usOut": us_out}


def ack(request: Request, us_in: int, us_out: int) -> bytes:
    """``result.channel`` is what was asked for."""
    value = {"jsonrpc": "2.0", "id": request.id, "result": {"channel": request.channel}} | _stamps(us_in, us_out)
    return encode(value) + b"\n"


def error(failure: Failure, us_in: int, us_out: int) -> bytes:
    """One request failed; the connection lives on."""
    body: dict[str, Any] = {"code": failure.code, "message": failure.message}
    if failure.data is not None:
        body["data"] = failure.data
    value = {"jsonrpc": "2.0", "id": failure.id, "error": body} | _stamps(us_in, us_out)
    return encode(value) + b"\n"
