"""What a client asks for, read from a v1 path or from v2 parameters (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from simulator.venues.extended import facts

if TYPE_CHECKING:
    from collections.abc import Collection

Scope = Literal["book", "bbo", "rfq", "trades", "mark", "index", "funding"]

V1_SCOPES: dict[str, Scope] = {
    "orderbooks": "book",
    "orderbooks/rfq": "rfq",
    "publicTrades": "trades",
    "funding": "funding",
    "prices/mark": "mark",
    "prices/index": "index",
}
V2_SCOPES: dict[str, Scope] = {"trades": "trades", "funding-rates": "funding"}
SUBSCRIPTIONS: dict[Scope, str] = {
    "book": "orderbooks.{}",
    "bbo": "orderbooks.1.{}",
    "rfq": "orderbooks.{}.rfq",
    "trades": "trades.{}",
    "mark": "prices.mark.{}",
    "index": "prices.index.{}",
    "funding": "funding-rates.{}",
}


class Topic(NamedTuple):
    """One stream: ``symbol`` None is every market."""

    scope: Scope
    symbol: str | None

    @property
    def subscription(self) -> str:
        """The id that v2 echoes in every frame."""
        return SUBSCRIPTIONS[self.scope].format(self.symbol or "all")


class Wrong(NamedTuple):
    """A request that cannot be served. ``code`` 0: the venue stays silent."""

    code: int
    message: str = ""


SILENCE = Wrong(0)
NO_MARKET = Wrong(facts.MARKET_NOT_FOUND, "Market not found.")
NO_PATH = Wrong(404, "Not found.")
BAD_DEPTH = Wrong(400, "Invalid depth.")
BAD_PARAMS = Wrong(facts.INVALID_PARAMS, "Invalid params")


def from_path(path: str, depth: str | None, symbols: Collection[str]) -> Topic | Wrong:
    """Read ``orderbooks/BTC-USD`` (what follows ``/v1/``); only the book takes a ``depth``, and only ``1``."""
    scope, symbol = V1_SCOPES.get(path), None
    if scope is None:
        head, _, symbol = path.rpartition("/")
        scope = V1_SCOPES.get(head)
    if scope is None:
        return NO_PATH
    if symbol is not None and symbol not in symbols:
        return NO_MARKET
    if depth is None:
        return Topic(scope, symbol)
    if depth != "1" or scope not in {"book", "rfq"}:
        return BAD_DEPTH
    return Topic("bbo" if scope == "book" else "rfq", symbol)


def from_params(params: Any, symbols: Collection[str]) -> Topic | Wrong:  # noqa: ANN401 - raw JSON
    """Read ``{"scope":..., "selector":{...}}``. An unknown depth is met with silence, as observed."""
    selector = params.get("selector") if isinstance(params, dict) else None
    if not isinstance(selector, dict):
        return BAD_PARAMS
    scope = _scope(params.get("scope"), selector)
    if isinstance(scope, Wrong):
        return scope
    symbol = selector.get("market")
    if symbol is not None and symbol not in symbols:
        return BAD_PARAMS
    return Topic(scope, symbol)


def _scope(name: Any, selector: dict[str, Any]) -> Scope | Wrong:  # noqa: ANN401 - raw JSON
    match name, selector.get("type"), selector.get("depth"):
        case ("orderbooks", _, "full"):
            return "rfq" if selector.get("rfqOnly") else "book"
        case ("orderbooks", _, "1"):
            return "bbo"
        case ("orderbooks", _, _):
            return SILENCE
        case ("prices", "mark", _):
            return "mark"
        case ("prices", "index", _):
            return "index"
        case (str(), _, _):
            return V2_SCOPES.get(name, BAD_PARAMS)
        case _:
            return BAD_PARAMS
