"""The publisher as a process: exit codes, signals, and what its death does to those around it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bus.accounting import Ledger
from bus.items import Lost
from bus.settings import EXIT_SETTINGS
from tests.bus import samples
from tests.bus.conftest import Stage, stage
from tests.bus.plane import ROOT, Listener, Talker, start, turning

if TYPE_CHECKING:
    from tests.conftest import Eventually

__all__ = ["stage"]
pytestmark = pytest.mark.slow
MARKET = "BTC-PERP"
Process = subprocess.Popen[bytes]


@pytest.fixture
def launch(run_dir: Path) -> Iterator[Callable[[], Process]]:
    """Give a function that starts a publisher; whatever still runs in the end is killed."""
    started: list[Process] = []

    def one() -> Process:
        started.append(start(run_dir))
        return started[-1]

    yield one
    for process in started:
        process.kill()
        process.wait()


def run(run_dir: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PARAPHINA_RUN_DIR": str(run_dir), **environ}
    command = [sys.executable, "-m", "publisher"]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_unusable_settings_end_it_with_their_own_code(run_dir: Path) -> None:
    file = run_dir / "bad.toml"
    file.write_text("[bus]\nhwm = 1\n")
    done = run(run_dir, PARAPHINA_CONFIG=str(file))
    assert done.returncode == EXIT_SETTINGS
    assert 'key=bus.hwm problem="unknown key"' in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_an_endpoint_open_to_others_ends_it_with_that_code_too(run_dir: Path) -> None:
    file = run_dir / "open.toml"
    file.write_text('[bus]\nmarket_in = "tcp://0.0.0.0:7001"\n')
    done = run(run_dir, PARAPHINA_CONFIG=str(file))
    assert done.returncode == EXIT_SETTINGS
    assert "bus.market_in" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_it_does_within_a_second(
    stage: Stage, launch: Callable[[], Process], eventually: Eventually, number: signal.Signals
) -> None:
    process, listener = launch(), stage.listener(kinds=["heartbeat"])
    eventually(turning(listener)(lambda: listener.items))
    asked = time.monotonic()
    process.send_signal(number)
    assert process.wait(60) == 0
    assert time.monotonic() - asked < 5.0


class Load:
    """A producer that never stops talking, and consumers that check every book they trust against what was said."""

    def __init__(self, stage: Stage, consumers: int = 2) -> None:
        self.talker: Talker = stage.talker()
        self.listeners: list[Listener] = [stage.listener(name=f"c{number}") for number in range(consumers)]
        self.last = 0
        self.truth: dict[int, float] = {}
        self.paused: set[Listener] = set()
        self.talker.say(samples.book(0, levels=50))
        self.truth[0] = 1.0

    def turn(self) -> None:
        for _ in range(20):
            self.last += 1
            self.truth[self.last] = float(self.last)
            self.talker.say(samples.delta(self.last, float(self.last)), samples.trade(self.last))
        self.talker.turn()
        for listener in self.listeners:
            if listener not in self.paused:
                listener.items += listener.subscriber.poll(0.0)
                self.check(listener)

    def check(self, listener: Listener) -> None:
        view = listener.subscriber.book("aster", MARKET)
        if view is not None and view.trusted:
            assert view.venue_seq is not None
            assert view.levels.best()[1] == self.truth[view.venue_seq]

    def whole(self, listener: Listener) -> bool:
        """Whether the consumer trusts a book, and one that is hardly older than what is being said."""
        view = listener.subscriber.book("aster", MARKET)
        return view is not None and view.trusted and (view.venue_seq or 0) > self.last - 2_000

    def until(self, eventually: Eventually, condition: Callable[[], bool]) -> None:
        eventually(lambda: (self.turn(), condition())[1], every=0.001)  # type: ignore[func-returns-value]

    def all_whole(self) -> bool:
        return all(self.whole(listener) for listener in self.listeners if listener not in self.paused)

    def settle(self, eventually: Eventually) -> None:
        """Say nothing more and let everything arrive."""
        for listener in self.listeners:
            arrived = turning(self.talker, listener)
            eventually(
                arrived(
                    lambda listener=listener: (
                        getattr(  # type: ignore[misc]
                            listener.subscriber.book("aster", MARKET), "venue_seq", None
                        )
                        == self.last
                    )
                )
            )
            beats = len(listener.items)
            eventually(arrived(lambda listener=listener, beats=beats: len(listener.items) > beats + 3))  # type: ignore[misc]
            ledger = Ledger()
            for item in listener.items:
                ledger.take(item)
            total = ledger.total()
            assert total.imbalance == 0
            assert total.published == total.applied + total.merged + total.dropped + total.in_flight
            chains = self.talker.producer.outbox.chains()
            trades = ledger.balances()["trade.aster.BTC-PERP"]
            assert trades.in_flight == 0
            assert trades.published <= chains["trade.aster.BTC-PERP"]


def test_killed_under_load_it_comes_back_and_everybody_is_whole(
    stage: Stage, launch: Callable[[], Process], eventually: Eventually
) -> None:
    process, load = launch(), Load(stage)
    load.until(eventually, load.all_whole)
    for _ in range(3):
        process.kill()
        process.wait()
        said = load.last
        load.until(eventually, lambda: not any(load.whole(listener) for listener in load.listeners))
        assert load.last > said, "the producer went on"
        process = launch()
        back = load.last
        load.until(eventually, lambda back=back: load.all_whole() and load.last > back)  # type: ignore[misc]
    load.settle(eventually)
    assert any(isinstance(item, Lost) for listener in load.listeners for item in listener.items)


def test_stopped_for_a_while_it_makes_producers_merge_and_nobody_trusts_what_is_wrong(
    stage: Stage, launch: Callable[[], Process], eventually: Eventually
) -> None:
    process, load = launch(), Load(stage)
    load.until(eventually, load.all_whole)
    process.send_signal(signal.SIGSTOP)
    load.until(eventually, lambda: load.talker.counters.snapshot().get("mp_pending_latest_replaced_count", 0) > 100)
    assert load.talker.counters.snapshot()["mp_try_send_full_count"] > 0
    process.send_signal(signal.SIGCONT)
    load.until(eventually, load.all_whole)
    load.settle(eventually)


def test_a_consumer_that_stops_listening_costs_the_others_nothing(
    stage: Stage, launch: Callable[[], Process], eventually: Eventually
) -> None:
    launch()
    load = Load(stage)
    quick, slow = load.listeners
    load.until(eventually, load.all_whole)
    load.paused.add(slow)
    start_at = load.last
    load.until(eventually, lambda: load.last > start_at + 40_000)
    load.paused.clear()
    load.until(eventually, load.all_whole)
    load.settle(eventually)
    assert not [item for item in quick.items if isinstance(item, Lost)]
    assert [item for item in slow.items if isinstance(item, Lost)]
