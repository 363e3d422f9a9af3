"""Settings: one ``paraphina.toml`` with environment overrides.

Every key has its unit in its name, a default, and one sentence (the ``description``); ``docs/settings.md`` is made from
this file. An unknown key, a wrong type or an impossible value is refused with the key's path and what is allowed.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from bus.errors import SettingsError

VENUES: Final = ("hyperliquid", "paradex", "lighter", "extended", "aster")
"""Venue ids in venue order: index in ``venue_age_ms`` and everywhere else that order matters."""

EXIT_SETTINGS: Final = 78
"""Exit code of a process that cannot use its settings (EX_CONFIG); supervisord does not respawn on it."""

Millis = Annotated[int, Meta(ge=1, le=86_400_000)]
Layer = Literal["protocol", "engine", "sentinel"]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all sections."""


class Run(_Section, frozen=True):
    """Section ``[run]``."""

    dir: Annotated[
        str, Meta(description="Directory of logs, sockets and telemetry; relative to the settings file.")
    ] = "run"
    line: Annotated[str, Meta(pattern="^[a-z0-9]{1,8}$", description="Name of this line of redundant connectors.")] = (
        "a"
    )


class Log(_Section, frozen=True):
    """Section ``[log]``."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Least severe level written.")] = (
        "info"
    )
    format: Annotated[Literal["logfmt", "json"], Meta(description="One line per event as key=value or as JSON.")] = (
        "logfmt"
    )


class Bus(_Section, frozen=True):
    """Section ``[bus]``: endpoints and high-water marks.

    An empty endpoint means an ``ipc://`` socket in the run directory.
    """

    market_in: Annotated[str, Meta(description="Where the publisher binds for connectors (XSUB).")] = ""
    market_out: Annotated[str, Meta(description="Where the publisher binds for consumers (XPUB).")] = ""
    resync: Annotated[str, Meta(description="Where the publisher answers state requests (ROUTER).")] = ""
    connector_hwm: Annotated[
        int, Meta(ge=10, le=10_000_000, description="Messages queued from a connector before refusal.")
    ] = 10_000
    consumer_hwm: Annotated[
        int, Meta(ge=10, le=10_000_000, description="Messages queued for each consumer before it loses.")
    ] = 20_000
    log_buffer: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Log-class events a connector holds back or can repeat.")
    ] = 4_096


Markets = Annotated[
    tuple[Annotated[str, Meta(pattern="^[A-Z0-9]{1,20}-PERP$")], ...], Meta(min_length=1, max_length=200)
]


class Venue(_Section, frozen=True):
    """Section ``[venues.<id>]``: one venue connector."""

    ws_url: Annotated[
        str, Meta(pattern="^wss?://", description="Base of the WebSocket URLs, without the venue's paths.")
    ]
    rest_url: Annotated[
        str, Meta(pattern="^https?://", description="Base of the REST URLs, without the venue's paths.")
    ]
    enabled: Annotated[bool, Meta(description="Whether the connector runs.")] = True
    markets: Annotated[Markets, Meta(description="Markets to follow, by our ids.")] = (
        "BTC-PERP",
        "ETH-PERP",
        "SOL-PERP",
    )
    ca_file: Annotated[str, Meta(description="PEM file of the authorities to trust instead of the system's.")] = ""
    connect_timeout_ms: Annotated[Millis, Meta(description="TCP, TLS and upgrade together.")] = 10_000
    rest_timeout_ms: Annotated[Millis, Meta(description="One REST call, whole.")] = 10_000
    stale_ms: Annotated[Millis, Meta(description="Silence of a market's book after which it is stale.")] = 10_000
    read_timeout_ms: Annotated[Millis, Meta(description="No byte at all on a connection after which it is dead.")] = (
        30_000
    )
    ping_interval_ms: Annotated[Millis, Meta(description="Between keepalives of ours.")] = 15_000
    session_age_ms: Annotated[
        int, Meta(ge=0, le=604_800_000, description="Age at which a connection is replaced; 0: as the venue asks.")
    ] = 0
    transport: Annotated[Literal["v1", "v2"], Meta(description="Extended only: path streams (v1) or RPC (v2).")] = "v1"
    max_frame_bytes: Annotated[
        int, Meta(ge=65_536, le=268_435_456, description="Larger frames end the connection.")
    ] = 16_777_216


class Publisher(_Section, frozen=True):
    """Section ``[publisher]``."""

    cached_deltas: Annotated[int, Meta(ge=1, le=1_000_000, description="Deltas kept a book for resyncs.")] = 20_000
    cached_bytes: Annotated[
        int, Meta(ge=65_536, le=4_294_967_296, description="Bytes of deltas kept a book for resyncs.")
    ] = 16_777_216
    resyncs_per_s: Annotated[
        int, Meta(ge=1, le=100_000, description="State requests answered per consumer and second.")
    ] = 50


class Runner(_Section, frozen=True):
    """Section ``[runner]``."""

    tick_ms: Annotated[Millis, Meta(description="Between telemetry ticks.")] = 250
    out_dir: Annotated[str, Meta(description="Where telemetry goes; empty: the run directory.")] = ""
    drain_cap: Annotated[
        int, Meta(ge=1, le=10_000_000, description="Messages drained a tick before it counts as a cap hit.")
    ] = 50_000
    window_s: Annotated[int, Meta(ge=1, le=86_400, description="Sliding window of the age percentiles.")] = 60
    telemetry_mode: Annotated[
        Literal["append", "jsonl", "truncate", "off"],
        Meta(
            description="append (or jsonl) adds to the telemetry file, truncate empties it at start, off writes none."
        ),
    ] = "append"
    telemetry_path: Annotated[
        str, Meta(description="Telemetry file; empty: telemetry.jsonl in the output directory.")
    ] = ""
    rx_stats: Annotated[bool, Meta(description="Whether a line of receive statistics is written every tick.")] = True
    rx_stats_path: Annotated[
        str, Meta(description="Receive statistics file; empty: market_rx_stats.log in the output directory.")
    ] = ""
    ws_audit: Annotated[bool, Meta(description="Whether WS_AUDIT lines of reconnects and pressure are logged.")] = True


class Sentinel(_Section, frozen=True):
    """Section ``[sentinel]``."""

    heartbeat_timeout_ms: Annotated[Millis, Meta(description="No heartbeat for so long: the process is hung.")] = 5_000
    force_restart_ms: Annotated[Millis, Meta(description="A venue older than this has its connector restarted.")] = (
        120_000
    )
    restart_budget: Annotated[
        int, Meta(ge=1, le=1_000, description="Forced restarts of one program per budget window.")
    ] = 5
    budget_window_s: Annotated[int, Meta(ge=1, le=86_400, description="Length of the budget window.")] = 600
    fatal_cooldown_ms: Annotated[Millis, Meta(description="Wait before a FATAL program is started again.")] = 5_000


class Dashboard(_Section, frozen=True):
    """Section ``[dashboard]``."""

    host: Annotated[str, Meta(description="Address to serve on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535, description="Port to serve on; 0 takes a free one.")] = 18_080
    required: Annotated[
        tuple[str, ...], Meta(description="Venues or venue/market pairs that readiness needs; empty: all.")
    ] = ()


class Record(_Section, frozen=True):
    """Section ``[record]``: captures of everything that connectors are told, for ``paraphina replay``."""

    enabled: Annotated[bool, Meta(description="Whether connectors record.")] = False
    dir: Annotated[
        str,
        Meta(description="Where captures go, relative to the settings file; empty: `capture` in the run directory."),
    ] = ""
    rotate_mb: Annotated[int, Meta(ge=1, le=100_000, description="Size of one file of a capture.")] = 64
    keep_mb: Annotated[
        int, Meta(ge=2, le=10_000_000, description="Size of all captures of one venue; beyond it the oldest files go.")
    ] = 4_096
    flush_ms: Annotated[
        int, Meta(ge=10, le=60_000, description="Between writes; what a kill loses is this and 250 ms at most.")
    ] = 500


class Debug(_Section, frozen=True):
    """Section ``[debug]``: for proving recovery, never for running."""

    disable: Annotated[tuple[Layer, ...], Meta(description="Layers of recovery that do nothing.")] = ()


def _live(ws_url: str, rest_url: str, stale_ms: int = 10_000) -> Venue:
    return Venue(ws_url=ws_url, rest_url=rest_url, stale_ms=stale_ms)


DEFAULT_VENUES: Final[dict[str, Venue]] = {
    "hyperliquid": _live("wss://api.hyperliquid.xyz", "https://api.hyperliquid.xyz"),
    "paradex": _live("wss://ws.api.prod.paradex.trade", "https://api.prod.paradex.trade", stale_ms=15_000),
    "lighter": _live("wss://mainnet.zklighter.elliot.ai", "https://mainnet.zklighter.elliot.ai"),
    "extended": _live(
        "wss://api.starknet.extended.exchange", "https://api.starknet.extended.exchange", stale_ms=15_000
    ),
    "aster": _live("wss://fstream.asterdex.com", "https://fapi.asterdex.com"),
}


class Settings(_Section, frozen=True):
    """The whole file."""

    run: Run = Run()
    log: Log = Log()
    bus: Bus = Bus()
    venues: dict[str, Venue] = msgspec.field(default_factory=lambda: dict(DEFAULT_VENUES))
    publisher: Publisher = Publisher()
    runner: Runner = Runner()
    sentinel: Sentinel = Sentinel()
    dashboard: Dashboard = Dashboard()
    debug: Debug = Debug()
    record: Record = Record()
    base: str = "."
    """Directory that relative paths are relative to: the settings file's."""

    @property
    def run_dir(self) -> Path:
        """Run directory, absolute."""
        return (Path(self.base) / self.run.dir).resolve()

    @property
    def out_dir(self) -> Path:
        """Where the runner writes, absolute."""
        return (Path(self.base) / self.runner.out_dir).resolve() if self.runner.out_dir else self.run_dir

    @property
    def record_dir(self) -> Path:
        """Where captures go, absolute."""
        return (Path(self.base) / self.record.dir).resolve() if self.record.dir else self.run_dir / "capture"

    def endpoint(self, name: Literal["market_in", "market_out", "resync"]) -> str:
        """ZeroMQ endpoint of the publisher."""
        configured: str = getattr(self.bus, name)
        return configured or f"ipc://{self.run_dir}/bus/{name}"

    @property
    def enabled(self) -> tuple[str, ...]:
        """Ids of the venues that run, in venue order."""
        return tuple(venue for venue in VENUES if self.venues[venue].enabled)


_STALE_NAMES: Final = {
    "PARAPHINA_HL_STALE_MS": "hyperliquid",
    "PARAPHINA_PARADEX_STALE_MS": "paradex",
    "PARAPHINA_LIGHTER_STALE_MS": "lighter",
    "PARAPHINA_EXTENDED_STALE_MS": "extended",
    "PARAPHINA_ASTER_STALE_MS": "aster",
}

ENVIRONMENT: Final[dict[str, tuple[str, ...]]] = {
    **{name: ("venues", venue, "stale_ms") for name, venue in _STALE_NAMES.items()},
    "PARAPHINA_LIGHTER_PING_INTERVAL_MS": ("venues", "lighter", "ping_interval_ms"),
    "PARAPHINA_EXTENDED_WS_READ_TIMEOUT_MS": ("venues", "extended", "read_timeout_ms"),
    "PARAPHINA_RUN_DIR": ("run", "dir"),
    "PARAPHINA_LOG_LEVEL": ("log", "level"),
    "PARAPHINA_LOG_FORMAT": ("log", "format"),
    "PARAPHINA_OUT_DIR": ("runner", "out_dir"),
    "PARAPHINA_TELEMETRY_MODE": ("runner", "telemetry_mode"),
    "PARAPHINA_TELEMETRY_PATH": ("runner", "telemetry_path"),
    "PARAPHINA_MARKET_RX_STATS": ("runner", "rx_stats"),
    "PARAPHINA_MARKET_RX_STATS_PATH": ("runner", "rx_stats_path"),
    "PARAPHINA_WS_AUDIT": ("runner", "ws_audit"),
}
"""Environment variables that replace one key of the file."""

_SWITCHES: Final = frozenset({"rx_stats", "ws_audit"})
_SWITCH_WORDS: Final = {"0": False, "false": False, "1": True, "true": True}


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the file named by ``PARAPHINA_CONFIG`` (default ``paraphina.toml``) and the environment.

    A missing default file means all defaults; a missing named file is an error. Raises SettingsError.
    """
    environ = os.environ if environ is None else environ
    named = environ.get("PARAPHINA_CONFIG", "")
    path = Path(named or "paraphina.toml")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if named:
            raise SettingsError("PARAPHINA_CONFIG", f"no such file: {path}") from None
        data = {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(str(path), str(error)) from None
    return parse(data, environ, base=str(path.resolve().parent))


def parse(data: Mapping[str, Any], environ: Mapping[str, str], *, base: str) -> Settings:
    """Settings from a parsed file, environment overrides and the directory of relative paths. Raises SettingsError."""
    tree = _plain(data)
    sections = [field.name for field in msgspec.structs.fields(Settings) if field.name != "base"]
    for key, value in tree.items():
        if key not in sections:
            raise SettingsError(key, "unknown key", ", ".join(sections))
        if not isinstance(value, dict):
            raise SettingsError(key, "not a table", f"[{key}]")
    _fill_venues(tree)
    for name, path in ENVIRONMENT.items():
        if name in environ:
            _override(tree, name, path, environ[name])
    settings = _settings(tree, base)
    if not settings.enabled:
        raise SettingsError("venues", "no venue is enabled", "enabled = true for at least one")
    return settings


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _plain(value) if isinstance(value, Mapping) else value for key, value in data.items()}


def _fill_venues(tree: dict[str, Any]) -> None:
    given = tree.get("venues", {})
    for venue, keys in given.items():
        if venue not in DEFAULT_VENUES:
            raise SettingsError(f"venues.{venue}", "unknown venue", ", ".join(VENUES))
        if not isinstance(keys, dict):
            raise SettingsError(f"venues.{venue}", "not a table", f"[venues.{venue}]")
    defaults = {venue: msgspec.to_builtins(value) for venue, value in DEFAULT_VENUES.items()}
    tree["venues"] = {venue: {**defaults[venue], **given.get(venue, {})} for venue in VENUES}


def _override(tree: dict[str, Any], name: str, path: tuple[str, ...], text: str) -> None:
    *parents, leaf = path
    for parent in parents:
        tree = tree.setdefault(parent, {})
    if leaf.endswith("_ms"):
        try:
            tree[leaf] = int(text)
        except ValueError:
            raise SettingsError(name, f"not a whole number: {text!r}", "milliseconds") from None
    elif leaf in _SWITCHES:
        if text.lower() not in _SWITCH_WORDS:
            raise SettingsError(name, f"neither on nor off: {text!r}", ", ".join(_SWITCH_WORDS))
        tree[leaf] = _SWITCH_WORDS[text.lower()]
    else:
        tree[leaf] = text


def _settings(tree: dict[str, Any], base: str) -> Settings:
    """Convert section by section, so that every problem is reported with its whole path."""
    sections: dict[str, Any] = {"base": base}
    for field in msgspec.structs.fields(Settings):
        if field.name == "venues":
            sections["venues"] = {
                name: _section(f"venues.{name}", keys, Venue) for name, keys in tree["venues"].items()
            }
        elif field.name in tree:
            sections[field.name] = _section(field.name, tree[field.name], field.type)
    return Settings(**sections)


def _section(path: str, keys: dict[str, Any], section: type[_Section]) -> _Section:
    known = [field.name for field in msgspec.structs.fields(section)]
    for key in keys:
        if key not in known:
            raise SettingsError(f"{path}.{key}", "unknown key", ", ".join(known))
    try:
        return msgspec.convert(keys, section)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `$.")
        where = where.rstrip("`")
        raise SettingsError(f"{path}.{where}", problem, _allowed(section, where.partition("[")[0])) from None


def _allowed(section: type[_Section], key: str) -> str:
    """What a key may be, in words."""
    from msgspec import inspect

    def words(kind: inspect.Type) -> str:
        match kind:
            case inspect.Metadata():
                return words(kind.type)
            case inspect.IntType():
                return f"a whole number from {kind.ge} to {kind.le}"
            case inspect.LiteralType():
                return ", ".join(sorted(str(value) for value in kind.values))
            case inspect.StrType():
                return f"text like {kind.pattern}" if kind.pattern else "text"
            case inspect.VarTupleType():
                return f"a list of {kind.min_length or 0} or more: {words(kind.item_type)}"
            case _:
                return "true or false"

    fields = inspect.type_info(section).fields  # type: ignore[attr-defined]
    return next(words(field.type) for field in fields if field.name == key)
