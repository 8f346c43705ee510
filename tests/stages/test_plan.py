"""Every file of a run is held against what the config says that it must be, and refused by name and what differs."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from msat.cli import main
from msat.errors import InputError
from msat.stages import tables
from msat.stages.plan import check_all, examine, parse_list, planned_files, read_keys
from msat.store import load_dataset, save_dataset
from msat.tasks.storage import load_task, save_task
from tests.stages.planned import LINEAR, TEACHER, VALUES, config_of, make, merged

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "results"
    make(config_of(folder))
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch) -> Path:
    """A copy of the results, the current folder's ``results``."""
    shutil.copytree(made, tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    config = config_of(Path("results"))
    Path("results/tables/plan.csv").write_text(config.plan())
    return Path("results")


def _problems(values, verified=False) -> list[str]:
    config = config_of(Path("results"), values)
    files = planned_files(parse_list(config.plan(), "plan"), config.keys())
    return [item.problem for item in examine(files, verified) if item.problem]


def test_files_of_the_config_fit(folder):
    assert _problems(VALUES, verified=True) == []
    files = planned_files(parse_list(config_of(folder).plan(), "plan"), config_of(folder).keys())
    # data and theory of two P at one seed, and of two seeds; two scales; references of the one of two seeds asked for
    assert [[item.kind for item in files].count(kind) for kind in ("data", "theory", "langevin")] == [4, 4, 8 + 4]
    assert set(check_all(files)) == {item.path for item in files}


@pytest.mark.parametrize(
    ("path", "value", "file", "problem"),
    [
        (("experiments", "deep", "network"), {**LINEAR, "g_w": 3.0}, "theory.nc", "g_w = 0.5, must be 3.0"),
        (("experiments", "deep", "network"), {**LINEAR, "width": [4, 6]}, "theory.nc", "width = 4,5, must be 4,6"),
        (("experiments", "deep", "network"), {**LINEAR, "g_hidden": [1.0]}, "theory.nc", "g_hidden = 1.5, must be 1.0"),
        (("langevin", "chains"), 5, "langevin.nc", "chains = 4, must be 5"),
        (("langevin", "steps"), 128, "langevin.nc", "steps = 64, must be 128"),
        (("langevin", "dtype"), "float64", "langevin.nc", "dtype = float32, must be float64"),
        (("reference", "step_size"), 0.1, "reference.nc", "step_size = none, must be 0.1"),
        (("scales", "chi"), [2.15], "theory.nc", "chi = 2.15,1.0, must be 2.15"),
        (("experiments", "deep", "levels"), ["nngp", "exact"], "theory.nc", "levels = nngp,rescaling,"),
        (("experiments", "deep", "task", "delta_p"), 0.2, "data.npz", "delta_p = 0.1, must be 0.2"),
        (("experiments", "nested", "task"), {**TEACHER, "n_train": [4, 8]}, "data.npz", "n_drawn = 6, must be 8"),
        (("experiments", "nested", "task"), {**TEACHER, "n_train": [4, 6], "noise": 0.1}, "data.npz", "noise = 0.0"),
    ],
)
def test_another_config_is_named_with_its_key(folder, path, value, file, problem):
    values = merged(VALUES, *path, value=value)
    found = [line for line in _problems(values) if "no such file" not in line]
    assert found
    assert any(f"{file}: not what the plan asks for: {problem}" in line for line in found)
    config = config_of(folder, values)
    (folder / "tables/plan.csv").write_text(config.plan())
    (folder / "tables/plan.json").write_text(json.dumps(config.keys()))
    if path != ("experiments", "nested", "task"):  # or a file is missing, which is said first
        with pytest.raises(InputError, match=rf"^{re.escape(found[0])}; remove it and run again( \(\d+ more|$)"):
            tables.run(folder / "tables", plan=folder / "tables/plan.csv")


def test_what_a_device_was_asked_for_does_not_count(folder):
    assert _problems(merged(VALUES, "langevin", "device", value="cpu")) == []


def _replaced(there: Path, other: Path) -> None:
    """Put a file in the place of another, with its date."""
    times = there.stat().st_atime, there.stat().st_mtime
    shutil.copyfile(other, there)
    os.utime(there, times)


@pytest.mark.parametrize(
    ("there", "other", "problem"),
    [
        ("deep/seed0/chi1/langevin.nc", "deep/seed1/chi1/langevin.nc", "seed = 1, must be 0"),
        ("deep/seed0/chi1/langevin.nc", "deep/seed0/chi2.15/langevin.nc", "chi = 2.15, must be 1.0"),
        ("deep/seed0/theory.nc", "nested/p4/seed1/theory.nc", "label = nested, must be deep"),
        ("nested/p6/seed1/theory.nc", "nested/p4/seed1/theory.nc", "n_train = 4, must be 6"),
        ("nested/p4/seed1/chi1/langevin.nc", "nested/p4/seed1/chi1/reference.nc", "sampler = hmc, must be langevin"),
        ("deep/seed0/data.npz", "deep/seed1/data.npz", "seed = 1, must be 0"),
    ],
)
def test_a_swapped_file_is_refused(folder, capsys, there, other, problem):
    _replaced(folder / there, folder / other)
    capsys.readouterr()
    assert main(["collect", "--list", "results/tables/plan.csv", "--out", "results/tables"]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"msat: error: results/{there}: not what the plan asks for: {problem}; remove it and run")
    assert line.count("\n") == 1
    assert not (folder / "tables/theory.csv").exists()


def test_results_on_other_data_are_refused(folder):
    """A data set as the config asks for, but not the one that the results are about."""
    path = folder / "deep/seed0/data.npz"
    task = load_task(path)
    with np.load(path) as file:
        made = json.loads(str(file["made"]))
    other = type(task)(task.x_train, -task.y_train, task.x_test, task.y_test, task.provenance)
    del made["data_digest"]
    save_task(path, other, made)
    digest = other.digest()
    problems = _problems(VALUES)
    assert len(problems) == 3  # theory and two scales
    assert all(f"data_digest = {task.digest()}, must be {digest}" in line for line in problems)


def test_altered_and_truncated_files_are_refused(folder, capsys):
    """By 5 %, with its date kept; and cut off."""
    path = folder / "deep/seed0/theory.nc"
    theory, whole = load_dataset(path, "theory"), path.read_bytes()
    theory.assign(train_discrepancy=1.05 * theory["train_discrepancy"]).to_netcdf(folder / "x.nc", engine="h5netcdf")
    _replaced(path, folder / "x.nc")
    collect = ["collect", "--list", "results/tables/plan.csv", "--out", "results/tables"]
    assert main(collect) == 2
    assert "results/deep/seed0/theory.nc: altered or damaged since msat wrote it" in capsys.readouterr().err
    (problem,) = _problems(VALUES, verified=True)
    assert problem.startswith("results/deep/seed0/theory.nc: altered or damaged")
    path.write_bytes(whole[: len(whole) // 2])
    assert main(collect) == 2
    assert "results/deep/seed0/theory.nc: not a readable NetCDF file" in capsys.readouterr().err
    path.write_bytes(whole)
    assert main(collect) == 0
    theory.attrs.pop("checksum")
    theory.to_netcdf(path, engine="h5netcdf")
    assert main(collect) == 2
    assert "theory.nc: has no checksum: made by an older version of msat" in capsys.readouterr().err


def test_a_list_of_ones_own_has_no_keys(folder, tmp_path):
    """It is held against its columns alone."""
    plan = Path("mine.csv")
    plan.write_text(config_of(folder).plan())
    assert read_keys(plan.with_suffix(".json")) == {}
    trained = load_dataset(folder / "deep/seed0/chi1/langevin.nc", "langevin")
    trained.attrs["chains"] = 40
    save_dataset(folder / "deep/seed0/chi1/langevin.nc", trained)
    Path("tables").mkdir()
    assert tables.run(Path("tables"), plan=plan) == ""
    plan.write_text(config_of(folder).plan().replace("deep,0,", "other,0,"))
    with pytest.raises(InputError, match="label = deep, must be other"):
        tables.run(Path("tables"), plan=plan)
    plan.with_suffix(".json").write_text("[1]")
    with pytest.raises(InputError, match=r"mine.json: not the keys of a plan"):
        tables.run(Path("tables"), plan=plan)
