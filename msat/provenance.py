"""Where a result comes from: digests of the code that made it, versions and git state."""

from __future__ import annotations

import ast
import hashlib
import json
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGE = "msat"
_ROOT = Path(__file__).resolve().parent
# words for what is refused: no result depends on them
_MESSAGES = ("msat.errors", "msat.validation")
_LIBRARIES = ("numpy", "scipy", "xarray", "torch")


def import_closure(*modules: str) -> dict[str, Path]:
    """Return name and file of every msat module that the given ones import, directly or not.

    Imports are read from the source (inside functions too), so nothing is executed; those under
    ``if TYPE_CHECKING:`` are never executed and do not count. Packages that are only passed through, as msat.tasks
    is by ``import msat.tasks.base``, count for nothing: they re-export names, and a new task must not rerun the
    others.
    """
    found: dict[str, Path] = {}
    seen = {_PACKAGE, *_MESSAGES}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        path = _module_file(name)
        if path is not None:
            found[name] = path
            waiting += _parsed(path.read_text(encoding="utf-8"))[0]
    return dict(sorted(found.items()))


@cache
def code_digest(*modules: str) -> str:
    """Return a hash of the sources that a stage runs, 16 hexadecimal digits.

    Only what Python executes counts: no comments, formatting, docstrings and imports for type checkers; nor the texts
    of options, and the modules that word what is refused.
    """
    sha = hashlib.sha256()
    for name, path in import_closure(*modules).items():
        sha.update(f"{name}\n{_parsed(path.read_text(encoding='utf-8'))[1]}\n".encode())
    return sha.hexdigest()[:16]


def _module_file(name: str) -> Path | None:
    parts = name.split(".")
    if parts[0] != _PACKAGE:
        return None
    base = _ROOT.joinpath(*parts[1:])
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def _parsed(text: str) -> tuple[list[str], str]:
    """Return the modules of msat that a source names in its imports, and a hash of what Python executes of it."""
    executed = _Executed()
    tree = executed.visit(ast.parse(text))
    ours = [name for name in dict.fromkeys(executed.imports) if name.split(".")[0] == _PACKAGE]
    return ours, hashlib.sha256(ast.dump(tree).encode()).hexdigest()


class _Executed(ast.NodeTransformer):
    """Leaves out docstrings, the texts of options and what stands under ``if TYPE_CHECKING:``; notes imports.

    One pass and nothing for leaves: a dry run of the workflow parses the whole package.
    """

    def __init__(self) -> None:
        self.imports: list[str] = []

    def visit_Import(self, node: ast.Import) -> Any:
        self.imports += [alias.name for alias in node.names]
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        if node.module and node.level == 0:
            self.imports += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        return node

    def visit_Name(self, node: ast.Name) -> Any:
        return node

    def visit_Constant(self, node: ast.Constant) -> Any:
        return node

    def visit_Call(self, node: ast.Call) -> Any:
        if isinstance(node.func, ast.Name) and node.func.id == "Field":
            node.keywords = [item for item in node.keywords if item.arg != "description"]
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> Any:
        if ast.unparse(node.test).endswith("TYPE_CHECKING") and not isinstance(node.test, ast.UnaryOp):
            node.body = []  # before it is visited: its imports do not count
            self.generic_visit(node)
            return node.orelse
        return self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node, clean=False) is not None:
                del node.body[0]
            node.body = node.body or [ast.Pass()]
        return node


@cache
def environment() -> dict[str, Any]:
    """Return msat's version, git commit and dirty flag, and the versions of Python and the libraries."""
    commit, dirty = _git_state()
    return {
        "msat_version": version(_PACKAGE),
        "git_hash": commit,
        "git_dirty": dirty,
        "python_version": platform.python_version(),
        "library_versions": json.dumps({library: version(library) for library in _LIBRARIES}),
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
