"""What the terminal commands share: names of venues and markets, and a clear word when nothing is heard."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final, NoReturn

import click
from click.shell_completion import CompletionItem

from bus.client import Subscriber
from bus.counters import Counter
from bus.errors import SettingsError
from bus.settings import VENUES, Settings, load
from cli.status import EXIT_SILENT
from cli.supervise import Supervisor

SUFFIX: Final = "-PERP"


class Market(click.ParamType[str]):
    """Our id of a market; ``btc`` is enough for ``BTC-PERP``."""

    name = "market"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """The whole id."""
        name = value.upper()
        return name if name.endswith(SUFFIX) else name + SUFFIX

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """Markets of the settings in use."""
        try:
            settings = load()
        except SettingsError:
            return []
        names = {market for venue in settings.enabled for market in settings.venues[venue].markets}
        return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete.upper())]


VENUE: Final = click.Choice(VENUES)
MARKET: Final = Market()


def check(settings: Settings, venues: tuple[str, ...], markets: tuple[str, ...]) -> None:
    """Raises BadParameter for a venue that does not run or a market that nobody follows."""
    for venue in venues:
        if venue not in settings.enabled:
            raise click.BadParameter(f"{venue} is not enabled; enabled are {', '.join(settings.enabled)}")
    known = {market for venue in venues or settings.enabled for market in settings.venues[venue].markets}
    for market in markets:
        if market not in known:
            raise click.BadParameter(f"{market} is not followed; followed are {', '.join(sorted(known))}")


def silence(settings: Settings, subscriber: Subscriber, wait_s: float) -> list[str]:
    """Why nothing is heard on the bus, as well as can be told from here."""
    endpoint = settings.endpoint("market_out")
    lines = [f"error: nothing is heard on {endpoint} within {wait_s:g} s"]
    bad = subscriber.counters.get(Counter.CLIENT_BAD)
    pid = Supervisor(settings.run_dir, timeout=2.0).pid()
    path = Path(endpoint.removeprefix("ipc://"))
    if bad:
        lines.append(f"{bad} messages came that cannot be read: what runs there speaks another version of the wire.")
    elif pid is not None:
        lines.append(f"supervisord runs (pid {pid}): are publisher and runner up? See `supervisorctl status`.")
    elif endpoint.startswith("ipc://") and not path.exists():
        lines.append(f"Nothing runs in {settings.run_dir}: `make run` starts simulated venues, `make live` real ones.")
    else:
        lines.append("No supervisord answers here; the bus may be elsewhere.")
    lines.append("PARAPHINA_CONFIG names the settings in use.")
    return lines


def give_up(settings: Settings, subscriber: Subscriber, wait_s: float) -> NoReturn:
    """Say why nothing is heard, and end with exit code 3."""
    for line in silence(settings, subscriber, wait_s):
        click.echo(line, err=True)
    sys.exit(EXIT_SILENT)
