"""Prose that can be checked: examples in docstrings, links, and names of modules, files and make targets."""

import doctest
import importlib
import re

import click
import pytest

import msat
from msat import cli
from tests.conftest import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
FOLDERS = ("benchmarks", "configs", "docs", "msat", "profiles", "tests", "workflow")


def test_examples_in_docstrings():
    """Of everything that is public: `Network`, `solve`, `train`, `compare`, and every task."""
    public = [getattr(msat, name) for name in msat.__all__ if not name.endswith("Error")]
    modules = {item.__module__ for item in public if callable(item)}
    tasks = [msat.tasks.get(name) for name in msat.tasks.NAMES]
    modules |= {task.__name__ for task in tasks if not task.Settings.fetched}  # no example can rely on fetched files
    for name in sorted(modules):
        result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
        assert result.attempted, f"{name} has no example"
        assert not result.failed, name


def _resolves(dotted: str) -> bool:
    """Return whether a dotted name is a module, or an attribute of one."""
    try:
        importlib.import_module(dotted)
    except ImportError:
        module, _, attribute = dotted.rpartition(".")
        return hasattr(importlib.import_module(module), attribute)
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page):
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert "://" in link or (page.parent / link).exists(), link
    code = re.findall(r"`([^`\n]+)`", text)
    for name in {name for name in code if re.fullmatch(r"msat(\.\w+)+", name)}:
        assert _resolves(name), name
    for name in {name for name in code if name.startswith(tuple(f"{folder}/" for folder in FOLDERS))}:
        if re.fullmatch(r"[a-z0-9_./-]+", name):  # capitals and braces are placeholders
            assert (ROOT / name).exists(), name
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for target in re.findall(r"(?:`|^    )make ([a-z-]+)", text, flags=re.MULTILINE):
        assert target in targets, f"make {target}"


def _command(words: list[str]) -> click.Command:
    """Return the command of the command line that the words begin with."""
    found: click.Command = cli._app()
    for word in words:
        if not isinstance(found, click.Group):
            break
        found = found.get_command(click.Context(found), word)
        assert found is not None, word
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_have_the_options_that_a_page_gives_them(page):
    text = page.read_text().replace("\\\n", " ")
    for line in re.findall(r"^(?:    )?msat ([a-z].*)$", text, flags=re.MULTILINE):
        words = line.split("#")[0].split()
        known = {option for parameter in _command(words).params for option in parameter.opts + parameter.secondary_opts}
        assert {word.split("=")[0] for word in words if word.startswith("--")} <= known, line


def test_every_target_has_a_line_of_help():
    text = (ROOT / "Makefile").read_text()
    targets = set(re.search(r"\.PHONY: (.*)", text)[1].split()) - {"help", "setup"}
    assert set(re.findall(r'@echo "make ([a-z-]+) ', text)) == targets


def test_the_hooks_fetch_nothing():
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    assert text.count("repo: local") == text.count("repo:") == 1
    assert text.count("language: system") == text.count("- id:")
