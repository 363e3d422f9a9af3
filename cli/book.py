"""``paraphina book VENUE MARKET``: the order book as a consumer holds it, live, with its trust and its age."""

from __future__ import annotations

import sys
import time
from itertools import accumulate
from typing import Final

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bus import clock
from bus.client import BookView, Subscriber
from cli.hearing import MARKET, VENUE, check, give_up
from cli.status import EXIT_UNWELL, settings_or_exit

REFRESH_S: Final = 0.1
KINDS: Final = ("book", "delta", "bbo", "heartbeat")
MS: Final = 1_000_000


@click.command()
@click.argument("venue", type=VENUE)
@click.argument("market", type=MARKET)
@click.option("--depth", default=12, show_default=True, type=click.IntRange(1, 200), help="Levels of each side.")
@click.option("--once", is_flag=True, help="Print it once and end; so without a terminal.")
@click.option("--wait", default=5.0, show_default=True, help="Seconds to wait for the book.")
def book(*, venue: str, market: str, depth: int, once: bool, wait: float) -> None:
    """Show the book of MARKET at VENUE. Exit code: 0, 1 it must not be used (--once), 3 nothing is heard."""
    settings = settings_or_exit()
    check(settings, (venue,), (market,))
    console = Console()
    with Subscriber(settings, kinds=KINDS, venues=[venue], markets=[market], name="book") as subscriber:
        view = _first(subscriber, venue, market, time.monotonic() + wait)
        if view is None:
            give_up(settings, subscriber, wait)
        if once or not console.is_terminal:
            console.print(ladder(subscriber, venue, market, depth))
            sys.exit(0 if subscriber.trusted(venue, market) else EXIT_UNWELL)
        try:
            with Live(console=console, auto_refresh=False, screen=True) as live:
                while True:
                    subscriber.poll(REFRESH_S)
                    live.update(ladder(subscriber, venue, market, depth), refresh=True)
                    # Many events in a moment are one picture: nobody sees more.
                    time.sleep(REFRESH_S)
        except KeyboardInterrupt:
            return


def _first(subscriber: Subscriber, venue: str, market: str, until: float) -> BookView | None:
    """The book once it may be used, or as it is when the time is over."""
    while time.monotonic() < until:
        subscriber.poll(REFRESH_S)
        if subscriber.trusted(venue, market):
            break
    return subscriber.book(venue, market)


def ladder(subscriber: Subscriber, venue: str, market: str, depth: int) -> RenderableType:
    """The picture: asks above, bids below, the best of both in the middle."""
    view = subscriber.book(venue, market)
    if view is None:
        return Text(f"{venue} {market}: there is no book")
    mono, wall = clock.now()
    bid_px, bid_sz, ask_px, ask_sz = view.levels.levels(depth)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2))
    for heading in ("sum", "size", "price", "size", "sum"):
        table.add_column(heading, justify="right", min_width=10)
    for price, size, total in reversed([*zip(ask_px, ask_sz, accumulate(ask_sz), strict=True)]):
        table.add_row("", "", Text(_n(price), "red"), _n(size), _n(total))
    table.add_row("", "", Text(_spread(view), "dim"), "", "")
    for price, size, total in zip(bid_px, bid_sz, accumulate(bid_sz), strict=True):
        table.add_row(_n(total), _n(size), Text(_n(price), "green"), "", "")
    return Group(head(view, venue, market, mono, wall), _quote(subscriber, venue, market), Text(""), table)


def head(view: BookView, venue: str, market: str, mono: int, wall: int) -> Text:
    """Trust and age of a book, in words."""
    # A book that this consumer does not trust although its sender does has a hole that is being healed.
    why = "its messages are incomplete here" if view.trust in {"live", "rest"} else view.trust.value
    trust = (f"● {view.trust.value}", "bold green") if view.trusted else (f"✖ must not be used: {why}", "bold red")
    # What took the book back is news as well: it must not make the book look young.
    told = "age" if view.trusted else "last word"
    age = (mono - view.header.mono_ns) // MS
    event_age = "unknown" if view.venue_ns is None else f"{(wall - view.venue_ns) // MS:,} ms"
    return Text.assemble(
        (f"{venue} {market}  ", "bold"), trust, f"   {told} {age:,} ms   event age {event_age}   rebuild {view.rebuild}"
    )


def _quote(subscriber: Subscriber, venue: str, market: str) -> Text:
    quote = subscriber.quote(venue, market)
    if quote is None:
        return Text("no quote of its own that may be used", "dim")
    return Text(
        f"its own quote: {_n(quote.bid_sz)} @ {_n(quote.bid_px)} | {_n(quote.ask_sz)} @ {_n(quote.ask_px)}", "dim"
    )


def _spread(view: BookView) -> str:
    bid, ask = view.levels.best_bid(), view.levels.best_ask()
    return "one side is empty" if bid is None or ask is None else f"spread {ask - bid:.8g}"


def _n(value: float | None) -> str:
    return "–" if value is None else f"{value:,.10g}"
