"""By what age a connector is to be judged, from the runner's telemetry."""

from __future__ import annotations

LIVE = "live"


def oldest(view: object) -> tuple[int, str] | None:
    """Age in ms and whose it is, from what telemetry says of one venue; ``None`` when it says nothing usable.

    The venue's own age; or that of a market which its connector still calls live, if that is greater: whatever should
    have noticed its silence has failed. A market that is not called live is known to be ill, and being mended.
    """
    if not isinstance(view, dict):
        return None
    found = [] if (age := _silent(view)) is None else [(age, "venue")]
    markets = view.get("markets")
    for name, market in markets.items() if isinstance(markets, dict) else ():
        if isinstance(market, dict) and market.get("state") == LIVE and (age := _silent(market)) is not None:
            found.append((age, str(name)))
    return max(found, key=lambda one: one[0], default=None)


def _silent(view: dict[str, object]) -> int | None:
    age = view.get("silent_ms")
    return int(age) if isinstance(age, int | float) else None
