"""``python -m simulator``: run the venues until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import click

from simulator.faults import FaultError
from simulator.server import Simulator
from simulator.settings import DEFAULT_PORT_BASE, VENUES, Settings
from simulator.venue import UnknownSwitchError


def _names(allowed: tuple[str, ...] | None) -> click.ParamType[tuple[str, ...]]:
    class Names(click.ParamType[tuple[str, ...]]):
        name = "names"

        def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
            names = tuple(part.strip() for part in str(value).split(",") if part.strip())
            wrong = [name for name in names if allowed is not None and name not in allowed]
            if wrong or not names or len(set(names)) != len(names):
                self.fail(
                    f"{value!r}: a comma-separated list without repeats of {', '.join(allowed or ('names',))}",
                    param,
                    ctx,
                )
            return names

    return Names()


class _Pair(click.ParamType[tuple[str, str]]):
    name = "pair"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        key, equals, text = str(value).partition("=")
        venue, point, name = key.partition(".")
        if not (equals and point and name and venue in VENUES):
            self.fail(f"{value!r}: VENUE.NAME=VALUE, with a venue of {', '.join(VENUES)}", param, ctx)
        return key, text


_PAIR = _Pair()


@click.command(context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option(
    "--port-base",
    default=DEFAULT_PORT_BASE,
    type=click.IntRange(0, 65530),
    help="Control API here, hyperliquid +1, paradex +2, lighter +3, extended +4, aster +5. 0 = free ports.",
)
@click.option("--venues", default=",".join(VENUES), type=_names(VENUES), help="Venues to serve.")
@click.option("--markets", default="BTC,ETH,SOL", type=_names(None), help="Base assets of the perpetuals.")
@click.option("--seed", default=1, type=int, help="Same seed, same market.")
@click.option("--rate", default=1.0, type=click.FloatRange(0.0), help="Liveliness of the markets.")
@click.option(
    "--frames-per-second",
    default=None,
    type=click.FloatRange(0.1, 10_000),
    help="Book frames a market and second; default: each venue's documented cadence.",
)
@click.option("--depth", default=40, type=click.IntRange(2, 5000), help="Levels aimed at on each side.")
@click.option("--history", default=4096, type=click.IntRange(64), help="Book versions kept a market.")
@click.option(
    "--time-scale", default=1.0, type=click.FloatRange(1e-6), help="Factor on lifetimes and keepalive periods."
)
@click.option(
    "--limits", default="enforce", type=click.Choice(["enforce", "count"]), help="Punish, or only count, violations."
)
@click.option("--tls", "tls_dir", type=click.Path(path_type=Path), help="Serve TLS; CA and certificate live here.")
@click.option("--wrong-certificate", is_flag=True, help="With --tls: a certificate of another CA than ca.pem.")
@click.option("--ports-file", type=click.Path(path_type=Path), help="JSON with every address, written once all listen.")
@click.option("--scenario", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="TOML list of faults.")
@click.option(
    "--storm", "storm_s", type=click.FloatRange(1), help="Random faults by the seed for a run of so many seconds."
)
@click.option("--set", "switches", multiple=True, type=_PAIR, metavar="VENUE.NAME=VALUE", help="See Venue.switches.")
def main(**options: object) -> None:
    """Serve the venues on loopback."""
    settings = Settings(**options)  # type: ignore[arg-type]
    if settings.wrong_certificate and settings.tls_dir is None:
        raise click.UsageError("--wrong-certificate needs --tls")
    try:
        asyncio.run(_run(settings))
    except FaultError as error:
        raise click.UsageError(str(error)) from error
    except (OSError, UnknownSwitchError) as error:
        click.echo(f"simulator: {error}", err=True)
        sys.exit(1)


async def _run(settings: Settings) -> None:
    simulator = Simulator(settings)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        await simulator.start()
        click.echo(f"simulator: control {simulator.ports()['control']}", err=True)
        waiting = asyncio.create_task(stopping.wait())
        await asyncio.wait((waiting, simulator.failed), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if simulator.failed.done():
            simulator.failed.result()
    finally:
        await simulator.stop()
