"""Two runs side by side: what differs by more than noise, what was set differently, and whether they are alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from cli.evidence.blocks import Block, BlockScan
from cli.evidence.facts import Facts
from cli.evidence.significance import count_test, holm, rank_test

LEVEL: Final = 0.05
"""Chance of any false alarm in one comparison, were runs alike in everything but noise, before the size of a change is
looked at. Seen: of 60 pairs of like runs none was told as news; of 60 pairs with one feed slowed by 20 % 59 were, 58
at a level of 0.02: in a feed that drifts by itself such a change drowns now and then."""
LONGER: Final = 2.0
"""Runs of which one is longer than the other by this are unlike."""
NOT_SETTINGS: Final = ("ws_url", "rest_url", "ca_file", "out_dir", "dir")
"""Keys of settings that are other in every run of its own plane."""
ALIKE: Final = ("mode", "connectors", "scenario", "scenario_sha256", "processes")
RECONNECTS: Final = "reconnects"


class Metric(msgspec.Struct, frozen=True):
    """Something that is measured a block, and what change of it matters."""

    name: str
    unit: str
    of: Callable[[Block], float | None]
    relative: float
    """Smallest share of change that matters; below it a change may be real and is still no news."""
    absolute: float
    """Smallest change in its unit that matters: below it lies what the ticks' and feeds' phases make of every run."""
    worse: int = 1
    """1: more is worse; -1: less is."""
    windows: bool = False
    """Whether its samples are the runner's sliding windows."""


def _mean(total: float, count: int) -> float | None:
    return total / count if count else None


METRICS: Final = (
    Metric("age", "ms", lambda block: _mean(block.age_sum, block.ages), 0.15, 100),
    Metric("worst age", "ms", lambda block: block.age_max if block.ages else None, 0.5, 250),
    Metric("event age", "ms", lambda block: _mean(block.event_age_sum, block.event_ages), 0.15, 100),
    Metric("events", "/s", lambda block: _mean(block.events, block.details), 0.1, 0.5, worse=-1),
    Metric("not well", "share", lambda block: _mean(block.unwell, block.ticks), 0.0, 0.01),
    Metric("socket to apply", "µs", lambda block: block.hop_us, 0.5, 1_000, windows=True),
)


class Difference(msgspec.Struct, frozen=True):
    """One venue and metric. ``chance``: of such a difference by noise alone, corrected; ``None``: too few blocks."""

    venue: str
    metric: str
    unit: str
    before: float | None
    after: float | None
    change: float | None
    relative: float | None
    chance: float | None
    verdict: str
    """``worse``, ``better``, ``same`` (no news), ``unknown`` (too little to tell)."""


class Change(msgspec.Struct, frozen=True):
    """A setting, a version or a fact of the host that is not the same."""

    what: str
    before: str
    after: str


class Comparison(msgspec.Struct, frozen=True):
    """Everything about a pair."""

    differences: list[Difference]
    settings: list[Change]
    versions: list[Change]
    unlike: list[str]
    """Reasons not to compare them."""

    @property
    def news(self) -> list[Difference]:
        """What differs by more than noise and by enough to matter."""
        return [difference for difference in self.differences if difference.verdict in {"worse", "better"}]

    @property
    def worse(self) -> bool:
        """Whether something is worse."""
        return any(difference.verdict == "worse" for difference in self.differences)


class Side(msgspec.Struct):
    """One run."""

    scan: BlockScan
    facts: Facts


def compare(before: Side, after: Side) -> Comparison:
    """Compare two runs."""
    manifests = before.facts.manifest, after.facts.manifest
    return Comparison(
        _judged([*_measured(before.scan, after.scan)]),
        settings=_changes(*(_settings(manifest) for manifest in manifests)),
        versions=_changes(*(_versions(manifest) for manifest in manifests)),
        unlike=[*unlike(before, after)],
    )


class _Question(msgspec.Struct):
    """What is asked of one venue and metric."""

    venue: str
    metric: Metric
    before: float | None
    after: float | None
    chance: float | None


def _measured(before: BlockScan, after: BlockScan) -> Iterator[_Question]:
    for venue in [name for name in before.venues if name in after.venues]:
        for metric in METRICS:
            samples = [_samples(scan, venue, metric) for scan in (before, after)]
            first, second = (_mean(sum(values), len(values)) for values in samples)
            yield _Question(venue, metric, first, second, rank_test(samples[0], samples[1]))
        yield _reconnects(venue, before, after)


def _samples(scan: BlockScan, venue: str, metric: Metric) -> list[float]:
    blocks = scan.windows(venue) if metric.windows else scan.blocks(venue)
    return [value for block in blocks if (value := metric.of(block)) is not None]


EPISODES: Final = Metric(RECONNECTS, "/h", lambda block: float(block.reconnects > 0), 0.5, 1.0)


def _reconnects(venue: str, before: BlockScan, after: BlockScan) -> _Question:
    """Blocks with reconnects, not reconnects: several connections of a venue are lost together."""
    hits, lengths = [], []
    for scan in (before, after):
        blocks = scan.blocks(venue)
        hits.append(sum(block.reconnects > 0 for block in blocks))
        lengths.append(scan.seen_ms if blocks else 0.0)
    rates = [hit / length * 3.6e6 if length else None for hit, length in zip(hits, lengths, strict=True)]
    return _Question(venue, EPISODES, rates[0], rates[1], count_test(hits[0], hits[1], lengths[0], lengths[1]))


def _judged(questions: Sequence[_Question]) -> list[Difference]:
    chances = holm([question.chance for question in questions])
    return [_difference(question, chance) for question, chance in zip(questions, chances, strict=True)]


def _difference(question: _Question, chance: float | None) -> Difference:
    metric, before, after = question.metric, question.before, question.after
    change = None if before is None or after is None else after - before
    relative = None if change is None or not before else change / abs(before)
    if change is None or chance is None:
        verdict = "unknown"
    elif chance > LEVEL or not _matters(metric, change, relative):
        verdict = "same"
    else:
        verdict = "worse" if change * metric.worse > 0 else "better"
    return Difference(question.venue, metric.name, metric.unit, before, after, change, relative, chance, verdict)


def _matters(metric: Metric, change: float, relative: float | None) -> bool:
    return abs(change) >= metric.absolute and (relative is None or abs(relative) >= metric.relative)


def unlike(before: Side, after: Side) -> Iterator[str]:
    """Why these two should not be compared."""
    first, second = before.facts.manifest, after.facts.manifest
    if first and second:
        for key in ALIKE:
            if first.get(key) != second.get(key):
                yield f"{key} differs: {_word(first.get(key))} and {_word(second.get(key))}"
        markets = [_markets(manifest) for manifest in (first, second)]
        if markets[0] != markets[1]:
            yield "the markets differ"
    elif bool(first) != bool(second):
        yield "only one of them has a manifest"
    venues = [set(side.scan.venues) for side in (before, after)]
    if venues[0] != venues[1]:
        yield f"the venues differ: {', '.join(sorted(venues[0]))} and {', '.join(sorted(venues[1]))}"
    lengths = sorted(side.scan.seen_ms for side in (before, after))
    if lengths[1] > lengths[0] * LONGER:
        yield f"one is {lengths[1] / max(1.0, lengths[0]):.1f} times as long as the other"


def _markets(manifest: Mapping[str, Any]) -> dict[str, Any]:
    venues = manifest.get("settings", {}).get("venues", {})
    return {name: venues.get(name, {}).get("markets") for name in manifest.get("connectors") or ()}


def _settings(manifest: Mapping[str, Any]) -> dict[str, str]:
    live = manifest.get("mode") == "live"
    flat = _flat(manifest.get("settings") or {})
    return {key: value for key, value in flat.items() if live or key.rpartition(".")[2] not in NOT_SETTINGS}


def _versions(manifest: Mapping[str, Any]) -> dict[str, str]:
    host = {key: value for key, value in (manifest.get("host") or {}).items() if key != "load"}
    parts = {"": manifest.get("versions") or {}, "host": host, "git": manifest.get("git") or {}}
    return {f"{part} {key}".strip(): value for part, keys in parts.items() for key, value in _flat(keys).items()}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = _word(value)
    return found


def _word(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(part) for part in value)
    return "-" if value in {None, ""} else str(value)


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    keys = sorted(before.keys() | after.keys())
    return [Change(key, before.get(key, "-"), after.get(key, "-")) for key in keys if before.get(key) != after.get(key)]
