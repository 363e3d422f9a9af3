"""Setting faults and watching what they do, for the tests of faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import websocket

from tests.simulator.conftest import PATIENCE_S

if TYPE_CHECKING:
    from tests.simulator.conftest import Client, Running


def add(running: Running, fault: str, **options: Any) -> str:  # noqa: ANN401 - JSON
    answer = running.control("POST", "/faults", json={"fault": fault} | options)
    assert answer.status_code == 201, answer.text
    found: str = answer.json()["ids"][0]
    return found


def remove(running: Running, fault_id: str) -> dict[str, Any]:
    answer = running.control("DELETE", f"/faults/{fault_id}")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def subscribed(running: Running, *channels: str) -> Client:
    client = running.connect("lighter", "/stream")
    for channel in channels or ("order_book/1",):
        client.send({"type": "subscribe", "channel": channel})
        name = channel.replace("/", ":")
        client.until(lambda value, name=name: value.get("channel") == name)  # type: ignore[misc]
    return client


def is_update(value: dict[str, Any]) -> bool:
    return value.get("type") == "update/order_book"


def quiet_for(client: Client, seconds: float) -> bool:
    """Whether nothing at all comes for so long."""
    client.ws.settimeout(seconds)
    try:
        client.next()
    except websocket.WebSocketTimeoutException:
        return True
    else:
        return False
    finally:
        client.ws.settimeout(PATIENCE_S)


def drained(client: Client) -> None:
    """Read what is under way."""
    while not quiet_for(client, 0.3):
        pass


def chain_breaks(client: Client, frames: int) -> int:
    """How many of the next frames do not continue the one before."""
    breaks = 0
    last = next(value for value in reversed(client.seen) if is_update(value))["order_book"]["nonce"]
    for _ in range(frames):
        chained = client.until(is_update)["order_book"]
        breaks += chained["begin_nonce"] != last
        last = chained["nonce"]
    return breaks
