"""The registry of levels, and that nothing else knows their names."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

import msat
from msat import levels
from msat.errors import InputError
from msat.levels import EXACT, LAPLACE, LEVELS, NAMES, NNGP, ONE_LOOP, RESCALING, TREE_LEVEL

PACKAGE = Path(msat.__file__).parent
MODULES = [path.relative_to(PACKAGE).as_posix() for path in sorted(PACKAGE.rglob("*.py"))]


def test_a_row_has_a_module_with_the_functions_of_its_method():
    for level in LEVELS.values():
        module = importlib.import_module(f"msat.theory.{level.name}")
        for function in ("predict",) if level.method == "kernel" else ("solve", "again"):
            assert callable(getattr(module, function)), level.name
    for attribute in ("name", "label", "marker", "line"):
        assert len({getattr(level, attribute) for level in LEVELS.values()}) == len(LEVELS), attribute


@pytest.mark.parametrize("path", [path for path in MODULES if path != "levels.py"])
def test_no_other_module_spells_a_level(path):
    """Constants and attributes of the registry instead, in texts too; a docstring is none, and "exact" is a word."""
    tree = ast.parse((PACKAGE / path).read_text())
    places = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = [node.body[0].value for node in ast.walk(tree) if isinstance(node, places) and ast.get_docstring(node)]
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and node not in docstrings]
    others = [name for name in NAMES if name not in (EXACT.name, Path(path).stem)]
    spelt = [node for node in constants if node.value in NAMES or set(re.findall(r"\w+", str(node.value))) & {*others}]
    assert not spelt, ", ".join(f"{path}:{node.lineno}: {node.value!r}" for node in spelt)


def test_the_registry_imports_no_solver():
    code = "import sys, msat.levels; sys.exit(any(name.startswith('msat.theory') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_defined_levels():
    assert levels.defined_levels("linear") == list(NAMES)
    assert levels.defined_levels("erf") == ["nngp", "rescaling", "tree_level", "one_loop", "laplace"]
    assert levels.defined_levels("quadratic") == ["nngp", "rescaling"]


@pytest.mark.parametrize("activation", ["linear", "relu", "quadratic"])
def test_a_level_is_defined_where_there_is_no_reason_against_it(activation):
    defined = levels.defined_levels(activation)
    assert [name for name in NAMES if not levels.why_undefined(LEVELS[name], activation)] == defined
    levels.check_levels(defined, activation)
    for name in set(NAMES) - set(defined):
        with pytest.raises(InputError, match=f"level = {name!r} with activation = {activation!r}: "):
            levels.check_levels([name], activation)


def test_why_undefined_names_what_to_change():
    assert levels.why_undefined(EXACT, "erf") == "exact needs activation = 'linear'"
    assert levels.why_undefined(LAPLACE, "quadratic").endswith("must be one of nngp, rescaling")
    assert levels.why_undefined(NNGP, "quadratic") == ""


def test_levels_are_checked():
    with pytest.raises(InputError, match="must be one of nngp, rescaling"):
        levels.check_levels(["nnpg"], "linear")
    with pytest.raises(InputError, match="named twice"):
        levels.check_levels(["nngp", "nngp"], "linear")
    with pytest.raises(InputError, match="empty"):
        levels.check_levels([], "linear")
    with pytest.raises(InputError, match="must be one of linear, erf"):
        levels.check_levels(["nngp"], "sine")


def test_reference_is_the_best_that_there_is():
    assert levels.reference(NAMES) is EXACT
    assert levels.reference(["nngp", "laplace", "one_loop"]) is LAPLACE
    assert levels.reference(iter(["nngp", "one_loop"])) is None
    assert levels.reference([]) is None


def test_what_to_quote_for_the_evidence():
    assert levels.quoted(NAMES) is EXACT
    assert levels.quoted(["nngp", "rescaling", "laplace"]) is RESCALING
    assert levels.quoted(iter(["laplace"])) is None


def test_ordered_is_the_order_of_the_registry():
    assert levels.ordered(["exact", "one_loop", "nngp", "nngp", "unknown"]) == [NNGP, ONE_LOOP, EXACT]
    assert levels.ordered(reversed(NAMES)) == [NNGP, RESCALING, TREE_LEVEL, ONE_LOOP, LAPLACE, EXACT]


def test_what_is_special_about_a_level():
    assert levels.EXACT_NAMES == ("exact",)
    assert [level for level in LEVELS.values() if level.may_have_no_solution] == [ONE_LOOP]
    assert [level for level in LEVELS.values() if level.linear_only] == [EXACT]
    assert [level for level in LEVELS.values() if not level.derivative] == [RESCALING]


def test_the_type_of_a_level_in_settings():
    adapter = TypeAdapter(levels.LevelName)
    assert adapter.validate_python("laplace") == "laplace"
    assert adapter.json_schema() == {"type": "string", "enum": list(NAMES)}
    with pytest.raises(ValidationError, match="must be one of nngp, rescaling"):
        adapter.validate_python("nnpg")
