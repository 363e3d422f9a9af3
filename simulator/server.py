"""Puts venues, control API and ports together; one object an embedding test can start and stop."""

from __future__ import annotations

import asyncio
import os
from random import Random
from typing import TYPE_CHECKING, Any

from aiohttp import web

from simulator.clock import Clock
from simulator.control import Control
from simulator.decimals import encode
from simulator.limits import Ledger
from simulator.listener import Listener
from simulator.mischief import Mischief
from simulator.scenario import read_scenario
from simulator.scheduler import Scheduler
from simulator.storm import storm
from simulator.tls import server_context
from simulator.venues import venue_class

if TYPE_CHECKING:
    import ssl
    from collections.abc import Coroutine
    from pathlib import Path

    from simulator.settings import Settings

SHUTDOWN_S = 0.3


class Simulator:
    """All venues of one run. ``start``, then ``failed`` resolves only when something inside broke, then ``stop``."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = Clock()
        self.ledger = Ledger()
        self._tasks: set[asyncio.Task[None]] = set()
        rng = Random(f"{settings.seed}:faults")
        self.mischief = Mischief(self.clock, Scheduler(self._fail), rng, self._spawn)
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.venues = {
            name: venue_class(name)(settings, self.mischief.hook, self.ledger, self._fail) for name in settings.venues
        }
        self.listeners: dict[str, Listener] = {}
        self._runners: list[web.AppRunner] = []
        self._started = self.clock.monotonic()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    async def settled(self) -> None:
        """Wait until every port is in the mode that the faults in force ask for."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)

    async def start(self) -> None:
        """Listen on every port, begin the markets, write the ports file."""
        tls = self._tls()
        await self._serve("control", Control(self).application(), self.settings.port(None), None)
        for name, venue in self.venues.items():
            await self._serve(name, venue.application(), self.settings.port(name), tls)
        for venue in self.venues.values():
            venue.begin()
        self.mischief.attach(self.venues, {name: self.listeners[name] for name in self.venues})
        if self.settings.scenario is not None:
            text = self.settings.scenario.read_text(encoding="utf-8")
            self.mischief.schedule(read_scenario(text, self.mischief.served))
        if self.settings.storm_s is not None:
            gusts = storm(Random(f"{self.settings.seed}:storm"), self.mischief.served, self.settings.storm_s)
            self.mischief.schedule(gusts)
        if self.settings.ports_file is not None:
            write_atomically(self.settings.ports_file, encode(self.ports()))

    def _tls(self) -> ssl.SSLContext | None:
        if self.settings.tls_dir is None:
            return None
        return server_context(self.settings.tls_dir, wrong=self.settings.wrong_certificate)

    async def _serve(self, name: str, app: web.Application, port: int, tls: ssl.SSLContext | None) -> None:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S, handler_cancellation=False)
        await runner.setup()
        self._runners.append(runner)
        if runner.server is None:
            message = f"{name}: no server"
            raise RuntimeError(message)
        listener = Listener(self.settings.host, port, runner.server, tls)
        await listener.switch("serve")
        self.listeners[name] = listener

    async def stop(self) -> None:
        """Drop every connection and free every port."""
        self.mischief.clear()
        for task in list(self._tasks):
            task.cancel()
        for listener in self.listeners.values():
            await listener.close()
        for venue in self.venues.values():
            venue.end()
        for runner in self._runners:
            await runner.cleanup()
        if self.settings.ports_file is not None:
            self.settings.ports_file.unlink(missing_ok=True)

    def ports(self) -> dict[str, Any]:
        """What the ports file holds."""
        secure = "s" if self.settings.tls_dir is not None else ""
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        at = {name: f"{host}:{listener.port}" for name, listener in self.listeners.items()}
        venues = {
            name: {"rest": f"http{secure}://{at[name]}", "ws": f"ws{secure}://{at[name]}"} for name in self.venues
        }
        return {"pid": os.getpid(), "control": f"http://{at['control']}", "venues": venues}

    def state(self) -> dict[str, Any]:
        """What ``GET /state`` answers."""
        return {
            "uptime_s": round(self.clock.monotonic() - self._started, 3),
            "now_ns": self.clock.now_ns(),
            "seed": self.settings.seed,
            "venues": {name: venue.state() for name, venue in self.venues.items()},
            "violations": self.ledger.report(),
        }


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside and rename, so that a reader sees all or nothing."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(data)
    partial.replace(path)
