"""Names are checked against the settings, and silence is explained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from bus.settings import Settings, parse
from cli.hearing import MARKET, check
from cli.main import main


def settings(run_dir: Path) -> Settings:
    """One venue with two markets."""
    venues: dict[str, Any] = {name: {"enabled": False} for name in ("hyperliquid", "paradex", "lighter", "extended")}
    venues["aster"] = {"markets": ["BTC-PERP", "ETH-PERP"]}
    return parse({"run": {"dir": str(run_dir)}, "venues": venues}, {}, base=str(run_dir))


@pytest.mark.parametrize(("text", "market"), [("btc", "BTC-PERP"), ("ETH-PERP", "ETH-PERP"), ("eth-perp", "ETH-PERP")])
def test_the_asset_is_enough_for_a_market(text: str, market: str) -> None:
    assert MARKET.convert(text, None, None) == market


def test_what_does_not_run_is_refused_with_what_does(run_dir: Path) -> None:
    check(settings(run_dir), ("aster",), ("BTC-PERP",))
    with pytest.raises(click.BadParameter, match="enabled are aster"):
        check(settings(run_dir), ("lighter",), ())
    with pytest.raises(click.BadParameter, match="followed are BTC-PERP, ETH-PERP"):
        check(settings(run_dir), (), ("DOGE-PERP",))


@pytest.mark.parametrize("command", [["top"], ["tail"], ["book", "aster", "btc"]])
def test_a_command_with_nothing_running_says_so_and_what_to_do(
    command: list[str], run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run_dir)
    monkeypatch.setenv("PARAPHINA_RUN_DIR", str(run_dir / "run"))
    done = CliRunner().invoke(main, [*command, "--wait", "0.1"])
    assert done.exit_code == 3
    assert f"nothing is heard on ipc://{run_dir}/run/bus/market_out" in done.output
    assert "`make run` starts simulated venues" in done.output


def test_bad_settings_are_told_with_their_path(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run_dir)
    (run_dir / "paraphina.toml").write_text("[runner]\ntick = 3\n")
    done = CliRunner().invoke(main, ["top"])
    assert done.exit_code == 78
    assert "runner.tick" in done.output


@pytest.mark.parametrize(("typed", "offered"), [("", "BTC-PERP"), ("et", "ETH-PERP")])
def test_markets_complete_from_the_settings(
    typed: str, offered: str, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run_dir)
    context = click.Context(click.Command("book"))
    found = MARKET.shell_complete(context, click.Argument(["market"]), typed)
    assert offered in [item.value for item in found]
    (run_dir / "paraphina.toml").write_text("[nonsense]\n")
    assert MARKET.shell_complete(context, click.Argument(["market"]), typed) == []
