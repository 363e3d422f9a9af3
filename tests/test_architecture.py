"""The rules that keep the parts apart: who may import whom, who may touch the world, and how a venue folder looks."""

from __future__ import annotations

import ast
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
VENUES = {"aster", "extended", "hyperliquid", "lighter", "paradex"}
VENUE_FILES = {"__init__.py", "spec.py", "messages.py", "market.py", "protocol.py"}
# What a venue needs beyond that because its protocol does: a name here is a reason to look.
MORE_VENUE_FILES = {"book.py", "joining.py", "wires.py"}
MAX_LINES = 400

# Which of our packages each package may import, besides itself.
MAY_IMPORT = {
    "bus": set[str](),
    "connectors": {"bus"},
    "publisher": {"bus"},
    "runner": {"bus"},
    "sentinel": {"bus"},
    "dashboard": {"bus"},
    "simulator": set[str](),
    "cli": {"bus", "connectors", "publisher", "runner", "sentinel", "dashboard", "simulator"},
}

# The only modules that may touch the world outside (sockets, clocks, threads, files, environment), each with its
# reason. Everything else is pure. pyproject.toml repeats the names for ruff and coverage; tests/test_repository.py
# holds it to this list.
IO_MODULES = {
    "bus/aio.py": "the asyncio face of the client",
    "bus/client.py": "consumers' sockets, and the wait for them",
    "bus/clock.py": "the one place that reads the clocks",
    "bus/lease.py": "lock files, and the end of orphans",
    "bus/log.py": "writes log lines, with their time",
    "bus/siblings.py": "ends a process that hangs",
    "bus/settings.py": "reads the settings file and the environment",
    "bus/sockets.py": "opens ZeroMQ sockets and their run directory",
    "bus/start.py": "the process: signals, stacks and exit code",
    "cli/**": "commands: terminal, processes, files",
    "connectors/__main__.py": "the process: its arguments",
    "connectors/keeper.py": "the file that outlives the process",
    "connectors/recorder.py": "writes captures, on a thread of its own",
    "connectors/rest.py": "HTTP calls on a worker thread",
    "connectors/session.py": "WebSocket connections",
    "connectors/shell.py": "the loop: waits, reads the clock, performs effects",
    "dashboard/__main__.py": "the process: its arguments",
    "dashboard/serve.py": "the HTTP server and its connections",
    "dashboard/shell.py": "the loop: the bus in, pages out, signals",
    "dashboard/stream.py": "waits for pages and for what they are sent",
    "dashboard/web.py": "routes, and the files they serve",
    "publisher/__main__.py": "the process: its arguments",
    "publisher/shell.py": "the loop over its sockets",
    "runner/__main__.py": "the process: its arguments",
    "runner/files.py": "writes telemetry and statistics",
    "runner/shell.py": "the loop: waits for the bus and the tick",
    "sentinel/__main__.py": "the process: its environment",
    "sentinel/above.py": "reads and starts supervisord",
    "sentinel/shell.py": "pidfds, supervisord's socket, signals to processes",
    "simulator/__main__.py": "the process",
    "simulator/cli.py": "the process: signals and exit code",
    "simulator/clock.py": "the one place that reads the clocks",
    "simulator/control.py": "serves the control interface",
    "simulator/listener.py": "accepts connections, and refuses them on request",
    "simulator/scheduler.py": "runs what is due on the loop",
    "simulator/server.py": "starts and stops the servers",
    "simulator/session.py": "one WebSocket peer",
    "simulator/tls.py": "makes and loads the test certificate",
    "simulator/venue.py": "what every venue's server shares",
    "simulator/venues/**": "routes and sessions of one venue",
}

# Structs of settings are values; only loading them reads the world.
VALUES_OF_IO_MODULES = {"bus.settings"}

BUILTINS = ("open", "input", "print")
IMPURE = {
    *("aiohttp", "asyncio", "concurrent", "ctypes", "fcntl", "httpx", "multiprocessing", "os", "requests", "resource"),
    *("rich", "secrets", "select", "selectors", "shutil", "signal", "socket", "socketserver", "ssl", "starlette"),
    *("subprocess", "supervisor", "tempfile", "threading", "urllib.request", "urllib3", "uuid.uuid1", "uuid.uuid4"),
    *("uvicorn", "websocket", "xmlrpc", "zmq", "http.client", "http.server"),
    *("datetime.date.today", "datetime.datetime.now", "datetime.datetime.today", "datetime.datetime.utcnow"),
    *("time.clock_gettime", "time.clock_gettime_ns", "time.gmtime", "time.localtime", "time.monotonic", "time.sleep"),
    *("time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns", "time.process_time", "time.process_time_ns"),
    *("time.thread_time", "time.thread_time_ns", "time.time", "time.time_ns"),
    *(*BUILTINS, "io.open", "sys.stdin", "sys.stdout", "sys.stderr", "sys.exit"),
}
# Drawing from a random.Random that was given is pure; the module's own functions and an unseeded one are not.
PURE_OF_RANDOM = {"random", "random.Random"}
FILE_METHODS = {"read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "unlink", "iterdir", "rglob"}


def modules_of(package: str) -> list[Path]:
    """Every Python file of a package, in a stable order."""
    return sorted((ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    """The file's path from the root of the tree."""
    return path.relative_to(ROOT).as_posix()


def is_io(name: str) -> bool:
    """Whether the list names this file."""
    return any(fnmatch(name, pattern) for pattern in IO_MODULES)


def imports_of(tree: ast.Module) -> set[str]:
    """What a module imports, as dotted names: ``from a import b`` is both ``a`` and ``a.b``."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def local_names(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for: ``import time as t`` gives ``{"t": "time"}``."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                names |= {alias.asname: alias.name} if alias.asname else {first: first}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def dotted(node: ast.expr, names: dict[str, str]) -> str | None:
    """The full name that an expression such as ``t.monotonic_ns`` spells, if it spells one."""
    if isinstance(node, ast.Name):
        return names.get(node.id) or (node.id if node.id in BUILTINS else None)
    if isinstance(node, ast.Attribute):
        base = dotted(node.value, names)
        return f"{base}.{node.attr}" if base else None
    return None


def is_impure(name: str) -> bool:
    """Whether a full name, or something it belongs to, touches the world."""
    parts = name.split(".")
    if parts[0] == "random":
        return ".".join(parts[:2]) not in PURE_OF_RANDOM
    return any(".".join(parts[:count]) in IMPURE for count in range(1, len(parts) + 1))


def impurities(source: str) -> set[str]:
    """Everything in a module's text that touches the world, by the names it goes by."""
    tree = ast.parse(source)
    names = local_names(tree)
    found = {name for name in imports_of(tree) if is_impure(name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            name = dotted(node, names)
            if name and is_impure(name):
                found.add(name)
        if isinstance(node, ast.Attribute) and node.attr in FILE_METHODS:
            found.add(f".{node.attr}()")
        if isinstance(node, ast.Call) and not node.args and dotted(node.func, names) == "random.Random":
            found.add("random.Random() without a seed")
    return found


def code_words(tree: ast.Module) -> set[str]:
    """Identifiers and strings of a module's code, split at what separates words; docstrings are not code."""
    words: set[str] = set()
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=text) | ast.Attribute(attr=text) | ast.arg(arg=text):
                words |= set(text.lower().split("_"))
            case ast.FunctionDef(name=text) | ast.ClassDef(name=text):
                words |= set(text.lower().split("_"))
            case ast.Constant(value=str(text)) if id(node) not in docstrings:
                words.add(text.lower())
            case _:
                pass
    return words


PRODUCT = [name_of(path) for package in MAY_IMPORT for path in modules_of(package)]
PURE = [name for name in PRODUCT if not is_io(name)]
EVERYTHING = [
    *PRODUCT,
    *(name_of(path) for folder in ("tests", "benchmarks", "tools", "docs") for path in modules_of(folder)),
]
GENERIC_CONNECTOR_FILES = [name for name in PRODUCT if name.startswith("connectors/") and name.count("/") == 1]


@pytest.mark.parametrize("name", PRODUCT)
def test_a_package_imports_only_what_it_may(name: str) -> None:
    package = name.partition("/")[0]
    allowed = MAY_IMPORT[package] | {package}
    ours = set(MAY_IMPORT) | {"tests", "benchmarks", "tools"}
    imported = {imported.partition(".")[0] for imported in imports_of(ast.parse((ROOT / name).read_text()))}
    assert imported & ours <= allowed


@pytest.mark.parametrize("name", [name for name in PRODUCT if name.startswith("connectors/") and name.count("/") > 1])
def test_venues_do_not_know_each_other(name: str) -> None:
    others = VENUES - {name.split("/")[1]}
    imported = imports_of(ast.parse((ROOT / name).read_text()))
    assert not [item for item in imported if item.startswith("connectors.") and item.split(".")[1] in others]


@pytest.mark.parametrize("name", PURE)
def test_a_module_outside_the_list_is_pure(name: str) -> None:
    assert impurities((ROOT / name).read_text()) == set()


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_imports_no_io_module_of_ours(name: str) -> None:
    imported = imports_of(ast.parse((ROOT / name).read_text())) - VALUES_OF_IO_MODULES
    assert not {item for item in imported if is_io(item.replace(".", "/") + ".py")}


@pytest.mark.parametrize("name", [name for name in sorted(IO_MODULES) if len(modules_of(name.partition("/")[0])) > 1])
def test_the_list_names_only_what_exists(name: str) -> None:
    assert list(ROOT.glob(name)), "remove it from the list"


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_file_is_short_enough_to_be_read_at_once(name: str) -> None:
    assert len((ROOT / name).read_text().splitlines()) <= MAX_LINES


def test_every_venue_has_its_folder_and_nothing_else_has_one() -> None:
    assert {path.name for path in (ROOT / "connectors").iterdir() if (path / "__init__.py").exists()} == VENUES


@pytest.mark.parametrize("venue", sorted(VENUES))
def test_knowing_one_venue_folder_is_knowing_all(venue: str) -> None:
    names = {path.name for path in (ROOT / "connectors" / venue).iterdir() if path.name != "__pycache__"}
    assert VENUE_FILES <= names <= VENUE_FILES | MORE_VENUE_FILES


@pytest.mark.parametrize("name", GENERIC_CONNECTOR_FILES)
def test_the_generic_transport_knows_no_venue_by_name(name: str) -> None:
    assert not code_words(ast.parse((ROOT / name).read_text())) & VENUES


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import socket", "socket"),
        ("import os.path", "os.path"),
        ("import time as t\nt.monotonic_ns()", "time.monotonic_ns"),
        ("from time import time_ns as now\nnow()", "time.time_ns"),
        ("import datetime\ndatetime.datetime.now(tz=datetime.UTC)", "datetime.datetime.now"),
        ("from datetime import datetime\ndatetime.now()", "datetime.datetime.now"),
        ("import random\nrandom.uniform(0, 1)", "random.uniform"),
        ("import random\nrandom.Random()", "random.Random() without a seed"),
        ("from concurrent.futures import ThreadPoolExecutor", "concurrent.futures"),
        ("with open('x') as file: pass", "open"),
        ("from pathlib import Path\nPath('x').read_text()", ".read_text()"),
        ("def late():\n    import requests", "requests"),
    ],
)
def test_the_purity_check_finds(source: str, name: str) -> None:
    assert name in impurities(source)


@pytest.mark.parametrize(
    "source",
    [
        "import random\ndef jitter(source: random.Random) -> float:\n    return source.uniform(0, 1)",
        "from random import Random\nRandom(7)",
        "from datetime import UTC, datetime\ndatetime.fromtimestamp(0, UTC)",
        "def f(breaker):\n    breaker.open()\n    breaker.time()",
        "from urllib.parse import urlsplit",
        "def f(select, time):\n    return select(time.time)",
    ],
)
def test_the_purity_check_lets_values_pass(source: str) -> None:
    assert impurities(source) == set()
