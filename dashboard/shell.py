"""The dashboard's loop: the bus in, pages out, a heartbeat of its own. One thread; whatever fails ends the process."""

from __future__ import annotations

import asyncio
import os
import signal
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from bus import clock
from bus.aio import AsyncSubscriber
from bus.events import NO_MARKET
from bus.process import Pulse
from bus.settings import Settings
from bus.sockets import Producer, is_local, new_epoch
from dashboard import page, serve
from dashboard.plan import plan
from dashboard.state import KINDS, Now, State
from dashboard.stream import Hub
from dashboard.web import VERSION, Web

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

NAME: Final = "dashboard"
QUIET_S: Final = 0.4
"""Pages hear from us at least so often, whether there is telemetry or not."""
DETAIL_NS: Final = 1_000_000_000
BUSY_S: Final = 0.02
ATTEND_S: Final = 0.25


def now() -> Now:
    """Both clocks."""
    return Now(*clock.now())


class Shell:
    """One running dashboard. Raises SettingsError and TransportError as ``plan`` and ``serve.bind`` do."""

    def __init__(self, settings: Settings, log: FilteringBoundLogger) -> None:
        self._settings = settings
        self._log = log
        host = settings.dashboard.host
        watched = plan(settings, same_host=is_local(settings.endpoint("market_out")))
        self._socket = serve.bind(host, settings.dashboard.port)
        self._subscriber = AsyncSubscriber(settings, kinds=KINDS, books=False, name=NAME)
        self.state = State(watched, now(), self._subscriber.counters)
        self._hub = Hub(lambda: page.hello(self.state, now(), VERSION), self.state.counters)
        local = _is_loopback(host)
        self._server = serve.server(Web(self.state, self._hub, now, local=local).app, log)
        self._marked = 0
        self._detailed = 0
        if not local:
            log.warning(
                "open_to_others", host=host, hint="everybody who reaches it may look; nobody can change anything"
            )

    @property
    def url(self) -> str:
        """Where it is served."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        async with asyncio.TaskGroup() as group:
            others = [group.create_task(self._follow()), group.create_task(self._beat())]
            await self._server.serve([self._socket])
            for task in others:
                task.cancel()

    def _stop(self) -> None:
        self._hub.close()
        self._server.should_exit = True

    async def _follow(self) -> None:
        """Take what the bus delivers and tell the pages."""
        async with self._subscriber as subscriber:
            told = 0
            while True:
                items = await subscriber.poll(QUIET_S)
                present = now()
                ticked = [self.state.take(item, present) for item in items]
                self.state.watch(present)
                if any(ticked) or present.mono - told >= QUIET_S * 1e9:
                    told = present.mono
                    self._tell(present)

    def _tell(self, present: Now) -> None:
        marked, self._marked = self._marked, self.state.history.number
        if not len(self._hub):
            return
        self._hub.publish(page.tick(self.state, present, marked))
        if present.mono - self._detailed >= DETAIL_NS:
            self._detailed = present.mono
            self._hub.publish(page.detail(self.state, present))

    async def _beat(self) -> None:
        """Heartbeats: without them the sentinel takes this process for hung."""
        counters, epoch = self.state.counters, new_epoch()
        producer = Producer(self._settings, NAME, epoch, counters)
        pulse = Pulse(os.getpid(), epoch, counters)
        joined = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(producer.link.fd, joined.set)
        try:
            while True:
                joined.clear()
                producer.attend()
                mono, wall = clock.now()
                if pulse.deadline <= mono:
                    producer.publish(NO_MARKET, pulse.beat(clock.usage(), mono), wall, mono)
                wait_s = (pulse.deadline - clock.mono()) / 1e9
                try:
                    async with asyncio.timeout(
                        max(0.0, min(wait_s, ATTEND_S if producer.outbox.deadline is None else BUSY_S))
                    ):
                        await joined.wait()
                except TimeoutError:
                    continue
        finally:
            loop.remove_reader(producer.link.fd)
            producer.close()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
