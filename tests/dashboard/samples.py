"""Telemetry, heartbeats and plans that the dashboard's tests speak of."""

from __future__ import annotations

# ruff: noqa: ANN401
from typing import Any

from bus.events import BusEvent, Heartbeat, Telemetry
from bus.items import Message
from bus.wire import SCHEMA, Header
from dashboard.plan import Plan
from dashboard.state import Now, State

MS = 1_000_000
S = 1_000 * MS
MONO = 5_000 * S
WALL = 1_795_000_000 * S
WALL_MS = WALL // MS
BTC, ETH = "BTC-PERP", "ETH-PERP"


def now(ms: int = 0) -> Now:
    """Both clocks so long after the tests' beginning."""
    return Now(MONO + ms * MS, WALL + ms * MS)


def plan(*, required: frozenset[tuple[str, str]] | None = None, same_host: bool = True) -> Plan:
    """Two venues of two and one markets, all required."""
    everything = frozenset({("aster", BTC), ("aster", ETH), ("paradex", BTC)})
    return Plan(
        {"aster": (BTC, ETH), "paradex": (BTC,)},
        {"aster": 10_000, "paradex": 15_000},
        everything if required is None else required,
        same_host,
    )


def ages(age_ms: int | None = 40, *, fresh: bool = True) -> dict[str, Any]:
    """What venues and markets have alike."""
    return {"age_ms": age_ms, "age_event_ms": -3, "silent_ms": 9_000 if age_ms is None else age_ms, "fresh": fresh}


def market(
    *, state: str | None = "live", trust: str | None = "live", trusted: bool = True, **of: Any
) -> dict[str, Any]:
    """A market of a tick."""
    return {**ages(**of), "state": state, "trust": trust, "trusted": trusted}


def venue(
    markets: dict[str, Any], *, state: str | None = "live", reason: str = "snapshot", **of: Any
) -> dict[str, Any]:
    """A venue of a tick."""
    return {
        **ages(**of),
        "trusted": all(told["trusted"] for told in markets.values()),
        "state": state,
        "since_ms": WALL_MS - 5_000,
        "reason": reason,
        "skew_ms": 12,
        "markets": markets,
    }


def body(**venues: Any) -> dict[str, Any]:
    """A tick of telemetry without details; everything is live unless told otherwise."""
    told = {"aster": venue({BTC: market(), ETH: market()}), "paradex": venue({BTC: market()}), **venues}
    return {
        "t": 4,
        "schema": 1,
        "treasury_guidance": {"as_of_ms": WALL_MS, "venues": []},
        "up_ms": 1_000,
        "cap_hits": 2,
        "clock_jumps": 1,
        "venues": {name: told for name, told in told.items() if told is not None},
    }


def measured(*values: int) -> dict[str, Any]:
    """Percentiles with a sample in the window and none in the run."""
    return {"window": list(values or (1, 2, 3, 4, 5)), "run": None}


def venue_detail(**other: Any) -> dict[str, Any]:
    """Details of a venue."""
    return {
        "stale_ms": 10_000,
        "age": measured(10, 20, 30, 40, 99),
        "age_event": measured(),
        "plateaus": {"10000": [2, 9, 12_000, False]},
        "time_in_state_ms": {"live": 9_000, "stale": 1_500},
        "state_changes": 3,
        "hops_us": {
            "window": {"socket_to_apply": [100, 200, 300, 400, 7], "venue_to_socket": None},
            "run": {},
            "bounds": [0, 50, 1_000_000],
            "counts": {"socket_to_apply": [0, 3, 4, 0], "venue_to_socket": [2, 0, 1, 1]},
            "sums": {"socket_to_apply": 2_500},
        },
        "events": {"bbo": 5},
        "events_per_s": {"bbo": 2.0, "trade": 0.5},
        "late": 1,
        "reconnects": {"seq_gap": 2},
        "last_reconnect": {"at_ms": WALL_MS - 9_000, "reason": "seq_gap", "connection": "main", "detail": "5 != 4"},
        **other,
    }


def market_detail(**other: Any) -> dict[str, Any]:
    """Details of a market."""
    return {
        "since_ms": WALL_MS - 4_000,
        "reason": "snapshot",
        "rebuild": 1,
        "healing": False,
        "bid": [100.0, 1.0],
        "ask": None,
        "funding": {"rate_hourly": 0.00001, "settled": False, "next_ms": None},
        "stats": {"mark": 100.0, "index": None, "open_interest": 5.0},
        "check": {"against": "bbo", "compared": 9, "diverged": 1, "divergence": 0.001, "for_ms": 2_500},
        "age": measured(),
        "age_event": measured(),
        "time_in_state_ms": {"live": 9_000},
        **other,
    }


def process(**other: Any) -> dict[str, Any]:
    """A process."""
    return {
        "pid": 42,
        "uptime_ms": 60_000,
        "restarts": 1,
        "rss_bytes": 40_000_000,
        "cpu_percent": 1.5,
        "loop_lag_ms": 0.4,
        "worst_loop_lag_ms": 3.0,
        "heartbeat_age_ms": 120,
        "missing": False,
        "last_action": None,
        "last_detail": None,
        **other,
    }


def system(**processes: Any) -> dict[str, Any]:
    """Processes, delivery, the runner."""
    return {
        "window_ms": 60_000,
        "processes": {"aster": process(), **processes},
        "delivery": {
            "pressure": {"mp_try_send_full_count": 0},
            "gaps": 1,
            "gap_events": 7,
            "lost": {"aster": {"hole": 3, "of another version": 1}},
            "heals": 2,
            "slowest_heal_ms": 15,
            "accounts": {
                "imbalance": 1,
                "by_sender": {"aster": [10, 7, 1, 1, 0, 1]},
                "unbalanced": 1,
                "unbalanced_chains": ["book.aster.BTC-PERP"],
            },
        },
        "runner": {"late_tick_ms": 2, "missed_ticks": 0, "telemetry_failures": 0},
    }


def whole(**venues: Any) -> dict[str, Any]:
    """A tick with every part."""
    return {
        **body(**venues),
        "venue_detail": {"aster": venue_detail()},
        "market_detail": {"aster": {BTC: market_detail(), ETH: market_detail(check=None)}},
        "system": system(),
    }


def message(
    event: BusEvent, at_ms: int = 0, *, sender: str = "runner", market: str = "-", epoch: int = 1, line: str = "a"
) -> Message:
    """An event made so long after the tests' beginning."""
    header = Header(SCHEMA, line, epoch, 1, WALL + at_ms * MS, MONO + at_ms * MS, MONO + at_ms * MS)
    return Message(event.kind, sender, market, header, event, MONO + at_ms * MS)


def telemetry(told: dict[str, Any], at_ms: int = 0, *, epoch: int = 1) -> Message:
    """A telemetry event; its clock is set to when it is made."""
    told = {**told, "treasury_guidance": {"as_of_ms": WALL_MS + at_ms, "venues": []}}
    return message(Telemetry(told), at_ms, epoch=epoch)


def heartbeat(
    sender: str,
    at_ms: int = 0,
    *,
    epoch: int = 1,
    line: str = "a",
    counters: dict[str, int] | None = None,
    headroom: dict[str, float] | None = None,
) -> Message:
    """A heartbeat."""
    beat = Heartbeat(7, WALL, counters or {}, {}, 0.5, 30_000_000, 1.25, headroom or {})
    return message(beat, at_ms, sender=sender, epoch=epoch, line=line)


def state(*items: Message, **of: Any) -> State:
    """A state that took these at the tests' beginning."""
    found = State(plan(**of), now())
    for item in items:
        found.take(item, now())
    return found
