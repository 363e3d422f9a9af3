"""``paraphina tail``: events of the bus as lines, as they come."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from typing import Any, Final

import click
import msgspec

from bus.client import Subscriber
from bus.events import (
    EVENT_TYPES,
    Bbo,
    Book,
    BusEvent,
    Check,
    Delta,
    Funding,
    Gap,
    Heartbeat,
    Instrument,
    Process,
    Reconnect,
    Stats,
    Status,
    Telemetry,
    Trade,
)
from bus.items import Healed, Item, Lost, Message, TrustChanged
from cli.hearing import MARKET, VENUE, check, give_up
from cli.status import settings_or_exit

QUIET: Final = frozenset(EVENT_TYPES) - {"status", "reconnect", "process", "gap"}
"""Kinds that are shown only when they are asked for: they come all the time."""
KINDS: Final = click.Choice(["all", *EVENT_TYPES])


@click.command()
@click.option("--kind", "kinds", multiple=True, type=KINDS, help="Only this kind; may be repeated. `all`: every kind.")
@click.option("--venue", "venues", multiple=True, type=VENUE, help="Only this venue; may be repeated.")
@click.option("--market", "markets", multiple=True, type=MARKET, help="Only this market (BTC or BTC-PERP).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with every field.")
@click.option("--wait", default=3.0, show_default=True, help="Seconds to wait for the first sign of life.")
def tail(
    *, kinds: tuple[str, ...], venues: tuple[str, ...], markets: tuple[str, ...], as_json: bool, wait: float
) -> None:
    """Show events as they come, and every loss; without --kind what happens rather than what is quoted or traded.

    Exit code: 0 ended by Ctrl-C, 3 nothing is heard.
    """
    settings = settings_or_exit()
    check(settings, venues, markets)
    wanted = chosen(kinds)
    heard_at: float | None = None
    began = time.monotonic()
    # Heartbeats are always asked for: without them silence and a quiet market look alike.
    with Subscriber(
        settings, kinds=wanted | {"heartbeat"}, venues=venues or None, markets=markets or None, books=False, name="tail"
    ) as subscriber:
        try:
            while True:
                for item in subscriber.poll(0.25):
                    heard_at = time.monotonic()
                    if shown(item, wanted):
                        click.echo(as_object(item) if as_json else line(item))
                if heard_at is None and time.monotonic() - began > wait:
                    give_up(settings, subscriber, wait)
        except KeyboardInterrupt:
            return
        except BrokenPipeError:
            # Whoever read this has left: nothing more can be written, not even at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def chosen(kinds: tuple[str, ...]) -> frozenset[str]:
    """Kinds to show."""
    if "all" in kinds:
        return frozenset(EVENT_TYPES)
    return frozenset(kinds) or frozenset(EVENT_TYPES) - QUIET


def shown(item: Item, wanted: frozenset[str]) -> bool:
    """Whether the item is of a kind that was asked for; losses of a book concern its deltas as well."""
    return item.kind in wanted or (item.kind == "book" and "delta" in wanted)


def as_object(item: Item) -> str:
    """The item as JSON: ``item`` says what it is, times in ns as on the bus."""
    told: dict[str, Any] = {"item": type(item).__name__.lower()}
    if isinstance(item, Message):
        # Events travel as arrays; here their fields have names.
        fields = {name: getattr(item.event, name) for name in item.event.__struct_fields__}
        header = {name: getattr(item.header, name) for name in item.header.__struct_fields__}
        told |= {"kind": item.kind, "venue": item.venue, "market": item.market, "header": header, "event": fields}
    else:
        told |= msgspec.structs.asdict(item)
    return json.dumps(msgspec.to_builtins(told))


def line(item: Item) -> str:
    """The item for people."""
    match item:
        case Message(header=header, event=event):
            at = datetime.fromtimestamp(header.recv_ns / 1e9, UTC).strftime("%H:%M:%S.%f")[:-3]
            return f"{at} {item.kind:<10} {item.venue:<12} {item.market:<9} {words(event)}"
        case Lost():
            count = f"{item.count} messages" if item.count else "messages"
            return _own("LOST", item, f"{count} of {item.kind}: {item.why}")
        case Healed():
            return _own("HEALED", item, f"{item.kind} after {item.after_ns / 1e6:.0f} ms")
        case TrustChanged():
            trusted = "may be used" if item.trusted else "must not be used"
            return _own("TRUST", item, f"{item.kind} {trusted} ({item.trust or 'none'})")


def _own(what: str, item: Lost | Healed | TrustChanged, rest: str) -> str:
    """Something that this consumer found, not the venue: it has no time of the wire."""
    return f"{'':12} {what:<10} {item.venue:<12} {item.market:<9} {rest}"


def words(event: BusEvent) -> str:
    """What an event says."""
    match event:
        case Book() | Delta() | Bbo() | Trade() | Funding() | Stats() | Instrument() | Check():
            return market_words(event)
        case Status():
            return f"{event.previous} → {event.state}: {event.reason} {event.detail}".rstrip()
        case Reconnect():
            return f"{event.connection}: {event.reason} ({event.count}) {event.detail}; next in {event.retry_in_ms} ms"
        case Gap():
            return (
                f"{event.count} events of {event.chain} dropped, {event.first_seq} to {event.last_seq}: {event.reason}"
            )
        case Heartbeat():
            used = f"{event.rss_bytes / 1e6:.0f} MB, {event.cpu_s:.1f} s CPU"
            return f"pid {event.pid}, {used}, lag {event.loop_lag_ms:.1f} ms"
        case Process():
            return f"{event.program} {event.action} {event.detail}".rstrip()
        case Telemetry():
            return f"tick {event.body.get('t')}, ages {event.body.get('venue_age_ms')} ms"


def market_words(event: Book | Delta | Bbo | Trade | Funding | Stats | Instrument | Check) -> str:
    """What an event says of a market."""
    match event:
        case Book():
            return f"{event.trust}, {len(event.bid_px)} bids, {len(event.ask_px)} asks, rebuild {event.rebuild}"
        case Delta():
            return f"{event.trust}, {len(event.bid_px)} bids, {len(event.ask_px)} asks changed"
        case Bbo():
            return f"{event.trust}, {_level(event.bid_sz, event.bid_px)} | {_level(event.ask_sz, event.ask_px)}"
        case Trade():
            return f"{event.side or '?'} {event.sz:g} @ {event.px:.10g}{' (history)' if event.history else ''}"
        case Funding():
            return f"{event.rate_hourly * 100:.6f} %/h {'settled' if event.settled else 'predicted'}"
        case Stats():
            return (
                f"mark {_number(event.mark_px)}, index {_number(event.index_px)}, open {_number(event.open_interest)}"
            )
        case Instrument():
            return f"{event.venue_symbol}, tick {event.tick}, lot {event.lot}, in {event.quote}"
        case Check():
            return f"against {event.against}: {event.diverged} of {event.compared} differed, last {event.divergence:g}"


def _level(size: float | None, price: float | None) -> str:
    return "none" if price is None or size is None else f"{size:g} @ {price:.10g}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.10g}"
