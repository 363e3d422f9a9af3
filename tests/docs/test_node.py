"""The wire document is enough for another language: a reader in Node joins, loses, heals and has the truth."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.bus import samples
from tests.bus.plane import ROOT, Listener, Talker, serving, settings_of, turning

if TYPE_CHECKING:
    from tests.conftest import Eventually

pytestmark = pytest.mark.slow
EXAMPLE = ROOT / "docs" / "examples" / "node"
CHAIN = "book.aster.BTC-PERP"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the example and its libraries, or skip where they cannot be had."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("no Node here")
    folder = tmp_path_factory.mktemp("node")
    for name in ("consumer.mjs", "package.json"):
        shutil.copy(EXAMPLE / name, folder)
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"its libraries cannot be installed here: {done.stderr[-300:]}")
    return folder


class Node:
    """The consumer as a process, and what it has written so far."""

    def __init__(self, folder: Path, run_dir: Path) -> None:
        self._out = run_dir / "node.out"
        with self._out.open("wb") as out:
            command = ["node", "consumer.mjs", f"ipc://{run_dir}/bus"]
            self.process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
        self._read = 0
        self.lines: list[dict[str, Any]] = []

    def turn(self) -> list[dict[str, Any]]:
        """Read what is new; a line still being written is left for the next time."""
        with self._out.open("rb") as out:
            out.seek(self._read)
            data = out.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        self.lines += [json.loads(line) for line in whole.splitlines()]
        return self.lines

    def words(self) -> list[str]:
        return [line["what"] for line in self.turn()]

    def shows(self, version: int) -> bool:
        """Whether its book is trusted and as of this version."""
        shown = [line for line in self.turn() if line["what"] in {"book", "healed"}]
        return bool(shown) and shown[-1]["trusted"] and shown[-1]["venue_seq"] == version

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_a_reader_in_node_heals_a_gap(
    installed: Path, run_dir: Path, closing: ExitStack, eventually: Eventually
) -> None:
    settings = settings_of(run_dir, bus={"consumer_hwm": 500})
    talker, witness = Talker(settings), Listener(settings, kinds=["book"])
    closing.callback(witness.close)
    closing.callback(talker.close)
    turns = turning(talker, witness)
    talker.say(samples.book(1, levels=50))
    with serving(settings) as publisher:
        node = Node(installed, run_dir)
        closing.callback(node.kill)
        eventually(turns(lambda: node.shows(1)))
        node.process.send_signal(signal.SIGSTOP)
        version = 1

        def seen() -> bool:
            view = witness.subscriber.book("aster", "BTC-PERP")
            return view is not None and view.venue_seq == version

        # Many more than its queue and the sockets' own buffers hold.
        while version < 12_000:
            for _ in range(50):
                version += 1
                talker.say(samples.delta(version, float(version)))
            eventually(turns(seen))
        node.process.send_signal(signal.SIGCONT)
        eventually(turns(lambda: node.shows(version)))
        assert "lost" in node.words()
        assert "healed" in node.words()[node.words().index("lost") :]
        # Away for longer than the publisher may be silent, it asks for everything instead of for the one book.
        counts = publisher.counters.snapshot()
        assert counts.get("heals.node", 0) + counts["joins.node"] >= 2
    last = node.lines[-1]
    view = witness.subscriber.book("aster", "BTC-PERP")
    assert view is not None
    assert (last["bid"], last["bid_size"], last["ask"], last["ask_size"]) == view.levels.best()
    for line in node.lines:
        if line["what"] == "book" and line["trusted"] and line["venue_seq"] > 1:
            assert line["bid_size"] == float(line["venue_seq"]), "a trusted book showed what never was"


def test_a_reader_in_node_finds_back_to_a_publisher_that_was_away(
    installed: Path, run_dir: Path, closing: ExitStack, eventually: Eventually
) -> None:
    settings = settings_of(run_dir)
    talker = Talker(settings)
    closing.callback(talker.close)
    talker.say(samples.book(1))
    node = Node(installed, run_dir)
    closing.callback(node.kill)
    with serving(settings):
        eventually(turning(talker)(lambda: node.shows(1)))
    talker.say(samples.delta(2, 2.0))
    with serving(settings):
        eventually(turning(talker)(lambda: node.shows(2)))
    assert node.lines[-1]["chain"] == CHAIN


def test_a_reader_in_node_begins_anew_with_a_sender_that_was_restarted(
    installed: Path, run_dir: Path, closing: ExitStack, eventually: Eventually
) -> None:
    settings = settings_of(run_dir)
    first = Talker(settings)
    first.say(samples.book(1), samples.delta(2))
    with serving(settings):
        node = Node(installed, run_dir)
        closing.callback(node.kill)
        eventually(turning(first)(lambda: node.shows(2)))
        first.close()
        second = Talker(settings)
        closing.callback(second.close)
        second.say(samples.book(7, rebuild=2))
        eventually(turning(second)(lambda: node.shows(7)))
    assert [line["why"] for line in node.lines if line["what"] == "lost"] == ["restart"]
