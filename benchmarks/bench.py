"""What every section needs: a place of its own, settings in it, and the processes that stand for a venue."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.children import Child
from bus.sockets import prepare as prepare_endpoint
from cli.plane import SETTINGS_FILE, Plane, prepare

MARKET = "BTC-PERP"


class Bench:
    """A directory of one measurement, with settings and logs; gone at its end."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.log = base / "children.log"

    def settings(self, tree: Mapping[str, Any] | None = None, *, sim: bool = False) -> Plane:
        """Settings of a plane without processes; ``sim`` points its venues at free ports."""
        plane = prepare(self.base, sim=sim, settings=tree, programs=())
        prepare_endpoint(plane.settings.endpoint("market_in"))
        return plane

    def blasted(self, venue: str, port: str) -> Plane:
        """Settings of a venue that is a blaster on this port."""
        ours = {"ws_url": f"ws://127.0.0.1:{port}", "rest_url": f"http://127.0.0.1:{port}", "markets": [MARKET]}
        return self.settings({"venues": {venue: ours}})

    def child(self, *arguments: str, speaks: bool = True) -> Child:
        """A process under the settings written last; for a ``with`` block."""
        environment = {"PARAPHINA_CONFIG": str(self.base / SETTINGS_FILE)}
        return Child(arguments, self.log, environment=environment, speaks=speaks)

    @contextmanager
    def simulator(self, plane: Plane, *arguments: str) -> Iterator[Child]:
        """The simulated venues of a plane's settings, listening."""
        if plane.control is None:
            raise ValueError("settings without simulated venues")
        ports = self.base / "ports.json"
        ports.unlink(missing_ok=True)
        base = plane.control.rpartition(":")[2]
        with self.child(
            "simulator", "--port-base", base, "--ports-file", str(ports), *arguments, speaks=False
        ) as child:
            child.until(ports.exists, "its ports")
            yield child


@contextmanager
def bench() -> Iterator[Bench]:
    """A Bench in a short temporary directory: socket paths are limited to 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="pb-") as folder:
        yield Bench(Path(folder))
