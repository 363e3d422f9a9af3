"""``paraphina compare BEFORE AFTER``: whether a change made things better."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click
import msgspec

from cli.artefacts import ArtefactError, read
from cli.evidence import comparison as compared
from cli.evidence import html, markdown
from cli.evidence.blocks import BlockScan
from cli.evidence.build import facts
from cli.evidence.pair import page, verdict
from cli.files import write_whole

EXIT_WORSE: Final = 1
EXIT_REFUSED: Final = 2


@click.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["md", "html", "json"]), default="md", show_default=True)
@click.option("-o", "--output", default="-", help="File to write; default: the terminal.")
@click.option("--anyway", is_flag=True, help="Compare runs that are not alike.")
def compare(*, before: Path, after: Path, form: str, output: str, anyway: bool) -> None:
    """Compare two runs. Exit code: 0 nothing is worse, 1 something is, 2 refused or an input is missing or broken."""
    try:
        sides = [_side(folder) for folder in (before, after)]
        found = compared.compare(*sides)
        if found.unlike and not anyway:
            for why in found.unlike:
                click.echo(f"error: the runs are not alike: {why}", err=True)
            click.echo("Use --anyway to compare them all the same.", err=True)
            sys.exit(EXIT_REFUSED)
        text = _rendered(found, (str(before), str(after)), form)
        if output == "-":
            click.echo(text, nl=False)
        else:
            write_whole(Path(output), text)
            click.echo(f"{verdict(found)}\ncomparison: {output}")
    except ArtefactError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(EXIT_REFUSED)
    except OSError as error:
        click.echo(f"error: cannot write: {error}", err=True)
        sys.exit(EXIT_REFUSED)
    sys.exit(EXIT_WORSE if found.worse else 0)


def _side(folder: Path) -> compared.Side:
    inputs = read(folder, kind=BlockScan)
    if not isinstance(inputs.scan, BlockScan):
        raise TypeError
    return compared.Side(inputs.scan, facts(inputs))


def _rendered(found: compared.Comparison, names: tuple[str, str], form: str) -> str:
    if form == "json":
        tree = {"verdict": verdict(found), "worse": found.worse, **msgspec.to_builtins(found)}
        return msgspec.json.format(msgspec.json.encode(tree)).decode() + "\n"
    document = page(found, names)
    return markdown.render(document) if form == "md" else html.render(document, [])
