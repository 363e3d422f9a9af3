"""Writes ``docs/settings.md`` from ``bus/settings.py``; ``--check`` only says whether it is up to date."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from bus import settings
from bus.settings import DEFAULT_VENUES, ENVIRONMENT, Settings, Venue

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
HEAD = """# Settings

One file, `paraphina.toml`, beside `supervisord.conf`; `PARAPHINA_CONFIG` names another. Every key has a default. An
unknown key, a wrong type or an impossible value is refused at start with the key's path and what is allowed, and the
process ends with exit code 78, which supervisord does not answer with a restart. Units are in the names.

This page is made from `bus/settings.py` by `python tools/settings_page.py`.
"""


def rows(section: type[msgspec.Struct]) -> list[str]:
    """A table row a key."""
    found = []
    schema = msgspec.json.schema(section)["$defs"][section.__name__]["properties"]
    for field in msgspec.structs.fields(section):
        about = schema[field.encode_name]
        default = "" if field.required else f"`{default_of(field)}`"
        found.append(f"| `{field.encode_name}` | {default} | {limits(about)} | {about.get('description', '')} |")
    return found


def default_of(field: msgspec.structs.FieldInfo) -> str:
    """The default as TOML would have it."""
    value = field.default
    if isinstance(value, tuple):
        value = list(value)
    return msgspec.json.encode(value).decode()


def limits(about: dict[str, object]) -> str:
    """What is allowed, from the schema."""
    if "enum" in about:
        return " ".join(f"`{value}`" for value in about["enum"])  # type: ignore[attr-defined]
    low, high = about.get("minimum"), about.get("maximum")
    if low is not None or high is not None:
        return f"{low} to {high}"
    if "pattern" in about:
        return f"`{about['pattern']}`"
    return str(about.get("type", ""))


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    for field in msgspec.structs.fields(Settings):
        if field.encode_name in {"venues", "base"}:
            continue
        lines += ["", f"## `[{field.encode_name}]`", "", "| key | default | allowed | |", "|---|---|---|---|"]
        lines += rows(type(field.default))
    venues = ", ".join(f"`{venue}`" for venue in settings.VENUES)
    lines += ["", "## `[venues.<id>]`", "", f"One table a venue: {venues}"]
    lines += ["", "| key | default | allowed | |", "|---|---|---|---|", *rows(Venue), ""]
    lines += ["| venue | `ws_url` | `rest_url` | `stale_ms` |", "|---|---|---|---|"]
    lines += [f"| {name} | `{v.ws_url}` | `{v.rest_url}` | `{v.stale_ms}` |" for name, v in DEFAULT_VENUES.items()]
    lines += ["", "## Environment", "", "Each replaces one key.", "", "| variable | key |", "|---|---|"]
    lines += [f"| `{name}` | `{'.'.join(path)}` |" for name, path in ENVIRONMENT.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        sys.exit(0 if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page() else 1)
    PAGE.write_text(page(), encoding="utf-8")
