import ast
import subprocess
import sys
from pathlib import Path

import pytest

from msat import provenance

PACKAGE = Path(provenance.__file__).parent
TASKS, THEORY, TRAINING = "msat.tasks.ising", "msat.stages.theory", "msat.stages.training"


def test_stages_do_not_depend_on_each_other():
    """A theory edit must not retrain, and a training edit must not solve again."""
    assert not [name for name in provenance.import_closure(THEORY) if name.startswith("msat.langevin")]
    assert not [name for name in provenance.import_closure(TRAINING) if name.startswith("msat.theory")]
    for stage in (TASKS, THEORY, TRAINING):
        names = set(provenance.import_closure(stage))
        assert not names & {"msat.cli", "msat.config", "msat.tables.rows", "msat.tables.checks"}
        assert not [name for name in names if name.startswith("msat.figures")]


def test_a_new_task_does_not_touch_the_others():
    for stage in (TASKS, THEORY, TRAINING):
        assert not {"msat.tasks", "msat.tasks.teacher_student"} & set(provenance.import_closure(stage))


def test_packages_only_re_export():
    """The closure passes over packages, so nothing may be computed in them (figures' is named by its rules)."""
    for path in PACKAGE.glob("*/__init__.py"):
        if path.parent.name != "figures":
            for node in ast.parse(path.read_text()).body:
                assert isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.Expr), path


def test_closure_follows_imports():
    theory = set(provenance.import_closure(THEORY))
    assert {
        "msat.theory.anneal",
        "msat.theory.linear.lowrank",
        "msat.network",
        "msat.store",
        "msat.errors",
    } <= theory
    assert {"msat.langevin.dynamics", "msat.langevin.starts"} <= set(provenance.import_closure(TRAINING))


def test_arrows_point_one_way():
    """tasks, theory and langevin never import each other; figures read tables, never solvers."""
    forbidden = {
        "tasks": ("theory", "langevin", "figures", "tables", "run_theory", "run_langevin"),
        "theory": ("tasks", "langevin", "figures", "tables", "run_theory", "run_langevin"),
        "langevin": ("tasks", "theory", "figures", "tables", "run_theory", "run_langevin"),
        "figures": ("tasks", "theory", "langevin", "run_theory", "run_langevin"),
    }
    for folder, others in forbidden.items():
        for path in (PACKAGE / folder).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and node.module:
                    for other in others:
                        assert not node.module.startswith(f"msat.{other}"), f"{path.name} imports {node.module}"


def test_digest_sees_code_and_not_comments(tmp_path, monkeypatch):
    package = tmp_path / "msat"
    package.mkdir()
    monkeypatch.setattr(provenance, "_ROOT", package)

    def digest(source):
        (package / "stage.py").write_text(source)
        provenance.code_digest.cache_clear()
        return provenance.code_digest("msat.stage")

    base = digest('"""One."""\ndef f(x):\n    """Two."""\n    return x + 1\n')
    assert digest('"""Other."""\n# a comment\ndef f(x):\n\n    return (x + 1)\n') == base
    assert digest("def f(x):\n    return x + 2\n") != base
    (package / "helper.py").write_text("a = 1\n")
    with_helper = digest("def f(x):\n    from msat.helper import a\n    return x + a\n")
    (package / "helper.py").write_text("a = 2\n")
    assert digest("def f(x):\n    from msat.helper import a\n    return x + a\n") != with_helper
    provenance.code_digest.cache_clear()


def test_seeds_depend_on_every_part_of_the_key():
    key = {"seed": 0, "chi": 1.0, "width": 100}
    seeds = {provenance.derived_seed(key | change) for change in ({}, {"seed": 1}, {"chi": 1.1}, {"width": 101})}
    assert len(seeds) == 4
    assert provenance.derived_seed(dict(reversed(key.items()))) in seeds
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import msat", ("numpy", "torch", "pandas")),
        ("import msat.cli", ("numpy", "torch", "pandas", "matplotlib")),
        ("import msat.stages.theory", ("torch", "matplotlib")),
        ("import msat.config, msat.provenance, msat.figures", ("torch", "matplotlib", "xarray")),
    ],
)
def test_light_commands_start_light(code, absent):
    check = f"{code}; import sys; print([name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_environment_names_the_versions():
    environment = provenance.environment()
    assert environment["msat_version"]
    assert "2.13.0" in environment["library_versions"]
    assert environment["git_dirty"] in (0, 1)
