"""The page about two runs side by side."""

from __future__ import annotations

from typing import Final

from cli.evidence.comparison import Comparison, Difference
from cli.evidence.document import Document, Section, Table, number

WORDS: Final = (
    "Means over blocks of time, the first 15 s left out. Chance: of a difference like this between runs that differ in "
    "nothing but noise, by a rank test over the blocks that respects their autocorrelation, corrected for the number "
    "of rows. Worse or better is told where it is at most 2 % and the change is large enough to matter."
)


def page(comparison: Comparison, names: tuple[str, str]) -> Document:
    """The page about two runs."""
    news, unknown = comparison.news, [d for d in comparison.differences if d.verdict == "unknown"]
    sections = []
    if comparison.unlike:
        sections.append(Section("unlike", "These runs are not alike", [f"- {why}" for why in comparison.unlike]))
    heads = ("venue", "metric", "before", "after", "change", "relative", "chance", "verdict")
    rows = [_difference(difference) for difference in comparison.differences]
    words = [WORDS]
    if unknown:
        words.append(f"{len(unknown)} rows have too few samples to tell: longer runs would.")
    marks = [{"worse": "bad", "better": "good"}.get(difference.verdict, "") for difference in comparison.differences]
    sections.append(Section("metrics", "Metrics", words, Table(heads, rows, marks)))
    for key, title, changes in (
        ("settings", "Settings that differ", comparison.settings),
        ("versions", "Versions and host that differ", comparison.versions),
    ):
        table = Table(("", "before", "after"), [(change.what, change.before, change.after) for change in changes])
        sections.append(Section(key, title, [] if changes else ["None."], table))
    good = None if not news else not comparison.worse
    return Document(f"Before {names[0]}, after {names[1]}", verdict(comparison), good, sections)


def verdict(comparison: Comparison) -> str:
    """One line."""
    news = comparison.news
    if not news:
        return "No difference: nothing changed by more than noise and by enough to matter."
    told = [f"{d.venue} {d.metric} {d.verdict} ({signed_share(d.relative)})" for d in news]
    return f"{len(news)} differences: {'; '.join(told)}"


def _difference(difference: Difference) -> tuple[str, ...]:
    chance = difference.chance
    return (
        difference.venue,
        f"{difference.metric} ({difference.unit})",
        number(difference.before),
        number(difference.after),
        "-" if difference.change is None else f"{'+' if difference.change > 0 else ''}{number(difference.change)}",
        signed_share(difference.relative),
        "-" if chance is None else f"{chance:.2g}",
        difference.verdict,
    )


def signed_share(value: float | None) -> str:
    """A relative change."""
    return "-" if value is None else f"{value:+.1%}"
