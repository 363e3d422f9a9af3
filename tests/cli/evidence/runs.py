"""Runs as a runner would have written them, made of a few numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

BEGIN_MS = 1_795_306_495_000
VENUES = ("hyperliquid", "aster")
MARKET = "BTC-PERP"
NOTHING: dict[str, Any] = {}


def venue(age: float | None = 20, *, state: str = "live", trusted: bool = True, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """The part of one venue in a tick."""
    fresh = age is not None and age <= 10_000
    ages = {"age_ms": age, "age_event_ms": None if age is None else age + 5, "silent_ms": age or 0, "fresh": fresh}
    return {
        **ages,
        "state": state,
        "since_ms": BEGIN_MS,
        "reason": "because",
        "trusted": trusted,
        "skew_ms": 3,
        "markets": {MARKET: {**ages, "state": state, "trust": "live", "trusted": trusted}},
        **more,
    }


def tick(t: int, venues: Mapping[str, dict[str, Any]], *, at_ms: float | None = None, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """One line: tick ``t`` of a runner, 250 ms after the one before it unless told otherwise."""
    at_ms = BEGIN_MS + t * 250 if at_ms is None else at_ms
    return {
        "t": t,
        "venue_age_ms": [about["age_ms"] for about in venues.values()],
        "venue_age_event_ms": [about["age_event_ms"] for about in venues.values()],
        "treasury_guidance": {
            "as_of_ms": at_ms,
            "venues": [{"venue_index": index, "venue_id": name} for index, name in enumerate(venues)],
        },
        "schema": 1,
        "up_ms": 250 * (t + 1),
        "cap_hits": 0,
        "clock_jumps": 0,
        "venues": dict(venues),
        **more,
    }


def detail(reconnects: Mapping[str, int] = NOTHING, events: int = 0) -> dict[str, Any]:
    """``venue_detail`` of one venue."""
    return {
        "stale_ms": 10_000,
        "hops_us": {"window": {}, "run": {"socket_to_apply": [500, 900, 1_500, 9_000, 100], "venue_to_socket": None}},
        "events": {"book": events},
        "late": 0,
        "reconnects": dict(reconnects),
    }


def system(
    *, restarts: int = 0, full: int = 0, imbalance: int = 0, pid: int = 7, missing: bool = False
) -> dict[str, Any]:
    """``system`` with one process."""
    process = {"pid": pid, "restarts": restarts, "rss_bytes": 40_000_000, "cpu_percent": 2.5, "missing": missing}
    accounts = {"published": 10, "applied": 10, "merged": 0, "dropped": 0, "in_flight": 0, "imbalance": imbalance}
    pressure = {"mp_try_send_full_count": full, "mp_pending_latest_replaced_count": 0, "mp_lossless_wait_count": 1}
    return {
        "window_ms": 60_000,
        "processes": {"aster": {**process, "worst_loop_lag_ms": 3.0}},
        "delivery": {"pressure": pressure, "gaps": 0, "gap_events": 0, "heals": 0, "accounts": accounts},
        "runner": {"late_tick_ms": 2, "missed_ticks": 0, "telemetry_failures": 0},
    }


def lines(ticks: Sequence[dict[str, Any]] | Iterator[dict[str, Any]]) -> list[bytes]:
    """As in the file."""
    return [msgspec.json.encode(one) + b"\n" for one in ticks]


def calm(count: int, venues: Sequence[str] = VENUES, age: float = 20) -> list[dict[str, Any]]:
    """A run in which nothing happens, with every part of the details."""
    parts: dict[str, Any] = {"venue_detail": {name: detail() for name in venues}, "system": system()}
    parts["market_detail"] = {name: {MARKET: {"rebuild": 1, "check": None}} for name in venues}
    return [tick(t, {name: venue(age) for name in venues}, **(parts if t % 4 == 0 else {})) for t in range(count)]


def write(
    folder: Path,
    ticks: Sequence[dict[str, Any]],
    *,
    log: bytes = b"",
    rx: bytes | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> Path:
    """A directory as a soak leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "telemetry.jsonl").write_bytes(b"".join(lines(ticks)))
    (folder / "run.log").write_bytes(log)
    (folder / "market_rx_stats.log").write_bytes(rx_lines(len(ticks)) if rx is None else rx)
    if manifest is not None:
        (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return folder


def rx_lines(count: int, cap_hits: int = 0) -> bytes:
    """``market_rx_stats.log``."""
    kinds = ("l2_delta", "l2_snapshot", "trade", "funding_update")
    names = (
        "raw_drained",
        *(f"raw_{kind}" for kind in kinds),
        "out_market",
        *(f"out_{kind}" for kind in kinds),
        "other",
    )
    fields = " ".join(f"{name}=1" for name in names)
    return b"".join(b"market_rx_stats tick=%d %s cap_hits=%d\n" % (t, fields.encode(), cap_hits) for t in range(count))
