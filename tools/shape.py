"""How large files and functions are, and how much test stands behind them: `.venv/bin/python tools/shape.py`."""

from __future__ import annotations

import ast
from pathlib import Path
from statistics import quantiles

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("bus", "cli", "connectors", "dashboard", "publisher", "runner", "sentinel", "simulator")


def lines(path: Path) -> int:
    """Lines of a file."""
    return len(path.read_text().splitlines())


def bodies(path: Path) -> list[int]:
    """Lines of each function's body, from the statement after its docstring to its end."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            found.append((node.end_lineno or first.lineno) - first.lineno + 1)
    return found


def row(label: str, values: list[int]) -> str:
    """Median, p90 and maximum, as one line."""
    deciles = quantiles(values, n=10, method="inclusive") if len(values) > 1 else values * 9
    return f"{label:28} {deciles[4]:7.0f} {deciles[8]:7.0f} {max(values):7d}"


def main() -> None:
    """Print the table for every package and for all of them."""
    print(f"{'':28} {'median':>7} {'p90':>7} {'max':>7}")
    product = {name: sorted((ROOT / name).rglob("*.py")) for name in PRODUCT}
    everything = [path for paths in product.values() for path in paths]
    for name, paths in [*product.items(), ("all", everything)]:
        print(row(f"{name}: file lines", [lines(path) for path in paths] or [0]))
        print(row(f"{name}: function body", [size for path in paths for size in bodies(path)] or [0]))
    source = sum(lines(path) for path in everything)
    tests = sum(lines(path) for path in (ROOT / "tests").rglob("*.py"))
    print(f"test lines a source line: {tests / source:.2f} ({tests} / {source})")


if __name__ == "__main__":
    main()
