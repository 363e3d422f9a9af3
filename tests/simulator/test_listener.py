"""A port that serves, refuses, swallows or drops, always under the same number."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from simulator.frames import Mode
from simulator.listener import Listener


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(b"hello")
        transport.close()


async def outcome(port: int) -> str:
    """What a client of the port experiences."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return "refused"
    try:
        async with asyncio.timeout(0.3):
            data = await reader.read()
    except TimeoutError:
        return "silence"
    except ConnectionResetError:
        return "reset"
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return data.decode() or "closed"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("refuse", "refused"), ("blackhole", "silence"), ("accept_close", "closed"), ("accept_reset", "reset")],
)
def test_each_mode_and_back_to_serving(mode: Mode, expected: str) -> None:
    async def run() -> list[str]:
        listener = Listener("127.0.0.1", 0, Echo, None)
        await listener.switch("serve")
        port = listener.port
        seen = [await outcome(port)]
        await listener.switch(mode)
        await listener.switch(mode)
        seen.append(await outcome(port))
        await listener.switch("serve")
        assert listener.port == port
        seen.append(await outcome(port))
        await listener.close()
        return seen

    assert asyncio.run(run()) == ["hello", expected, "hello"]


def test_a_black_hole_lets_go_when_it_ends() -> None:
    async def run() -> bytes | type[Exception]:
        listener = Listener("127.0.0.1", 0, Echo, None)
        await listener.switch("blackhole")
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        await asyncio.sleep(0)
        reading = asyncio.create_task(reader.read())
        await listener.switch("serve")
        try:
            async with asyncio.timeout(20):
                return await reading
        except ConnectionResetError as error:
            return type(error)
        finally:
            writer.close()
            await listener.close()

    assert asyncio.run(run()) in {b"", b"hello", ConnectionResetError}
