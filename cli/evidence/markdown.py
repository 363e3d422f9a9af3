"""A report as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from cli.evidence.document import Document, Table


def render(document: Document) -> str:
    """The text of the file."""
    return "\n".join(_lines(document))


def _lines(document: Document) -> Iterator[str]:
    yield f"# {document.title}"
    yield ""
    yield f"**{document.verdict}**"
    for section in document.sections:
        yield ""
        yield f"## {section.title}"
        yield ""
        yield from section.words
        if section.table is not None and section.table.rows:
            if section.words:
                yield ""
            yield from _table(section.table)
    yield ""


def _table(table: Table) -> Iterator[str]:
    yield _row(table.heads)
    yield "|" + "|".join("---" for _ in table.heads) + "|"
    for row in table.rows:
        yield _row(row)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
