import subprocess
import sys
from pathlib import Path

import pytest

from msat import keys, provenance

PACKAGE = Path(provenance.__file__).parent
TASKS, THEORY, TRAINING = "msat.tasks.ising", "msat.theory.anneal", "msat.langevin.ensemble"


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


def test_closure_follows_imports():
    theory = set(provenance.import_closure(THEORY, "msat.theory.linear.ladder"))
    assert {"msat.theory.anneal", "msat.theory.matrices", "msat.network"} <= theory
    assert not {"msat.errors", "msat.validation"} & theory
    assert {"msat.langevin.dynamics", "msat.langevin.starts"} <= set(provenance.import_closure(TRAINING))


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
    option = digest('a = Field(3, ge=1, description="A number.")\n')
    assert digest('a = Field(3, ge=1, description="The number.")\n') == option
    assert digest('a = Field(3, ge=2, description="A number.")\n') != option
    (package / "helper.py").write_text("a = 1\n")
    with_helper = digest("def f(x):\n    from msat.helper import a\n    return x + a\n")
    (package / "helper.py").write_text("a = 2\n")
    assert digest("def f(x):\n    from msat.helper import a\n    return x + a\n") != with_helper
    provenance.code_digest.cache_clear()


def test_imports_for_type_checkers_do_not_count(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)
    for name in ("one", "two", "three", "four"):
        (tmp_path / f"{name}.py").write_text("")
    (tmp_path / "stage.py").write_text(
        "import typing\nfrom typing import TYPE_CHECKING\nfrom msat import one\n"
        "if TYPE_CHECKING:\n    from msat import two\nelse:\n    from msat import three\n"
        "if typing.TYPE_CHECKING:\n    import msat.two\nif not TYPE_CHECKING:\n    import msat.four\n"
    )
    assert set(provenance.import_closure("msat.stage")) == {f"msat.{n}" for n in ("four", "one", "stage", "three")}
    provenance.code_digest.cache_clear()


def test_seeds_depend_on_every_part_of_the_key():
    key = {"seed": 0, "chi": 1.0, "width": 100}
    seeds = {keys.derived_seed(key | change) for change in ({}, {"seed": 1}, {"chi": 1.1}, {"width": 101})}
    assert len(seeds) == 4
    assert keys.derived_seed(dict(reversed(key.items()))) in seeds
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import msat", ("numpy", "torch", "pandas")),
        ("import msat.cli; msat.cli.main(['--help'])", ("pydantic", "numpy", "torch", "pandas", "matplotlib")),
        ("import msat.cli; msat.cli.main(['train', '--help'])", ("torch", "pandas", "matplotlib", "xarray")),
        ("import msat.stages.theory", ("torch", "matplotlib")),
        ("import msat.config, msat.stages.figures", ("torch", "matplotlib", "xarray", "pandas")),
        ("from msat import activations as a; [a.get_activation(n) for n in a.NAMES]", ("torch", "scipy.special")),
    ],
)
def test_light_commands_start_light(code, absent):
    check = f"{code}; import sys; print([name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_environment_names_the_versions():
    environment = provenance.environment()
    assert environment["msat_version"]
    assert "2.13.0" in environment["library_versions"]
    assert environment["git_dirty"] in (0, 1)
