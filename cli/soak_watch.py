"""The command's side of a soak: starts the keeper, shows what goes on, and takes over when the keeper dies."""

from __future__ import annotations

import selectors
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from bus.client import Subscriber
from bus.events import Telemetry
from bus.items import Message
from bus.settings import Settings, parse
from cli.board import Board, table
from cli.evidence.document import duration
from cli.evidence.scan import Moment, Scan
from cli.evidence.ticks import Tick
from cli.finish import salvage
from cli.keeper import plane_settings
from cli.manifest import Order
from cli.tie import adopt_orphans, end_children

TURN_S: Final = 0.25
SHOWN: Final = 8
"""Latest happenings below the table."""
CODES: Final = {"interrupted": 130, "failed": 3, "abandoned": 3}


class Watch:
    """One soak, seen from the terminal."""

    def __init__(self, order: Order, console: Console) -> None:
        self._order = order
        self._console = console
        self._board = Board()
        self._scan = Scan(whole_run=order.mode != "attach")
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._task = self._progress.add_task("starting", total=None)
        self._keeper: subprocess.Popen[bytes] | None = None
        self._base: Path | None = None
        self._subscriber: Subscriber | None = None
        self._began = 0.0
        self._told = 0
        self._held = b""
        self._done: dict[str, Any] | None = None
        self._stopping = False

    def stop(self, *_: object) -> None:
        """Have the run end early, with all its evidence."""
        self._stopping = True
        if self._keeper is not None and self._keeper.stdin is not None:
            with suppress(OSError):
                self._keeper.stdin.write(b"stop\n")
                self._keeper.stdin.flush()

    def run(self, environment: Mapping[str, str]) -> int:
        """Until the keeper has finished; the exit code."""
        adopt_orphans()
        self._keeper = subprocess.Popen(
            [sys.executable, "-m", "cli.keeper"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(environment),
            # Away from the terminal's process group, whose Ctrl-C is for us to pass on.
            start_new_session=True,
        )
        assert self._keeper.stdin is not None  # noqa: S101 - a pipe, as asked for
        with suppress(OSError):
            self._keeper.stdin.write(msgspec.json.encode(self._order) + b"\n")
            self._keeper.stdin.flush()
        if self._stopping:
            self.stop()
        with ExitStack() as stack:
            live = Live(console=self._console, auto_refresh=False, transient=True)
            if self._console.is_terminal:
                stack.enter_context(live)
            self._follow(live)
        self._keeper.wait()
        if self._subscriber is not None:
            self._subscriber.close()
        return self._ended()

    def _follow(self, live: Live) -> None:
        assert self._keeper is not None  # noqa: S101 - run() has started it
        assert self._keeper.stdout is not None  # noqa: S101 - a pipe, as asked for
        with selectors.DefaultSelector() as selector:
            selector.register(self._keeper.stdout, selectors.EVENT_READ)
            while self._done is None:
                wait_s = 0.0 if self._subscriber is not None else TURN_S
                if selector.select(wait_s) and not self._hear(self._keeper.stdout.fileno()):
                    return
                self._look()
                self._show(live)

    def _hear(self, descriptor: int) -> bool:
        """What the keeper says; False when it says nothing any more."""
        import os

        data = os.read(descriptor, 65_536)
        *lines, self._held = (self._held + data).split(b"\n")
        for line in lines:
            self._heard(msgspec.json.decode(line))
        return bool(data)

    def _heard(self, told: dict[str, Any]) -> None:
        match told["event"]:
            case "starting":
                self._base = Path(told["base"])
            case "running":
                self._began = time.monotonic()
                self._progress.update(self._task, description="soaking", total=told["seconds"])
                self._subscriber = Subscriber(self._settings(), kinds=("telemetry",), name="soak")
            case "reporting":
                self._progress.update(self._task, description="reporting")
                if self._subscriber is not None:
                    self._subscriber.close()
                    self._subscriber = None
            case "done":
                self._done = told
            case _:
                pass

    def _settings(self) -> Settings:
        if self._base is None:
            return parse(self._order.settings, {}, base=self._order.out_dir)
        return plane_settings(self._base)

    def _look(self) -> None:
        if self._subscriber is None:
            return
        for item in self._subscriber.poll(TURN_S):
            if isinstance(item, Message) and isinstance(item.event, Telemetry):
                self._board.absorb(item.event.body)
                self._scan.take(msgspec.convert(item.event.body, Tick))
        self._progress.update(self._task, completed=time.monotonic() - self._began)

    def _show(self, live: Live) -> None:
        moments = self._scan.moments
        if live.is_started:
            latest = [Text(self._line(moment), "dim") for moment in moments[-SHOWN:]]
            live.update(Group(self._progress, table(self._board.rows()), *latest), refresh=True)
        else:
            for moment in moments[self._told :]:
                self._console.print(self._line(moment), markup=False, highlight=False)
        self._told = len(moments)

    def _line(self, moment: Moment) -> str:
        at_ms = moment.at_ms - (self._scan.begin_ms or moment.at_ms)
        return f"{duration(at_ms):>10}  {moment.who}: {moment.what} {moment.words}".rstrip()

    def _ended(self) -> int:
        """Tell how it ended; where the keeper died, do what it would have done."""
        folder = Path(self._order.out_dir)
        done = self._done
        if done is None:
            end_children(0)
            why = "its keeper died"
            gate = salvage(folder, self._base, why)
            if self._base is not None:
                shutil.rmtree(self._base, ignore_errors=True)
            done = {"status": "failed", "why": why, "passed": gate is not None and gate.passed, "failures": []}
        status = done["status"]
        if status != "complete":
            click.echo(f"error: the run did not end as planned: {done['why'] or status}", err=True)
        for failure in done["failures"]:
            value = "unknown" if failure["value"] is None else f"{failure['value']:g}"
            click.echo(f"  {failure['of']} {failure['name']}: {value}, limit {failure['limit']:g}")
        click.echo(f"gate: {'PASS' if done['passed'] else 'FAIL'}")
        click.echo(f"evidence: {folder}")
        return CODES.get(status, 0 if done["passed"] else 1)
