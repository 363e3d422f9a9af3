"""A report as one HTML file that needs nothing else: no script, no font, no address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import zip_longest
from typing import Final

from cli.evidence.document import Document, Section, Table

STYLE: Final = """
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #1c2430; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid #d5dbe3; }
p.verdict { font-weight: 600; padding: .5rem .8rem; border-left: 5px solid #8593a5; background: #f1f4f8; }
p.verdict.good { border-color: #2c8a4b; } p.verdict.bad { border-color: #c0392b; background: #fdf0ee; }
div.wide { overflow-x: auto; } table { border-collapse: collapse; margin: .6rem 0; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #e6eaf0;
  font-variant-numeric: tabular-nums; }
th { background: #f1f4f8; position: sticky; top: 0; } th.text, td.text { text-align: left; }
tr.good td:first-child { box-shadow: inset 4px 0 #2c8a4b; } tr.bad td { background: #fdf0ee; }
tr.bad td:first-child { box-shadow: inset 4px 0 #c0392b; }
figure { margin: 1rem 0; } figure svg { width: 100%; height: auto; } figcaption { color: #55606f; }
@media (prefers-color-scheme: dark) { body { background: #fff; } }
"""


TEXT: Final = ' class="text"'


def render(document: Document, pictures: Sequence[tuple[str, str]]) -> str:
    """The text of the file. ``pictures``: words below each, and its SVG, which is trusted."""
    return "\n".join(_lines(document, pictures)) + "\n"


def _lines(document: Document, pictures: Sequence[tuple[str, str]]) -> Iterator[str]:
    mark = "" if document.good is None else " good" if document.good else " bad"
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<title>{escape(document.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>"
    yield f'<h1>{escape(document.title)}</h1>\n<p class="verdict{mark}">{escape(document.verdict)}</p>'
    yield from (f"<figure>{svg}<figcaption>{escape(words)}</figcaption></figure>" for words, svg in pictures)
    for section in document.sections:
        yield from _section(section)
    yield "</body>\n</html>"


def _section(section: Section) -> Iterator[str]:
    yield f'<section id="{escape(section.id)}">\n<h2>{escape(section.title)}</h2>'
    yield from (f"<p>{escape(words.removeprefix('- '))}</p>" for words in section.words)
    if section.table is not None and section.table.rows:
        yield from _table(section.table)
    yield "</section>"


def _table(table: Table) -> Iterator[str]:
    texts = [_is_text(table, column) for column in range(len(table.heads))]
    yield '<div class="wide"><table>\n<thead>' + _row("th", table.heads, texts, "") + "</thead>\n<tbody>"
    for row, mark in zip_longest(table.rows, table.marks, fillvalue=""):
        yield _row("td", tuple(row), texts, str(mark))
    yield "</tbody></table></div>"


def _row(tag: str, cells: tuple[str, ...], texts: Sequence[bool], mark: str) -> str:
    inner = "".join(
        f"<{tag}{TEXT if text else ''}>{escape(cell)}</{tag}>" for cell, text in zip(cells, texts, strict=True)
    )
    opening = f'<tr class="{mark}">' if mark else "<tr>"
    return f"{opening}{inner}</tr>"


def _is_text(table: Table, column: int) -> bool:
    """Whether a column reads as words: most of its cells begin with a letter."""
    cells = [row[column] for row in table.rows if row[column] not in {"", "-"}]
    return sum(cell[0].isalpha() for cell in cells) * 2 >= len(cells)
