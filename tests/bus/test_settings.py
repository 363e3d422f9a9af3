"""Settings: every problem is refused with the key's whole path and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bus import settings
from bus.errors import SettingsError
from bus.settings import Settings, load, parse


def parsed(data: dict[str, Any], **environ: str) -> Settings:
    return parse(data, environ, base="/tmp")


@pytest.mark.parametrize(
    ("data", "path", "problem", "allowed"),
    [
        ({"venues": {"aster": {"stale_m": 1}}}, "venues.aster.stale_m", "unknown key", "stale_ms"),
        ({"venues": {"aster": {"stale_ms": "x"}}}, "venues.aster.stale_ms", "Expected `int`", "from 1 to 86400000"),
        ({"venues": {"aster": {"stale_ms": 0}}}, "venues.aster.stale_ms", "Expected `int` >= 1", "from 1 to"),
        ({"venues": {"aster": {"markets": ["btc"]}}}, "venues.aster.markets[0]", "Expected `str`", "-PERP"),
        ({"venues": {"aster": {"markets": []}}}, "venues.aster.markets", "length", "1 or more"),
        ({"venues": {"aster": {"enabled": 1}}}, "venues.aster.enabled", "Expected `bool`", "true or false"),
        ({"venues": {"binance": {}}}, "venues.binance", "unknown venue", "hyperliquid, paradex"),
        ({"venues": {"aster": 1}}, "venues.aster", "not a table", "[venues.aster]"),
        ({"venues": 1}, "venues", "not a table", "[venues]"),
        ({"log": {"format": "xml"}}, "log.format", "Invalid", "json, logfmt"),
        ({"log": {"format": 1}}, "log.format", "Expected", "json, logfmt"),
        ({"run": {"dir": 5}}, "run.dir", "Expected `str`", "text"),
        ({"bus": {"hwm": 5}}, "bus.hwm", "unknown key", "connector_hwm"),
        ({"buss": {}}, "buss", "unknown key", "bus, "),
        ({"base": "x"}, "base", "unknown key", "run, "),
    ],
)
def test_a_problem_is_refused_with_its_path(data: dict[str, Any], path: str, problem: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parsed(data)
    assert caught.value.path == path
    assert problem in caught.value.problem
    assert allowed in caught.value.allowed
    assert str(caught.value).startswith(f"{path}: ")


def test_nothing_given_is_all_defaults() -> None:
    assert parsed({}).enabled == settings.VENUES
    assert parsed({}).run_dir == Path("/tmp/run")
    assert parsed({}).out_dir == Path("/tmp/run")
    assert parsed({}).endpoint("market_in") == "ipc:///tmp/run/bus/market_in"


def test_the_environment_replaces_keys() -> None:
    found = parsed({"venues": {"aster": {"stale_ms": 5}}}, PARAPHINA_ASTER_STALE_MS="7", PARAPHINA_RUN_DIR="/tmp/x")
    assert found.venues["aster"].stale_ms == 7
    assert found.run_dir == Path("/tmp/x")


def test_an_environment_value_of_the_wrong_type_is_refused_by_its_name() -> None:
    with pytest.raises(SettingsError, match="PARAPHINA_HL_STALE_MS: not a whole number"):
        parsed({}, PARAPHINA_HL_STALE_MS="soon")


def test_one_venue_must_be_enabled() -> None:
    with pytest.raises(SettingsError, match="no venue is enabled"):
        parsed({"venues": {venue: {"enabled": False} for venue in settings.VENUES}})


def test_a_configured_endpoint_is_taken_as_it_is() -> None:
    assert parsed({"bus": {"resync": "tcp://127.0.0.1:5"}}).endpoint("resync") == "tcp://127.0.0.1:5"


def test_a_file_is_read_and_paths_are_relative_to_it(tmp_path: Path) -> None:
    file = tmp_path / "desk.toml"
    file.write_text('[run]\ndir = "here"\n[runner]\nout_dir = "out"\n')
    found = load({"PARAPHINA_CONFIG": str(file)})
    assert found.run_dir == tmp_path / "here"
    assert found.out_dir == tmp_path / "out"


@pytest.mark.parametrize("text", ["[run", "a = \xff"])
def test_an_unreadable_file_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "desk.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"desk\.toml"):
        load({"PARAPHINA_CONFIG": str(file)})


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        load({"PARAPHINA_CONFIG": str(tmp_path / "none.toml")})


def test_the_default_file_need_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load({}).base == str(tmp_path)
