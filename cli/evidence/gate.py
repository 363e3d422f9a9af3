"""The gate: every criterion with its value, its limit, and whether it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from cli.evidence.facts import Facts, VenueFacts

BAD_REASONS: Final = ("stale_watchdog", "read_timeout", "ping_send_fail", "session_timeout")
PRESSURE: Final = ("mp_try_send_full_count", "mp_pending_latest_replaced_count")
PLATEAU_MS: Final = 30_000
START_UP_MS: Final = 30_000


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The loosest values; a run may be held to stricter ones."""

    age_p95_ms: float = 10_000
    age_p99_ms: float = 30_000
    age_event_p95_ms: float = 12_000
    age_event_p99_ms: float = 35_000
    plateaus_30s: float = 0
    reconnects_per_reason: float = 3
    mp_try_send_full_count: float = 0
    mp_pending_latest_replaced_count: float = 0
    cap_hits: float = 0
    imbalance: float = 0
    coverage: float = 0.9
    """Share of the run that telemetry must cover; the only limit that is a least value."""


class LimitError(ValueError):
    """A limit that does not exist or that would loosen the gate."""


class Criterion(msgspec.Struct, frozen=True):
    """One line of the gate."""

    name: str
    of: str
    """The venue, or what else it is about."""
    value: float | None
    limit: float
    passed: bool
    note: str = ""


class Gate(msgspec.Struct, frozen=True):
    """All lines."""

    criteria: list[Criterion]

    @property
    def passed(self) -> bool:
        """Whether every criterion holds."""
        return bool(self.criteria) and all(criterion.passed for criterion in self.criteria)

    @property
    def failures(self) -> list[Criterion]:
        """Those that do not hold."""
        return [criterion for criterion in self.criteria if not criterion.passed]


def limits(stricter: Mapping[str, float]) -> Limits:
    """The limits with some of them made stricter. Raises LimitError."""
    loosest = Limits()
    names = [field.name for field in msgspec.structs.fields(Limits)]
    for name, value in stricter.items():
        if name not in names:
            raise LimitError(f"unknown limit {name}; there are {', '.join(names)}")
        bound = getattr(loosest, name)
        if value != value or (value < bound if name == "coverage" else value > bound):  # noqa: PLR0124 - NaN
            raise LimitError(f"{name}={value:g} would loosen the gate; its loosest value is {bound:g}")
    return msgspec.structs.replace(loosest, **stricter)


def judge(facts: Facts, expected: Sequence[str], bounds: Limits, *, require_event_age: bool) -> Gate:
    """Hold a run to the limits. ``expected``: venues that must be there."""
    found = {venue.venue: venue for venue in facts.venues}
    criteria: list[Criterion] = []
    for name in expected:
        criteria += _venue(name, found.get(name), bounds, require_event_age=require_event_age)
    criteria += _whole(facts, bounds)
    return Gate(criteria)


def _venue(name: str, venue: VenueFacts | None, bounds: Limits, *, require_event_age: bool) -> Iterator[Criterion]:
    samples = 0 if venue is None or venue.age is None else venue.age.n
    yield Criterion("samples", name, samples, 1, samples >= 1, "" if samples else "no age was ever known")
    if venue is None or venue.age is None:
        return
    yield _most("age_p95_ms", name, venue.age.p95, bounds.age_p95_ms)
    yield _most("age_p99_ms", name, venue.age.p99, bounds.age_p99_ms)
    if venue.event_age is not None:
        yield _most("age_event_p95_ms", name, venue.event_age.p95, bounds.age_event_p95_ms)
        yield _most("age_event_p99_ms", name, venue.event_age.p99, bounds.age_event_p99_ms)
    elif require_event_age:
        yield Criterion("age_event_samples", name, 0, 1, passed=False, note="the venue's own time was never known")
    plateaus = sum(plateau.count for plateau in venue.plateaus if plateau.threshold_ms >= PLATEAU_MS)
    yield _most("plateaus_30s", name, plateaus, bounds.plateaus_30s)
    for reason in BAD_REASONS:
        yield _most(f"reconnects {reason}", name, venue.reconnects.get(reason, 0), bounds.reconnects_per_reason)


def _whole(facts: Facts, bounds: Limits) -> Iterator[Criterion]:
    delivery = facts.delivery
    for name in PRESSURE:
        note = "" if name in delivery.pressure else "no input tells of it: it is told when it changes"
        limit = getattr(bounds, name)
        value = delivery.pressure.get(name, 0)
        yield Criterion(name, "publisher", value, limit, value <= limit, note)
    if delivery.cap_hits is None:
        yield Criterion("cap_hits", "runner", None, bounds.cap_hits, passed=False, note="no input tells of it")
    else:
        yield _most("cap_hits", "runner", delivery.cap_hits, bounds.cap_hits)
    if delivery.worst_imbalance is not None:
        yield _most("imbalance", "bus", abs(delivery.worst_imbalance), bounds.imbalance)
    share = coverage(facts)
    if share is not None:
        yield Criterion("coverage", "telemetry", round(share, 4), bounds.coverage, share >= bounds.coverage)


def coverage(facts: Facts) -> float | None:
    """Share of the run in which telemetry was written; ``None`` when nobody wrote down how long the run was.

    The first seconds may pass without: processes start.
    """
    start, end, begin = facts.manifest.get("start_ms"), facts.manifest.get("end_ms"), facts.begin_ms
    if not isinstance(start, int | float) or not isinstance(end, int | float) or begin is None or end <= start:
        return None
    begun = start + min(max(0.0, begin - start), START_UP_MS)
    return min(1.0, facts.runner.seen_ms / max(1.0, end - begun))


def _most(name: str, of: str, value: float, limit: float) -> Criterion:
    return Criterion(name, of, value, limit, value <= limit)
