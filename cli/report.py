"""``paraphina report``: what one run was like, and whether it passes the gate."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from bus.settings import VENUES
from cli.artefacts import REPORT, RUN_LOG, RX_STATS, TELEMETRY, ArtefactError, read
from cli.evidence import markdown
from cli.evidence.build import Inputs
from cli.evidence.build import facts as facts_of
from cli.evidence.document import document, verdict
from cli.evidence.facts import Facts
from cli.evidence.gate import Gate, LimitError, judge, limits
from cli.files import write_whole

EXIT_FAILED: Final = 1
EXIT_INPUT: Final = 2
ENDINGS: Final = {"md": "md", "html": "html", "json": "json"}


class Names(click.ParamType[tuple[str, ...]]):
    """Comma-separated venue ids."""

    name = "a,b"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Each known and named once; in venue order."""
        names = [part.strip() for part in str(value).split(",") if part.strip()]
        unknown = [name for name in names if name not in VENUES]
        if unknown or not names:
            self.fail(f"{', '.join(unknown) or 'nothing'} is not of {', '.join(VENUES)}", param, ctx)
        return tuple(venue for venue in VENUES if venue in names)


class Stricter(click.ParamType[tuple[str, float]]):
    """One limit of the gate."""

    name = "name=value"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        """Name and number."""
        name, equals, text = str(value).partition("=")
        try:
            return name, float(text)
        except ValueError:
            self.fail(f"{value!r} is not NAME=NUMBER" if equals else f"{value!r} has no =", param, ctx)


def expected_of(facts: Facts) -> Sequence[str]:
    """The venues that the run was asked for, or those that telemetry names."""
    named = facts.manifest.get("connectors")
    return named if isinstance(named, list) and named else [venue.venue for venue in facts.venues]


def rendered(inputs: Inputs, facts: Facts, gate: Gate | None, form: str) -> str:
    """The report in one of the forms ``md``, ``html``, ``json``; pictures are in HTML, with the extra ``report``."""
    if form == "json":
        tree = {"facts": msgspec.to_builtins(facts), "gate": None if gate is None else _gate_json(gate)}
        return msgspec.json.format(msgspec.json.encode(tree)).decode() + "\n"
    page = document(facts, gate)
    if form == "md":
        return markdown.render(page)
    from cli.evidence import html
    from cli.evidence.pictures import pictures

    return html.render(page, pictures(inputs.scan, facts))


def _gate_json(gate: Gate) -> dict[str, object]:
    return {"passed": gate.passed, "criteria": msgspec.to_builtins(gate.criteria)}


@click.command()
@click.option("--out-dir", required=True, type=click.Path(path_type=Path), help="Directory of the run.")
@click.option("--gate", "gated", is_flag=True, help="Hold the run to the gate: exit code 1 when it fails.")
@click.option("--expected-connectors", type=Names(), help="Venues that must be there; default: those of the run.")
@click.option(
    "--require-event-age/--no-require-event-age",
    default=True,
    show_default=True,
    help="Whether a venue without times of its own fails the gate.",
)
@click.option("--limit", "stricter", multiple=True, type=Stricter(), help="Hold one criterion to a stricter limit.")
@click.option("--format", "form", type=click.Choice(list(ENDINGS)), default="md", show_default=True)
@click.option("-o", "--output", help="File to write, - for the terminal; default: ws_soak_report.* in the directory.")
def report(
    *,
    out_dir: Path,
    gated: bool,
    expected_connectors: tuple[str, ...] | None,
    require_event_age: bool,
    stricter: tuple[tuple[str, float], ...],
    form: str,
    output: str | None,
) -> None:
    """Tell what a run was like. Exit code: 0 done, 1 the gate fails, 2 a file is missing or broken."""
    try:
        bounds = limits(dict(stricter))
        demanded = (TELEMETRY, RUN_LOG, RX_STATS) if gated else (TELEMETRY,)
        inputs = read(out_dir, demanded=demanded)
        facts = facts_of(inputs)
        gate = judge(facts, expected_connectors or expected_of(facts), bounds, require_event_age=require_event_age)
        text = rendered(inputs, facts, gate if gated else None, form)
        _write(text, out_dir / f"{REPORT}.{ENDINGS[form]}", output)
    except LimitError as error:
        raise click.BadParameter(str(error), param_hint="--limit") from None
    except ArtefactError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(EXIT_INPUT)
    except OSError as error:
        click.echo(f"error: cannot write: {error}", err=True)
        sys.exit(EXIT_INPUT)
    if gated:
        tell(gate, to_stderr=output == "-")
        sys.exit(0 if gate.passed else EXIT_FAILED)


def tell(gate: Gate, *, to_stderr: bool = False) -> None:
    """The verdict, and every criterion that does not hold."""
    click.echo(verdict(gate), err=to_stderr)
    for criterion in gate.failures:
        value = "unknown" if criterion.value is None else f"{criterion.value:g}"
        note = f" ({criterion.note})" if criterion.note else ""
        click.echo(f"  {criterion.of} {criterion.name}: {value}, limit {criterion.limit:g}{note}", err=to_stderr)


def _write(text: str, default: Path, output: str | None) -> None:
    if output == "-":
        click.echo(text, nl=False)
        return
    path = Path(output) if output else default
    write_whole(path, text)
    click.echo(f"report: {path}")
