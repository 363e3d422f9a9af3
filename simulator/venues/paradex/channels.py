"""Channel names (pure): which are data, which are refused, and which are accepted and never heard of again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from simulator.venues.paradex import facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulator.truth import MarketSpec

Kind = Literal["book", "tops", "bbo", "trades", "summary", "funding", "silent"]


class Channel(NamedTuple):
    """``market`` None is every market; ``rpi`` shows RPI orders too.

    ``period_ms`` and ``tick`` (in ticks) are of ``tops``, the best 15 levels now and then.
    """

    name: str
    kind: Kind
    market: str | None = None
    rpi: bool = False
    period_ms: int = 0
    tick: int = 1


class Refused(NamedTuple):
    """``data`` of an invalid subscribe request."""

    data: str


INVALID = Refused("invalid channel")
_BOOK = re.compile(r"order_book\.(?P<symbol>[^.@]+)\.(?P<feed>deltas|interactive_deltas)(?P<rest>@.*)?")
_TOPS = re.compile(
    rf"order_book\.(?P<symbol>[^.@]+)\.(?P<feed>snapshot|interactive)@{facts.SNAPSHOT_DEPTH}"
    r"@(?P<period>\d+)ms(?:@(?P<tick>\d+(?:_\d+)?))?"
)
_BBO = re.compile(r"bbo\.(?P<symbol>[^.@]+)(?P<rpi>\.interactive)?")
_PLAIN = re.compile(r"(?P<feed>trades|markets_summary|funding_data|markets)(?:\.(?P<symbol>[^.@]+))?")
_COMPARISON = re.compile(r"funding_rate_comparison\.ALL@(?:500|1000)ms")
_FEEDS: dict[str, Kind] = {
    "trades": "trades",
    "markets_summary": "summary",
    "funding_data": "funding",
    "markets": "silent",
}


def parse(name: str, specs: Mapping[str, MarketSpec]) -> Channel | Refused:
    """Read a name; ``specs`` are the markets by symbol."""
    for pattern, read in ((_BOOK, _book), (_TOPS, _tops), (_BBO, _bbo), (_PLAIN, _plain)):
        match = pattern.fullmatch(name)
        if match is not None:
            return read(name, match, specs)
    # Seen live: misspelt bbo names are acknowledged and stay silent.
    if _COMPARISON.fullmatch(name) or (name.startswith("bbo.") and any(symbol in name for symbol in specs)):
        return Channel(name, "silent")
    return INVALID


def _book(name: str, match: re.Match[str], specs: Mapping[str, MarketSpec]) -> Channel | Refused:
    spec = specs.get(match["symbol"])
    if match["rest"]:
        return Refused(f"no parameters expected for {match['feed']} topic.")
    if spec is None:
        return INVALID
    return Channel(name, "book", spec.market, rpi=match["feed"] == "interactive_deltas")


def _tops(name: str, match: re.Match[str], specs: Mapping[str, MarketSpec]) -> Channel | Refused:
    spec, rpi, period = specs.get(match["symbol"]), match["feed"] == "interactive", int(match["period"])
    if spec is None or period not in (facts.INTERACTIVE_MS if rpi else facts.SNAPSHOT_MS):
        return INVALID
    tick = 1 if match["tick"] is None else _ticks(spec, match["tick"])
    if not tick:
        return Channel(name, "silent")
    return Channel(name, "tops", spec.market, rpi=rpi, period_ms=period, tick=tick)


def _ticks(spec: MarketSpec, text: str) -> int:
    """A price step like ``0_1`` in the market's ticks; 0 when it does not suit."""
    whole, _, part = text.partition("_")
    if len(part) > spec.price_decimals:
        return 0
    steps, rest = divmod(int(whole + part.ljust(spec.price_decimals, "0")), spec.tick)
    return 0 if rest else steps


def _bbo(name: str, match: re.Match[str], specs: Mapping[str, MarketSpec]) -> Channel | Refused:
    if match["symbol"] == "ALL":
        return INVALID if match["rpi"] else Channel(name, "bbo")
    spec = specs.get(match["symbol"])
    return INVALID if spec is None else Channel(name, "bbo", spec.market, rpi=bool(match["rpi"]))


def _plain(name: str, match: re.Match[str], specs: Mapping[str, MarketSpec]) -> Channel | Refused:
    kind, symbol = _FEEDS[match["feed"]], match["symbol"]
    if symbol in {None, "ALL"}:
        return INVALID if kind == "trades" and symbol is None else Channel(name, kind)
    spec = specs.get(symbol)
    return INVALID if spec is None else Channel(name, kind, spec.market)
