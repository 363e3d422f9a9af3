"""``paraphina top``: every venue, its markets and processes, live in the terminal."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bus import clock
from bus.client import Subscriber
from bus.sockets import is_local
from cli.board import STYLES
from cli.hearing import MARKET, VENUE, check, give_up
from cli.status import EXIT_UNWELL, settings_or_exit
from dashboard.health import Health, MarketHealth, VenueHealth, health
from dashboard.plan import plan
from dashboard.state import KINDS, Now, State

REFRESH_S: Final = 0.25
WORST: Final = 1e18
"""Sorts what is unknown before everything known."""

SORTS: Final[dict[str, Callable[[VenueHealth], float]]] = {
    "venue": lambda _: 0.0,
    "age": lambda venue: -(WORST if venue.age_ms is None else venue.age_ms),
    "event-age": lambda venue: -(WORST if venue.age_event_ms is None else venue.age_event_ms),
    "reconnects": lambda venue: -float(sum((venue.reconnects or {}).values())),
    "trouble": lambda venue: -float(len(venue.problems)),
}
"""Orders of venues; equal ones stay in venue order."""


class View:
    """What is shown, and how; keys change it."""

    def __init__(self, sort: str, venues: tuple[str, ...], markets: tuple[str, ...]) -> None:
        self.sort = sort
        self.venues = venues
        self.markets = markets
        self.wide = bool(markets)
        """Whether every market has a line."""
        self.trouble = False
        """Whether only what is not well is shown."""
        self.over = False

    def key(self, key: str) -> None:
        """Take a key."""
        match key:
            case "q" | "\x03" | "\x04":
                self.over = True
            case "s":
                names = list(SORTS)
                self.sort = names[(names.index(self.sort) + 1) % len(names)]
            case "m":
                self.wide = not self.wide
            case "t":
                self.trouble = not self.trouble
            case _:
                pass

    def chosen(self, report: Health) -> list[tuple[str, VenueHealth]]:
        """Venues to show, in order."""
        found = [
            (name, venue)
            for name, venue in report.venues.items()
            if (not self.venues or name in self.venues) and not (self.trouble and venue.healthy)
        ]
        return sorted(found, key=lambda entry: SORTS[self.sort](entry[1]))


@click.command()
@click.option("--sort", default="venue", show_default=True, type=click.Choice(list(SORTS)), help="Order of the venues.")
@click.option("--venue", "venues", multiple=True, type=VENUE, help="Only this venue; may be repeated.")
@click.option("--market", "markets", multiple=True, type=MARKET, help="Lines for this market; may be repeated.")
@click.option("--once", is_flag=True, help="Print it once and end; so without a terminal.")
@click.option("--wait", default=3.0, show_default=True, help="Seconds to wait for the runner to speak.")
def top(*, sort: str, venues: tuple[str, ...], markets: tuple[str, ...], once: bool, wait: float) -> None:
    """Watch every venue. Keys: s sort, m markets, t trouble only, q quit.

    Exit code: 0, 1 something is not well (--once), 3 nothing is heard.
    """
    settings = settings_or_exit()
    check(settings, venues, markets)
    console, view = Console(), View(sort, venues, markets)
    state = State(plan(settings, same_host=is_local(settings.endpoint("market_out"))), Now(*clock.now()))
    with Subscriber(settings, kinds=KINDS, books=False, name="top") as subscriber:
        if not _first(subscriber, state, time.monotonic() + wait):
            give_up(settings, subscriber, wait)
        if once or not (console.is_terminal and sys.stdin.isatty()):
            now = Now(*clock.now())
            console.print(picture(state, view, now))
            sys.exit(0 if health(state, now).healthy else EXIT_UNWELL)
        with keys() as pressed, Live(console=console, auto_refresh=False, screen=True) as live:
            while not view.over:
                _absorb(subscriber, state, REFRESH_S)
                for key in pressed():
                    view.key(key)
                live.update(picture(state, view, Now(*clock.now())), refresh=True)


def _absorb(subscriber: Subscriber, state: State, timeout_s: float) -> None:
    """Take what comes within the time, all of it."""
    for item in subscriber.poll(timeout_s):
        state.take(item, Now(*clock.now()))


def _first(subscriber: Subscriber, state: State, until: float) -> bool:
    """Wait until every part of telemetry has come; False when none came at all."""
    while time.monotonic() < until and not (state.tick and state.venue_detail and state.system):
        _absorb(subscriber, state, REFRESH_S)
    return state.tick is not None


@contextmanager
def keys() -> Iterator[Callable[[], str]]:
    """Give a function that returns the keys pressed since its last call; the terminal is as before at the end."""
    before = termios.tcgetattr(sys.stdin)

    def pressed() -> str:
        ready, _, _ = select.select([sys.stdin], [], [], 0)
        # Not through sys.stdin: it would read ahead, and keys that it holds make nothing ready.
        return os.read(sys.stdin.fileno(), 64).decode(errors="replace") if ready else ""

    try:
        tty.setcbreak(sys.stdin)
        yield pressed
    except KeyboardInterrupt:
        return
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def picture(state: State, view: View, now: Now) -> RenderableType:
    """The whole screen."""
    report = health(state, now)
    parts: list[RenderableType] = [_head(report)]
    # At the top, for a low window cuts off what is below.
    parts.append(Text(f"sorted by {view.sort} · s sort  m markets  t trouble only  q quit", "dim"))
    parts += [Text(f"  {problem}", "bold red") for problem in report.problems[:8]]
    parts += [Text(""), _venues(state, view, report), Text("")]
    if view.wide:
        parts += [_markets(view, report), Text("")]
    if state.system is not None and report.source.ok:
        parts.append(_processes(state))
    return Group(*parts)


def _head(report: Health) -> Text:
    source = report.source
    if not source.ok:
        return Text("✖ no current telemetry: nothing is known of now", "bold white on red")
    if report.healthy:
        return Text(f"● all {len(report.venues)} venues live, fresh and trusted", "bold green")
    sick = sum(not venue.healthy for venue in report.venues.values())
    return Text(f"▲ {sick} of {len(report.venues)} venues not well", "bold red")


def _table(left: tuple[str, ...], right: tuple[str, ...], last: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in left:
        table.add_column(heading, no_wrap=True)
    for heading in right:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(last)
    return table


def _venues(state: State, view: View, report: Health) -> Table:
    table = _table(("venue", "state"), ("for", "age ms", "p99", "event ms", "p99", "ev/s", "reconn"), "last")
    for name, venue in view.chosen(report):
        detail = state.venue_detail.get(name)
        age = None if detail is None else detail.age.window
        event_age = None if detail is None else detail.age_event.window
        reconnects = None if venue.reconnects is None else sum(venue.reconnects.values())
        table.add_row(
            name,
            _state(venue.state),
            _span(report, venue.since_ms),
            _number(venue.age_ms, bad=venue.fresh is False),
            _number(None if age is None else age.p99),
            _number(venue.age_event_ms),
            _number(None if event_age is None else event_age.p99),
            _number(None if detail is None else round(sum(detail.events_per_s.values()))),
            _number(reconnects),
            "–" if venue.last_reconnect is None else venue.last_reconnect.reason,
        )
    return table


def _markets(view: View, report: Health) -> Table:
    table = _table(("venue", "market", "state"), ("for", "age ms", "event ms"), "book")
    for name, venue in view.chosen(report):
        for market, of in venue.markets.items():
            if (not view.markets or market in view.markets) and not (view.trouble and of.healthy):
                age = _number(of.age_ms, bad=of.fresh is False)
                for_ = _span(report, of.since_ms)
                table.add_row(name, market, _state(of.state), for_, age, _number(of.age_event_ms), _trust(of))
    return table


def _processes(state: State) -> Table:
    table = _table(("process",), ("pid", "up", "restarts", "CPU %", "MB", "lag ms"), "last action")
    for name, of in ({} if state.system is None else state.system.processes).items():
        table.add_row(
            Text(f"✖ {name}" if of.missing else name, "bold red" if of.missing else ""),
            "–" if of.pid is None else str(of.pid),
            _length(of.uptime_ms),
            str(of.restarts),
            _number(of.cpu_percent),
            "–" if of.rss_bytes is None else f"{of.rss_bytes / 1e6:.0f}",
            _number(of.loop_lag_ms),
            ": ".join(word for word in (of.last_action, of.last_detail) if word) or "–",
        )
    return table


def _state(state: str | None) -> Text:
    return Text(state or "unknown", STYLES.get(state or "", "bold red"))


def _trust(of: MarketHealth) -> Text:
    if of.trusted is None:
        return Text("unknown", "dim")
    return Text(of.trust or "none", "") if of.trusted else Text(f"✖ {of.trust or 'none'}", "bold red")


def _number(value: float | None, *, bad: bool = False) -> Text:
    return Text("–" if value is None else f"{value:,.10g}", "bold red" if bad else "")


def _span(report: Health, since_ms: int | None) -> str:
    return "–" if since_ms is None or report.as_of_ms is None else _length(report.as_of_ms - since_ms)


def _length(ms: int | None) -> str:
    if ms is None:
        return "–"
    minutes, seconds = divmod(max(0, ms) // 1_000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s" if minutes else f"{seconds}s"
