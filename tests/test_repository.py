"""What the repository promises about itself: locked versions, explained dependencies, settings of tools, live links."""

from __future__ import annotations

import configparser
import importlib
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.test_architecture import IO_MODULES

ROOT = Path(__file__).resolve().parent.parent
SKIPPED_FOLDERS = {"__pycache__", "run", "build", "node_modules"}
# Written in pieces, so that this file passes its own test.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("golang", "org"),
        ("crates", "io"),
        ("rubygems", "org"),
    )
]


def setup_cfg() -> configparser.ConfigParser:
    """Give the parsed setup.cfg."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def requirements(*extras: str) -> list[Requirement]:
    """What setup.cfg asks for, in itself and for each extra."""
    parser = setup_cfg()
    texts = [parser["options"]["install_requires"]] if not extras else []
    texts += [parser["options.extras_require"][extra] for extra in extras]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def locked(name: str = "requirements.lock") -> dict[str, Version]:
    """What a lock pins, by canonical name; any line that is no plain pin is refused."""
    pins: dict[str, Version] = {}
    for line in (ROOT / name).read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text:
            match = re.fullmatch(r"([A-Za-z0-9._-]+)==([^\s;]+)", text)
            assert match, f"not a pin: {line}"
            pins[canonicalize_name(match[1])] = Version(match[2])
    return pins


def pyproject() -> dict[str, Any]:
    """Give the parsed pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def texts() -> list[Path]:
    """Every text file that belongs to the repository."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS and not name.endswith(".egg-info")]
        folders[:] = [name for name in folders if not name.startswith(".") or name == ".ci"]
        found += [Path(folder) / name for name in names]
    return sorted(path for path in found if not path.name.startswith(".coverage") and b"\0" not in path.read_bytes())


def markdown() -> list[str]:
    """Every Markdown file, by its path from the root."""
    return [path.relative_to(ROOT).as_posix() for path in texts() if path.suffix == ".md"]


def make_targets() -> set[str]:
    """Every target of the Makefile that is a command."""
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    return set(phony[1].split())


@pytest.mark.parametrize("requirement", requirements() + requirements("simulator", "report", "dev"), ids=str)
def test_the_lock_pins_what_setup_cfg_asks_for(requirement: Requirement) -> None:
    assert requirement.specifier.contains(locked()[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("requirement", requirements("bench"), ids=str)
def test_the_benchmark_lock_pins_the_neighbours(requirement: Requirement) -> None:
    assert canonicalize_name(requirement.name) in locked("requirements-bench.lock")


def test_the_two_locks_agree() -> None:
    one, other = locked(), locked("requirements-bench.lock")
    assert {name: (one[name], other[name]) for name in one.keys() & other.keys() if one[name] != other[name]} == {}


def test_what_runs_here_is_what_is_locked() -> None:
    assert {name: version(name) for name, pin in locked().items() if Version(version(name)) != pin} == {}


@pytest.mark.parametrize("requirement", requirements() + requirements("simulator", "report", "dev", "bench"), ids=str)
def test_every_dependency_is_explained(requirement: Requirement) -> None:
    rows = [line for line in (ROOT / "docs/dependencies.md").read_text().splitlines() if line.startswith("| ")]
    assert [row for row in rows if requirement.name in row.split("|")[1].replace(",", "").split()]


def test_the_build_backend_is_locked_and_asked_for_alike() -> None:
    build = pyproject()["build-system"]["requires"]
    assert set(build) <= {str(requirement) for requirement in requirements("dev")}


def test_ruff_lets_exactly_the_io_modules_touch_the_world() -> None:
    ignores = pyproject()["tool"]["ruff"]["lint"]["per-file-ignores"]
    free = {name for name, rules in ignores.items() if "TID251" in rules}
    assert free - {"benchmarks/**", "tests/**", "tools/**"} == set(IO_MODULES)


def test_coverage_leaves_out_exactly_the_io_modules() -> None:
    coverage = pyproject()["tool"]["coverage"]
    assert set(coverage["run"]["omit"]) == set(IO_MODULES)
    assert coverage["report"]["fail_under"] == 100


def test_every_rule_that_ruff_ignores_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    block = text[text.index("\nignore = [") : text.index("\nallowed-confusables")]
    rules = re.findall(r'^    "[A-Z0-9]+",\s*(.*)$', block, re.MULTILINE)
    assert len(rules) == len(pyproject()["tool"]["ruff"]["lint"]["ignore"])
    assert all(reason.startswith("# ") for reason in rules)


def test_no_file_names_a_package_registry() -> None:
    named = [
        (path, host) for path in texts() for host in REGISTRY_HOSTS if host in path.read_text(errors="replace").lower()
    ]
    assert named == []


@pytest.mark.parametrize("name", markdown())
def test_a_relative_link_leads_to_a_file(name: str) -> None:
    here = (ROOT / name).parent
    links = re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", (ROOT / name).read_text())
    assert [link for link in links if "://" not in link and not (here / link).exists()] == []


@pytest.mark.parametrize("name", markdown())
def test_a_make_command_in_a_document_exists(name: str) -> None:
    text = (ROOT / name).read_text()
    named = set(re.findall(r"`make ([a-z-]+)", text)) | set(re.findall(r"^(?:\$ )?make ([a-z-]+)", text, re.MULTILINE))
    assert named <= make_targets()


def test_the_installed_command_is_there() -> None:
    script = setup_cfg()["options.entry_points"]["console_scripts"].strip()
    name, _, target = script.partition(" = ")
    module, _, function = target.partition(":")
    assert name == "paraphina"
    assert callable(getattr(importlib.import_module(module), function))


def test_the_version_is_one() -> None:
    stated = setup_cfg()["metadata"]["version"]
    assert version("paraphina-connectivity") == stated
    assert re.search(rf"^## \[(Unreleased|{re.escape(stated)})\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_every_package_is_installed_with_its_types() -> None:
    included = {name.rstrip("*") for name in setup_cfg()["options.packages.find"]["include"].split()}
    # Benchmarks are run from the checkout only.
    assert included == {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"benchmarks"}
    assert [name for name in included if not (ROOT / name / "py.typed").exists()] == []


def test_the_ci_script_is_a_runnable_script() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)


def test_the_settings_page_says_what_the_settings_are() -> None:
    done = subprocess.run([sys.executable, "tools/settings_page.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "run: python tools/settings_page.py"
