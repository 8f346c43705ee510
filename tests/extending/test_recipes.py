"""Every recipe of CONTRIBUTING.md, done to one copy of the repository and run from config to figure."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr

from msat.store import save_dataset
from tests.conftest import ROOT
from tests.extending import recipes
from tests.extending.recipes import RECIPES, Recipe
from tests.workflow.running import copy_repository

pytestmark = pytest.mark.workflow

CONFIG = """
experiments:
  toy_linear:
    task: {name: toy_task, power: 1}
    network: {width: 5, activation: linear, kappa_0: 0.5}
    levels: [tree_level, laplace, toy_level, exact]
  toy_other:
    task: {name: toy_task, power: 3}
    network: {width: 5, activation: toy_activation}
    levels: [nngp, tree_level, toy_level]
scales: {chi: [2]}
seeds: [0]
langevin: {chains: 4, steps: 256, integrator: toy_integrator, device: cpu}
reference: {experiments: [toy_linear], sampler: toy_sampler, chains: 4, steps: 6400, device: cpu}
checks: {alpha: 1.0e-12}  # the runs are too short to have errors that can be relied on
figures: {formats: [png]}
"""
EXPERIMENTS = ("toy_linear", "toy_other")
SEED = "results/{}/seed0"


def run_python(folder: Path, *arguments: str, code: int = 0) -> str:
    """Run Python in a copy of the repository, with the copy's own package, and return what it prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PYTHONPATH": str(folder), "PATH": path}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the repository with every toy in it, in which the workflow has run."""
    folder = tmp_path_factory.mktemp("extended")
    copy_repository(folder)
    for recipe in RECIPES:
        recipe.apply(folder)
    (folder / "config.yaml").write_text(CONFIG)
    run_python(folder, "docs/tables.py", "docs/formats.md")
    run_python(folder, "-m", "msat.cli", "schema", "--out", "workflow/schemas/config.schema.json")
    figures = [f"results/figures/{name}/toy_figure.png" for name in EXPERIMENTS]
    run_python(folder, "-m", "snakemake", "--cores", "2", "results/checks.txt", *figures)
    return folder


@pytest.fixture(scope="module")
def files(extended):
    """The theory and training result of each experiment."""
    return {
        name: (
            xr.load_dataset(extended / SEED.format(name) / "theory.nc", engine="h5netcdf"),
            xr.load_dataset(extended / SEED.format(name) / "chi2/langevin.nc", engine="h5netcdf"),
        )
        for name in EXPERIMENTS
    }


def _table(extended, name: str) -> pd.DataFrame:
    return pd.read_parquet(extended / f"results/tables/{name}.parquet")


@pytest.mark.parametrize(
    ("recipe", "count"),
    [
        (recipes.LEVEL, 2),
        (recipes.ACTIVATION, 1),
        (recipes.TASK, 1),
        (recipes.OBSERVABLE, 1),
        (recipes.OBSERVABLE_WITH_MOMENT, 3),
        (recipes.FIGURE, 1),
        (recipes.INTEGRATOR, 2),
    ],
    ids=lambda value: value.heading if isinstance(value, Recipe) else "",
)
def test_files_touched_are_those_of_the_recipe(recipe, count):
    assert len(recipe.touched) == count
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert f"### {recipe.heading}\n" in text
    section = text.split(f"### {recipe.heading}\n")[1].split("\n#")[0]
    for name in (*recipe.new, *recipe.edits):
        path = name.replace(name.split("/")[-1].split(".")[0], "NAME") if name in recipe.new else name
        assert f"`{path}`" in section, path


def test_level(extended, files):
    """For linear and for sampled networks; between the two levels that it is made of."""
    for theory, _ in files.values():
        assert "toy_level" in theory["level"]
        assert theory["converged"].sel(level="toy_level") == 1
    tree, toy, laplace = (
        files["toy_linear"][0]["mean_train"].sel(level=name).to_numpy()
        for name in ("tree_level", "toy_level", "laplace")
    )
    assert toy == pytest.approx((tree + laplace) / 2, rel=1e-9)
    assert (files["toy_other"][0]["mean_train_mc_error"].sel(level="toy_level") > 0).all()
    for table in ("theory", "comparison", "checks"):
        assert (_table(extended, table)["level"] == "toy_level").any(), table


def test_activation(files):
    theory, trained = files["toy_other"]
    assert theory.attrs["activation"] == trained.attrs["activation"] == "toy_activation"
    assert abs(trained["mean_train"]).max() > 0


def test_task(extended):
    assert "--power" in run_python(extended, "-m", "msat.cli", "task", "toy_task", "--help")
    out = run_python(extended, "-m", "msat.cli", "task", "toy_task", "--power", "4", "--out", "x.npz", code=2)
    assert "power = 4" in out
    calls = "import msat; print(msat.tasks.toy_task(power=2, seed=1).provenance['power'])"
    assert run_python(extended, "-c", calls) == "2\n"


@pytest.mark.parametrize("name", ["toy_observable", "toy_moment"])
def test_observable(extended, files, name):
    theory, trained = files["toy_linear"]
    assert trained[name].attrs["long_name"]
    assert trained[f"{name}_error"] > 0
    assert {name, f"{name}_error"} <= set(_table(extended, "langevin"))
    page = (extended / "docs/formats.md").read_text()
    assert page.count(f"| `{name}` |") == (3 if name == "toy_observable" else 2)
    if name == "toy_observable":
        assert f"{name}_mc_error" in theory
        assert f"{name}_z" in _table(extended, "checks")


def test_an_observable_appears_in_results_that_are_there(extended, files):
    """A file without it, as from before the recipe, has it when it is read."""
    old = files["toy_linear"][1].drop_vars(["toy_observable", "toy_observable_error"])
    save_dataset(extended / "old.nc", old)
    calls = (
        "from pathlib import Path; from msat.stages.measured import load;"
        "print(load(Path('old.nc'))['toy_observable'].item())"
    )
    value = float(run_python(extended, "-c", calls))
    assert value == pytest.approx(files["toy_linear"][1]["toy_observable"].item(), rel=1e-12)


def test_compare_prints_level_and_observable(extended):
    seed = SEED.format("toy_linear")
    printed = run_python(extended, "-m", "msat.cli", "compare", f"{seed}/theory.nc", f"{seed}/chi2/langevin.nc")
    assert "toy_level" in printed
    assert "toy_observable" in printed


def test_figure(extended):
    """Drawn for every experiment, and one of the figures that the target `all` wants."""
    for name in EXPERIMENTS:
        path = extended / f"results/figures/{name}/toy_figure.png"
        assert path.stat().st_size > 5000
        path.unlink()
    planned = run_python(extended, "-m", "snakemake", "-n")
    for name in EXPERIMENTS:
        assert f"results/figures/{name}/toy_figure.png" in planned
    assert "train" not in planned.split("Job stats:")[1].split("total")[0]


def test_sampler(extended):
    reference = _table(extended, "reference")
    assert reference["sampler"].tolist() == ["toy_sampler"]
    checks = _table(extended, "checks").set_index(["experiment", "level"])
    assert abs(checks.loc[("toy_linear", "reference"), "train_discrepancy_z"]) < 6


def test_integrator(files):
    assert {trained.attrs["integrator"] for _, trained in files.values()} == {"toy_integrator"}


def test_schema_and_options_name_every_toy(extended):
    schema = json.dumps(json.loads((extended / "workflow/schemas/config.schema.json").read_text()))
    for name in ("toy_level", "toy_activation", "toy_task", "toy_sampler", "toy_integrator"):
        assert f'"{name}"' in schema, name
    assert "toy_level" in run_python(extended, "-m", "msat.cli", "solve", "--help")
    wrong = ["train", "--integrator", "none", "--data", "x.npz", "--out", "x.nc"]
    assert "toy_integrator" in run_python(extended, "-m", "msat.cli", *wrong, code=2)
