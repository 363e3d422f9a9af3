"""Reading what a Hyperliquid client sends (pure)."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec

from simulator.decimals import encode
from simulator.venues.hyperliquid.rest import valid_figures

PER_COIN = frozenset({"l2Book", "bbo", "trades", "activeAssetCtx"})
WITHOUT_COIN = frozenset({"allMids", "allDexsAssetCtxs", "fastAssetCtxs"})


class Subscription(NamedTuple):
    """Normalised: what distinguishes one stream from another."""

    type: str
    coin: str | None = None
    figures: int | None = None
    mantissa: int | None = None
    fast: bool = False

    def echo(self) -> dict[str, Any]:
        """The normalised form with defaults filled in."""
        if self.coin is None:
            return {"type": self.type}
        plain: dict[str, Any] = {"type": self.type, "coin": self.coin}
        if self.type == "l2Book":
            plain |= {"nSigFigs": self.figures, "mantissa": self.mantissa, "fast": self.fast}
        return plain

    @property
    def text(self) -> str:
        """The echo as JSON."""
        return encode(self.echo()).decode()


class Request(NamedTuple):
    """One client frame. ``bad`` marks values that make the venue drop the socket silently."""

    method: Literal["subscribe", "unsubscribe", "ping", "post"]
    subscription: Subscription | None = None
    id: int = 0
    body: Any = None
    bad: bool = False


def parse(text: str) -> Request | None:
    """Read a client frame; None when the venue would answer with its parse error."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    match value.get("method"):
        case "ping":
            return Request("ping")
        case "subscribe" | "unsubscribe" as method:
            return _subscription(method, value.get("subscription"))
        case "post":
            return _post(value)
        case _:
            return None


def _post(value: dict[str, Any]) -> Request | None:
    number, request = value.get("id"), value.get("request")
    if not isinstance(number, int) or not isinstance(request, dict) or request.get("type") not in {"info", "action"}:
        return None
    return Request("post", id=number, body=request.get("payload") if request["type"] == "info" else None)


def _subscription(method: Literal["subscribe", "unsubscribe"], value: Any) -> Request | None:  # noqa: ANN401 - raw JSON
    if not isinstance(value, dict):
        return None
    kind, coin = value.get("type"), value.get("coin")
    if kind in WITHOUT_COIN:
        return Request(method, Subscription(kind))
    if kind not in PER_COIN or not isinstance(coin, str):
        return None
    if kind != "l2Book":
        return Request(method, Subscription(kind, coin))
    figures, mantissa, fast = value.get("nSigFigs"), value.get("mantissa"), value.get("fast") or False
    if not isinstance(fast, bool):
        return None
    return Request(method, Subscription(kind, coin, figures, mantissa, fast), bad=not valid_figures(figures, mantissa))
