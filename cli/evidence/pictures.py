"""Pictures of a run as SVG: ages over time with what went wrong marked, and how ages and latencies are distributed.

matplotlib is loaded only here, and only when a picture is made; it is the extra ``report``.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from cli.evidence.document import HOPS
from cli.evidence.facts import Facts, FaultFacts
from cli.evidence.scan import Scan, VenueScan

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH: Final = 12.0
ROW: Final = 1.9
"""Inches."""
LINE: Final = "#2a6fb0"
LIMIT: Final = "#8593a5"
TROUBLE: Final = "#c0392b"
RECONNECT: Final = "#7d3c98"
FAULT: Final = "#e08e0b"
MAX_MARKS: Final = 400
"""Marks of one kind in one row: more would be a solid block."""
LEAST_MS: Final = 1.0
"""Bottom of the logarithmic age axis."""
NAME_ROWS: Final = 3
NAME_WIDTH: Final = 0.009
"""Share of the picture's width that the name of a fault takes."""
COLOURS: Final = ("#2a6fb0", "#c0392b", "#2c8a4b", "#7d3c98", "#e08e0b")
STYLE: Final[Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6eaf0",
    "svg.hashsalt": "paraphina",
}


def pictures(scan: Scan, facts: Facts) -> list[tuple[str, str]]:
    """Words and SVG of each picture. Empty where matplotlib is not installed."""
    try:
        import matplotlib as mpl
    except ImportError:
        return []
    with mpl.rc_context(STYLE):
        found = [(AGES_WORDS, _svg(_ages(scan, facts), "a"))]
        found.append((EXCEEDING_WORDS, _svg(_exceeding(scan), "e")))
        if any(venue.hops_us for venue in facts.venues):
            found.append((HOPS_WORDS, _svg(_hops(facts), "h")))
        if scan.processes:
            found.append((PROCESSES_WORDS, _svg(_processes(scan), "p")))
    return found


AGES_WORDS: Final = (
    "Apply age of each venue over time: the highest in each stretch, on a logarithmic scale. Orange: a fault of the "
    "simulator is in force. Red: not live, fresh and trusted. Purple ticks: reconnects. Dashed: the stale threshold."
)
EXCEEDING_WORDS: Final = "Share of ticks in which a venue was older than this."
HOPS_WORDS: Final = "Latency of each hop: from the median to p99, with marks at p50, p95, p99 and the maximum."
PROCESSES_WORDS: Final = "Memory and CPU of each process over time."


def _figure(rows: int, height: float = ROW, *, columns: int = 1) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(WIDTH, max(2.6, rows * height)), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=columns == 1, squeeze=False)
    return figure, list(axes.flat)


def _ages(scan: Scan, facts: Facts) -> Figure:
    figure, axes = _figure(max(1, len(scan.venues)))
    begin_ms = scan.begin_ms or 0.0
    end_s = ((scan.end_ms or begin_ms) - begin_ms) / 1e3
    unit, per = ("h", 3_600.0) if end_s > 10_800 else ("min", 60.0) if end_s > 600 else ("s", 1.0)  # noqa: PLR2004
    for axis, (name, venue) in zip(axes, scan.venues.items(), strict=False):
        points = venue.series.highs()
        times, highs = [at / 1e3 / per for at, _ in points], [max(high, LEAST_MS) for _, high in points]
        axis.plot(times, highs, color=LINE, linewidth=0.9)
        axis.set_yscale("log")
        axis.set_ylim(bottom=LEAST_MS)
        axis.set_ylabel(f"{name}\nage, ms")
        if venue.stale_ms:
            axis.axhline(venue.stale_ms, color=LIMIT, linewidth=0.8, linestyle="--")
        _marks(axis, (venue, name, scan), facts.faults, per * 1e3)
    axes[-1].set_xlabel(f"time since the beginning, {unit}")
    axes[-1].set_xlim(0, max(end_s / per, 1e-3))
    return figure


def _marks(axis: Axes, whose: tuple[VenueScan, str, Scan], faults: Sequence[FaultFacts], scale: float) -> None:
    venue, name, scan = whose
    begin_ms, end_ms = scan.begin_ms or 0.0, scan.end_ms or 0.0

    def at(ms: float) -> float:
        return (ms - begin_ms) / scale

    place, taken_to, row = axis.get_xaxis_transform(), 0.0, 0
    for fault in [fault for fault in faults if fault.venue == name][:MAX_MARKS]:
        until = fault.ended_ms or end_ms
        # An instant one is drawn as wide as can be seen.
        width = max(until, fault.began_ms + (end_ms - begin_ms) / 1_000)
        axis.axvspan(at(fault.began_ms), at(width), color=FAULT, alpha=0.25, linewidth=0)
        # Names of faults that follow each other closely stand one below the other.
        row = (row + 1) % NAME_ROWS if fault.began_ms < taken_to else 0
        taken_to = fault.began_ms + (end_ms - begin_ms) * NAME_WIDTH
        height = 0.97 - row * 0.3
        axis.text(at(fault.began_ms), height, fault.fault, transform=place, fontsize=6, va="top", rotation=90)
    for span in venue.trouble.kept[:MAX_MARKS]:
        axis.axvspan(at(span.begin_ms), at(span.end_ms or end_ms), ymax=0.06, color=TROUBLE, linewidth=0)
    reconnects = [m.at_ms for m in scan.moments if m.who == name and m.what == "reconnect"][:MAX_MARKS]
    axis.plot(
        [at(ms) for ms in reconnects],
        [0.1] * len(reconnects),
        "|",
        color=RECONNECT,
        transform=axis.get_xaxis_transform(),
        markersize=9,
    )


def _exceeding(scan: Scan) -> Figure:
    figure, (axis,) = _figure(1, 3.2)
    for colour, (name, venue) in zip(COLOURS, scan.venues.items(), strict=False):
        points = [(max(value, LEAST_MS), share) for value, share in venue.age.exceeding() if share > 0]
        if points:
            axis.step([value for value, _ in points], [share for _, share in points], color=colour, label=name)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("apply age, ms")
    axis.set_ylabel("share of ticks above")
    if axis.get_lines():
        axis.legend(frameon=False)
    return figure


def _hops(facts: Facts) -> Figure:
    rows = [
        (f"{venue.venue}  {hop}", venue.hops_us[hop])
        for venue in facts.venues
        for hop in HOPS
        if hop in venue.hops_us and venue.hops_us[hop][0] > 0
    ]
    figure, (axis,) = _figure(1, 0.24 * len(rows) + 0.6)
    for index, (_, (p50, p95, p99, highest, *_)) in enumerate(rows):
        axis.plot([p50, p99], [index, index], color=LINE, linewidth=4, solid_capstyle="butt", alpha=0.5)
        for value, mark in ((p50, "|"), (p95, "|"), (p99, "|"), (highest, "x")):
            axis.plot([value], [index], mark, color=LINE, markersize=7)
    axis.set_yticks(range(len(rows)), [words for words, _ in rows])
    axis.invert_yaxis()
    axis.set_xscale("log")
    axis.set_xlabel("µs")
    return figure


def _processes(scan: Scan) -> Figure:
    from matplotlib import colormaps

    figure, (memory, cpu) = _figure(1, 3.4, columns=2)
    colours = colormaps["tab10"].colors  # type: ignore[attr-defined]  # of a list of colours
    for index, (name, process) in enumerate(scan.processes.items()):
        if process.pid is None:
            continue
        style = {"color": colours[index % len(colours)], "label": name, "linewidth": 1.0}
        for axis, series, scale in ((memory, process.rss, 1e6), (cpu, process.cpu, 1.0)):
            points = series.means()
            axis.plot([at / 1e3 for at, _ in points], [value / scale for _, value in points], **style)
    memory.set_ylabel("memory, MB")
    cpu.set_ylabel("CPU, % of one core")
    for axis in (memory, cpu):
        axis.set_xlabel("time since the beginning, s")
        axis.set_ylim(bottom=0)
    if cpu.get_lines():
        cpu.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _svg(figure: Figure, prefix: str) -> str:
    """The bare element: without prolog and metadata, which name addresses, and with ids of its own within a page."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'id="', f'id="{prefix}-', text)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", text)
