"""Where a result comes from: code digests, versions, git state, and seeds derived from a job's key."""

from __future__ import annotations

import ast
import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGE = "msat"
_ROOT = Path(__file__).resolve().parent
_LIBRARIES = ("numpy", "scipy", "xarray", "torch", "arviz-stats")


def import_closure(*modules: str) -> dict[str, Path]:
    """Return name and file of every msat module that the given ones import, directly or not.

    Imports are read from the source (inside functions too), so nothing is executed. Packages that are only
    passed through, as msat.tasks is by ``import msat.tasks.base``, count for nothing: they re-export names, and
    a new task must not rerun the others.
    """
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = _module_file(name)
        if path is None or name in found or name == _PACKAGE:
            continue
        found[name] = path
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return dict(sorted(found.items()))


def _module_file(name: str) -> Path | None:
    parts = name.split(".")
    if parts[0] != _PACKAGE:
        return None
    base = _ROOT.joinpath(*parts[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@cache
def code_digest(*modules: str) -> str:
    """Return a hash of the sources that a stage runs, 16 hexadecimal digits.

    Only what Python executes counts: comments, formatting and docstrings do not change it.
    """
    sha = hashlib.sha256()
    for name, path in import_closure(*modules).items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0] if node.body else None
                if (
                    isinstance(first, ast.Expr)
                    and isinstance(first.value, ast.Constant)
                    and isinstance(first.value.value, str)
                ):
                    node.body = node.body[1:] or [ast.Pass()]
        sha.update(f"{name}\n{ast.dump(tree)}\n".encode())
    return sha.hexdigest()[:16]


def digest(key: Mapping[str, Any]) -> str:
    """Return a hash of a job's key (plain numbers and strings), 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]


def file_digest(path: str) -> str:
    """Return a hash of a file's content, 16 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def derived_seed(key: Mapping[str, Any]) -> int:
    """Return a seed of 63 bits for the generator of the job with this key."""
    return int(digest(key), 16) >> 1


@cache
def environment() -> dict[str, Any]:
    """Return msat's version, git commit and dirty flag, and the versions of Python and the libraries."""
    commit, dirty = _git_state()
    versions = {}
    for library in _LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            versions[library] = "not installed"
    return {
        "msat_version": version(_PACKAGE),
        "git_hash": commit,
        "git_dirty": dirty,
        "python_version": platform.python_version(),
        "library_versions": json.dumps(versions),
    }


def _git_state() -> tuple[str, int]:
    """Return the commit of the checkout that holds the package and 1 if it is modified; else ("unknown", 0)."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(_ROOT), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != _ROOT.parent:
            return "unknown", 0  # installed into an environment inside some other repository
        return git("rev-parse", "HEAD"), int(bool(git("status", "--porcelain", "--untracked-files=no")))
    except (OSError, subprocess.SubprocessError):
        return "unknown", 0
