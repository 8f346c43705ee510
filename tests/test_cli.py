"""The contract: commands word for word, exit codes, one line for bad input, nothing half-written."""

import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from msat import tasks
from msat.cli import main
from msat.cli_options import build, flags, options
from msat.errors import Interrupted
from msat.langevin.settings import LangevinSettings, TrainingJob
from msat.network import Network, NetworkSettings
from msat.stages import maps
from msat.stages.phase_map import PhaseMapSettings
from msat.tasks.storage import save_task
from msat.theory.settings import TheorySettings

NETWORK = "--width 9 --activation linear --g-w 0.5 --g-v 0.5 --kappa-0 1"


def _run(command: str) -> int:
    return main(command.split())


@pytest.fixture
def foreign(tmp_path, monkeypatch) -> Path:
    """A data file that the project has never seen, written with NumPy alone; the current folder is its own."""
    rng = np.random.default_rng(99)
    x, direction = rng.normal(size=(30, 5)), rng.normal(size=5)
    y = x @ direction + 0.1 * rng.normal(size=30)
    np.savez(tmp_path / "data.npz", x_train=x[:12], y_train=y[:12], x_test=x[12:], y_test=y[12:])
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data.npz"


def test_contract_word_for_word(foreign, capsys):
    levels = "nngp,rescaling,tree_level,one_loop,laplace,exact"
    assert _run(f"solve --data data.npz {NETWORK} --chi 1,3,9 --levels {levels} --out theory.nc") == 0
    assert _run(f"train --data data.npz {NETWORK} --chi 3 --chains 16 --seed 0 --out langevin.nc") == 0
    assert _run("compare theory.nc langevin.nc --csv table.csv") == 0
    printed = capsys.readouterr().out
    assert "train_discrepancy" in printed
    for level in levels.split(","):
        assert printed.count(level) >= 3

    with xr.open_dataset("theory.nc") as theory:
        assert dict(theory.sizes) == {"level": 6, "chi": 3, "train": 12, "train_": 12, "test": 18}
        for name in ("mean_train", "mean_test", "variance_test", "hidden_kernel", "log_evidence"):
            assert theory[name].dtype == np.float64
        assert theory["covariance_train"].dims == ("level", "chi", "train", "train_")
        assert np.isnan(theory["log_evidence"].sel(level="tree_level")).all()
        assert np.isfinite(theory["action"].sel(level="tree_level")).all()
        assert set(theory["converged"].to_numpy().ravel()) <= {0, 1}
        assert {"residual", "iterations"} <= set(theory)
        attributes = set(theory.attrs)
    with xr.open_dataset("langevin.nc") as langevin:
        assert langevin.sizes["chi"] == 1
        assert langevin.sizes["chain"] == 16
        for name in ("mean_train_error", "mean_test_error", "covariance_train", "variance_test", "hidden_kernel"):
            assert np.isfinite(langevin[name]).all()
        assert {"chain_mean_train", "rhat", "ess", "step_size", "steps"} <= set(langevin)
        attributes &= set(langevin.attrs)
    assert attributes >= {
        *("width", "activation", "g_w", "g_v", "kappa_0", "seed", "msat_version", "git_hash", "git_dirty"),
        *("device", "dtype", "wall_time_s", "library_versions"),
    }
    table = pd.read_csv("table.csv").set_index("level")
    assert (table.loc["exact", ["train_discrepancy_z", "test_discrepancy_z"]].abs() < 5).all()
    assert sorted(os.listdir(".")) == ["data.npz", "langevin.nc", "table.csv", "theory.nc"]


def test_the_task_command(tmp_path):
    out = tmp_path / "data.npz"
    assert _run(f"task ising --n-train 8 --n-test 10 --dimension 20 --delta-p 0.1 --seed 0 --out {out}") == 0
    with np.load(out) as data:
        assert data["x_train"].shape == (8, 20)
        assert data["x_test"].shape == (10, 20)
        assert data["y_train"].dtype == np.float64


def _write(path: Path, **changes) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.normal(size=(4, 3)),
        "y_train": rng.normal(size=4),
        "x_test": rng.normal(size=(2, 3)),
        "y_test": rng.normal(size=2),
    } | changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})


BAD_DATA = {
    "P = 0": ({"x_train": np.zeros((0, 3)), "y_train": np.zeros(0)}, "x_train has 0 rows"),
    "wrong length": ({"y_train": np.ones(5)}, "y_train has 5 entries but x_train has 4 rows"),
    "NaN in x": ({"x_train": np.full((4, 3), np.nan)}, "x_train[0, 0] is nan: must be finite"),
    "inf in y": ({"y_train": np.array([1, 2, np.inf, 0])}, "y_train[2] is inf"),
    "constant": ({"x_train": np.ones((4, 3))}, "x_train is constant"),
    "all zero": ({"x_train": np.zeros((4, 3))}, "x_train is all zero"),
    "missing array": ({"y_test": None}, "array y_test is missing"),
    "objects": ({"y_train": np.array([{}, 1, 2, 3], dtype=object)}, "not a readable .npz data file"),
}


@pytest.mark.parametrize("command", ["solve", "train"])
@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_files(tmp_path, capsys, command, case):
    changes, message = BAD_DATA[case]
    _write(tmp_path / "data.npz", **changes)
    _refused(tmp_path, capsys, f"{command} --data {tmp_path}/data.npz --width 3 --out {tmp_path}/out.nc", message)


BAD_COMMANDS = {
    "unknown option": ("{c} --data {d} --width 3 --lenght 3 --out {o}", "No such option '--lenght'"),
    "wrong type": ("{c} --data {d} --width wide --out {o}", "--width"),
    "missing option": ("{c} --data {d} --width 3", "Missing option '--out'"),
    "missing data": ("{c} --out {o}", "Missing option '--data'"),
    "width 0 above": ("{c} --data {d} --width 5,0 --out {o}", "width = [5, 0]: must be an integer from 1 to"),
    "width of text": ("{c} --data {d} --width 5,x --out {o}", "--width = '5,x': must be whole numbers separated by"),
    "g_hidden": (
        "{c} --data {d} --width 5,4,3 --g-hidden 2 --out {o}",
        "g_hidden = 2: must have one number for each hidden layer above the first, 2 for width = 5,4,3",
    ),
    "width 0": ("{c} --data {d} --width 0 --out {o}", "width = 0: must be an integer from 1 to"),
    "chi 0": ("{c} --data {d} --width 3 --chi 0 --out {o}", "chi = 0.0: must be a finite number greater than 0"),
    "chi negative": ("{c} --data {d} --width 3 --chi=-2 --out {o}", "chi = -2.0"),
    "chi nan": ("{c} --data {d} --width 3 --chi nan --out {o}", "chi = nan"),
    "kappa_0 0": ("{c} --data {d} --width 3 --kappa-0 0 --out {o}", "kappa_0 = 0.0"),
    "g_w negative": ("{c} --data {d} --width 3 --g-w=-1 --out {o}", "g_w = -1.0"),
    "activation": ("{c} --data {d} --width 3 --activation sine --out {o}", "activation = 'sine': must be one of"),
    "missing file": ("{c} --data {t}/none.npz --width 3 --out {o}", "none.npz: no such file"),
    "unreadable file": ("{c} --data {t}/text.npz --width 3 --out {o}", "text.npz: not a readable .npz data file"),
    "folder as file": ("{c} --data {t} --width 3 --out {o}", "not a readable .npz data file"),
    "no such folder": ("{c} --data {d} --width 3 --out {t}/none/out.nc", "none does not exist"),
    "out is a folder": ("{c} --data {d} --width 3 --out {t}", "is a folder, must be a file name"),
    "folder is a file": ("{c} --data {d} --width 3 --out {t}/text.npz/out.nc", "does not exist"),
    "seed": ("{c} --data {d} --width 3 --seed -1 --out {o}", "seed = -1: input should be greater than or equal to 0"),
    "unknown level": (
        "solve --data {d} --width 3 --levels nngp,nlo --out {o}",
        "levels.1 = 'nlo': must be one of nngp",
    ),
    "exact": (
        "solve --data {d} --width 3 --activation erf --levels exact --out {o}",
        "level = 'exact' with activation = 'erf': exact needs activation = 'linear'",
    ),
    "quadratic": (
        "solve --data {d} --width 3 --activation quadratic --levels laplace --out {o}",
        "not defined, since the activation grows faster than linearly",
    ),
    "basis": ("task teacher_student --basis laguerre --out {o}", "basis = 'laguerre': input should be"),
    "coefficients": ("task teacher_student --coefficients 1;2 --out {o}", "must be numbers separated by commas"),
    "teacher": ("task teacher_student --teacher oracle --out {o}", "teacher = 'oracle': input should be"),
    "other teacher": (
        "task teacher_student --teacher linear --coefficients 1 --out {o}",
        "coefficients = [1.0]: belongs to teacher hermite, not to linear",
    ),
    "teacher width": ("task teacher_student --teacher network --teacher-width 0 --out {o}", "teacher_width = 0"),
    "table without file": ("task table --target y --n-train 2 --out {o}", "Missing option"),
    "table": ("task table --file {t}/text.npz --n-train 2 --out {o}", "text.npz: not a readable .npz file"),
    "digit": ("task mnist --digits 0,10 --out {o}", "digits.1 = 10: input should be less than or equal to 9"),
    "figure": ("figure pie --out {t}/a.png", "figure = 'pie': must be one of components"),
    "figure format": ("figures samples --formats jpg --out {t}", "format = 'jpg': must be one of pdf, png, svg"),
    "level twice": ("solve --data {d} --width 3 --levels nngp,nngp --out {o}", "named twice"),
    "scale twice": ("solve --data {d} --width 3 --chi 1,1 --out {o}", "a scale is named twice"),
    "scales": ("solve --data {d} --width 3 --chi 1;2 --out {o}", "must be numbers separated by commas"),
    "chains": ("train --data {d} --width 3 --chains 1 --out {o}", "chains = 1: input should be greater"),
    "device": ("train --data {d} --width 3 --device tpu --out {o}", "device = 'tpu': input should be"),
    "threads": (
        "train --data {d} --width 3 --threads 0 --out {o}",
        "threads = 0: input should be greater than or equal to 1",
    ),
    "unknown command": ("slove", "no command 'slove'; known are task, mnist"),
    "unknown task": ("task xor --out {o}", "no command 'xor'; known are ising, mnist"),
    "task size": ("task ising --n-train 0 --out {o}", "n_train = 0"),
}


@pytest.mark.parametrize(
    ("case", "command"),
    [
        (case, command)
        for case, (template, _) in BAD_COMMANDS.items()
        for command in (("solve", "train") if "{c}" in template else ("",))
    ],
)
def test_bad_commands(tmp_path, capsys, command, case):
    template, message = BAD_COMMANDS[case]
    _write(tmp_path / "data.npz")
    (tmp_path / "text.npz").write_text("not an archive")
    text = template.format(c=command, d=tmp_path / "data.npz", t=tmp_path, o=tmp_path / "out.nc")
    _refused(tmp_path, capsys, text, message)


def test_cuda_without_a_gpu(tmp_path, capsys):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    _write(tmp_path / "data.npz")
    command = f"train --data {tmp_path}/data.npz --width 3 --device cuda --out {tmp_path}/out.nc"
    _refused(tmp_path, capsys, command, "torch finds no CUDA device")


@pytest.mark.parametrize(
    ("files", "first", "second"),
    [
        ("--checkpoint {0}/x.nc --out {0}/x.nc", "--out {0}/x.nc", "--checkpoint"),
        ("--final-state {0}/x.nc --out {0}/x.nc", "--final-state {0}/x.nc", "the copy beside --final-state"),
        ("--final-state {0}/x.pt --out {0}/x.nc", "--out {0}/x.nc", "the copy beside --final-state"),
        ("--final-state {0}/x.pt --checkpoint {0}/x.pt --out {0}/y.nc", "--final-state {0}/x.pt", "--checkpoint"),
        ("--checkpoint {0}/data.npz --out {0}/y.nc", "--checkpoint {0}/data.npz", "the data file"),
        ("--checkpoint {0}/link.pt --out {0}/x.nc", "--out {0}/x.nc", "--checkpoint"),
        ("--theory {0}/x.nc --out {0}/x.nc", "--out {0}/x.nc", "--theory"),
    ],
)
def test_no_two_files_of_a_training_are_one(tmp_path, capsys, small_task, files, first, second):
    """A checkpoint with the name of the result would take the result with it when it is removed."""
    save_task(tmp_path / "data.npz", small_task)
    (tmp_path / "link.pt").symlink_to(tmp_path / "x.nc")
    before = sorted(tmp_path.iterdir())
    command = f"train --data {tmp_path}/data.npz --width 3 --steps 64 {files.format(tmp_path)}"
    assert main(command.split()) == 2
    message = f"{first.format(tmp_path)}: is {second} too; every file of a command needs a name of its own"
    assert capsys.readouterr().err == f"msat: error: {message}\n"
    assert sorted(tmp_path.iterdir()) == before


def test_a_loop_of_links_is_one_line(tmp_path, capsys, small_task):
    save_task(tmp_path / "data.npz", small_task)
    (tmp_path / "a.nc").symlink_to(tmp_path / "b.nc")
    (tmp_path / "b.nc").symlink_to(tmp_path / "a.nc")
    assert main(f"solve --data {tmp_path}/data.npz --width 3 --out {tmp_path}/a.nc".split()) == 2
    assert capsys.readouterr().err == f"msat: error: --out {tmp_path}/a.nc: is a link that leads nowhere\n"


def _refused(tmp_path, capsys, command, message):
    before = sorted(tmp_path.iterdir())
    assert _run(command) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("kind", ["theory", "langevin"])
def test_compare_refuses_what_does_not_belong_together(tmp_path, capsys, kind):
    _write(tmp_path / "data.npz")
    for index, width in enumerate((3, 4)):
        assert _run(f"solve --data {tmp_path}/data.npz --width {width} --out {tmp_path}/t{index}.nc") == 0
    assert _run(f"train --data {tmp_path}/data.npz --width 3 --steps 64 --out {tmp_path}/l.nc") == 0
    assert _run(f"train --data {tmp_path}/data.npz --width 3 --chi 2 --steps 64 --out {tmp_path}/l2.nc") == 0
    capsys.readouterr()
    if kind == "theory":
        _refused(tmp_path, capsys, f"compare {tmp_path}/t1.nc {tmp_path}/l.nc", "differ in width: 4 against 3")
        _refused(tmp_path, capsys, f"compare {tmp_path}/t0.nc {tmp_path}/l2.nc", "no scale chi = 2, only 1")
        _refused(tmp_path, capsys, f"compare {tmp_path}/none.nc {tmp_path}/l.nc", "no such file")
    else:
        _refused(tmp_path, capsys, f"compare {tmp_path}/l.nc {tmp_path}/t0.nc", "must hold a theory result")
        _refused(tmp_path, capsys, f"compare {tmp_path}/t0.nc {tmp_path}/data.npz", "not a readable NetCDF file")


@pytest.mark.parametrize(
    ("given", "shown"), [("nan", "nan"), ("-1", "-1"), ("1,inf", "inf"), ("1e400", "1e400"), ("a,b", "a"), ("", "''")]
)
def test_matrices_that_are_neither_scale_nor_level_are_one_line(tmp_path, capsys, given, shown):
    assert _run(f"task ising --n-train 3 --n-test 0 --dimension 3 --out {tmp_path}/data.npz") == 0
    capsys.readouterr()
    command = f"solve --data {tmp_path}/data.npz --width 3 --levels exact --out {tmp_path}/a.nc --matrices={given}"
    assert _run(command) == 2
    line = capsys.readouterr().err
    assert line.startswith("msat: error: matrices = [")
    assert f": {shown}: must be a scale, above 0 and finite, or one of nngp, " in line
    assert line.count("\n") == 1
    assert not (tmp_path / "a.nc").exists()


@pytest.mark.parametrize("sampler", ["langevin", "underdamped", "hmc"])
def test_an_unstable_step_size_is_bad_input(tmp_path, capsys, sampler):
    _write(tmp_path / "data.npz")
    command = (
        f"train --data {tmp_path}/data.npz --width 3 --step-size 1e300 --sampler {sampler} --out {tmp_path}/out.nc"
    )
    assert _run(command) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("msat: error: step_size = 1e+300: must be at most ")
    assert not (tmp_path / "out.nc").exists()


def test_a_failed_computation_is_exit_code_1(tmp_path, capsys, monkeypatch):
    """Dynamics that diverge while they run, as no measured curvature foretold."""
    _write(tmp_path / "data.npz")
    monkeypatch.setattr("msat.langevin.samplers.langevin.largest_step_size", lambda curvature: float("inf"))
    command = f"train --data {tmp_path}/data.npz --width 3 --step-size 50 --out {tmp_path}/out.nc"
    assert _run(command) == 1
    error = capsys.readouterr().err
    assert "msat: error: the dynamics diverged in burn_in after " in error.splitlines()[-1]
    assert "Traceback" not in error
    assert not (tmp_path / "out.nc").exists()


def test_nonlinear_commands(tmp_path, capsys):
    """tanh through quadrature, and quadratic with the levels that it has."""
    data, theory, langevin = (tmp_path / name for name in ("data.npz", "theory.nc", "langevin.nc"))
    assert _run(f"task teacher_student --n-train 8 --n-test 5 --dimension 4 --coefficients 1,0,0.3 --out {data}") == 0
    for activation, levels in (("tanh", 5), ("quadratic", 2)):
        network = f"--width 12 --activation {activation} --kappa-0 0.5 --chi 2"
        assert _run(f"solve --data {data} {network} --strict --out {theory}") == 0
        assert _run(f"train --data {data} {network} --steps 2000 --out {langevin}") == 0
        capsys.readouterr()
        assert _run(f"compare {theory} {langevin}") == 0
        assert capsys.readouterr().out.count("z = ") == 8 * levels
        with xr.open_dataset(theory) as dataset:
            assert dataset.sizes["level"] == levels


def test_strict_fails_where_a_level_did_not_converge(tmp_path, capsys, monkeypatch):
    import msat.stages.theory

    _write(tmp_path / "data.npz")
    original = msat.stages.theory.anneal

    def broken(*arguments):
        for index, level, prediction in original(*arguments):
            yield index, level, replace(prediction, converged=False) if level == "laplace" else prediction

    monkeypatch.setattr(msat.stages.theory, "anneal", broken)
    command = f"solve --data {tmp_path}/data.npz --width 30 --chi 1,2 --out {tmp_path}/out.nc"
    assert _run(f"{command} --strict") == 1
    assert "not converged: laplace at chi = 1, 2" in capsys.readouterr().err
    assert not (tmp_path / "out.nc").exists()
    assert _run(command) == 0
    assert "warning: not converged: laplace at chi = 1, 2" in capsys.readouterr().err


def test_version_and_help(capsys):
    assert _run("--version") == 0
    assert capsys.readouterr().out.startswith("msat 0.")
    assert _run("train --help") == 0
    assert "--target-error" in capsys.readouterr().out
    for command in ("", "task"):
        assert _run(command) == 2
        captured = capsys.readouterr()
        assert "Commands:" in captured.out
        assert (
            captured.err.strip()
            == f"msat {command}".strip() + f": error: no command given (see {('msat ' + command).strip()} --help)"
        )


COMMANDS = "task mnist solve train compare collect check verify show figure figures loop-map finite-width map schema"


def test_every_command_and_task_has_help(capsys):
    assert _run("--help") == 0
    listed = capsys.readouterr().out.split("Commands:")[1]
    for command in (*COMMANDS.split(), *(f"{group} {name}" for group in ("task", "map") for name in tasks.NAMES)):
        assert _run(f"{command} --help") == 0
        assert capsys.readouterr().out.startswith(f"Usage: msat {command} ")
        assert f"\n  {command.split()[0]} " in listed


@pytest.mark.parametrize(
    ("command", "models"),
    [
        ("solve", (NetworkSettings, TheorySettings)),
        ("train", (Network, LangevinSettings, TrainingJob)),
        *((f"task {name}", (tasks.get(name).Settings,)) for name in tasks.NAMES),
        *((name.replace("_", "-"), (settings,)) for name, (settings, _) in maps.MAPS.items()),
        *((f"map {name}", (PhaseMapSettings, NetworkSettings, tasks.get(name).Settings)) for name in tasks.NAMES),
    ],
)
def test_options_and_their_defaults_are_those_of_the_settings(capsys, command, models):
    assert _run(f"{command} --help") == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name, field in ((name, field) for model in models for name, field in model.model_fields.items()):
        flag = f"--{name.replace('_', '-')}"
        assert flag in shown
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            part = shown.split(f" {flag} ")[1]
            assert f"[default: {field.default}]" in part[: len(field.description) + 60]


def test_flags_are_read_back_as_they_were_written():
    """What the workflow writes for settings gives these settings: lists, switches, choices, text for a shell."""
    settings = [
        TheorySettings(chi=[1.0, 2.5, 1e-7], levels=["nngp", "exact"], seed=3, strict=True),
        LangevinSettings(chains=3, steps=99, step_size=0.01, dtype="float64"),
        TrainingJob(seed=2, keep_state=False, checkpoint=Path("a b/c's.pt")),
        tasks.get("teacher_student").Settings(coefficients=[1.0, 0.0, -0.1], unit_variance=True),
        tasks.get("table").Settings(file="it's mine.csv", target="y", features=["a b", "c"], n_train=4),
        maps.MAPS["finite_width"][0](widths=[3, 4], gamma=[0.5], seeds=[7]),
        PhaseMapSettings(x="chi", x_values=[0.5, 2.0], y="n_train", y_values=[4.0, 8.0], levels=["exact"]),
    ]
    for model in settings:
        command = click.Command("any", params=list(options(type(model))))
        with command.make_context("any", shlex.split(flags(model.model_dump()))) as context:
            assert build(type(model), context.params) == model


def test_a_map_from_the_command_line(tmp_path, capsys):
    """Of ising by default, of any task by its name; columns are reported where they take long."""
    axes = "--x chi --x-values 1,4 --y n_train --y-values 4,8"
    assert _run(f"map {axes} --width 10 --dimension 12 --levels laplace,exact --out {tmp_path}") == 0
    assert capsys.readouterr().err == ""
    table = pd.read_parquet(tmp_path / "phase_map.parquet")
    assert len(table) == 2 * 2 * 2
    assert set(table["width"]) == {10}
    sizes = "--width 10 --dimension 6 --activation erf --levels nngp"
    assert _run(f"map teacher_student {axes} {sizes} --out {tmp_path}") == 0
    assert "msat map: column 2 of 2: n_train = 8\n" in capsys.readouterr().err
    assert set(pd.read_parquet(tmp_path / "phase_map.parquet")["activation"]) == {"erf"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--x chi --x-values 1,2 --y chi --y-values 1,2", "x = chi, y = chi: must be two different parameters"),
        ("--x chi --x-values 1 --y width --y-values 1,2", "x_values = 1: an axis must have at least two values"),
        ("--x chi --x-values 1,a --y width --y-values 1,2", "--x-values = '1,a': must be numbers separated by commas"),
        ("--x chi --x-values 1,2 --y width --y-values 2,1", "y_values = 2,1: must be ascending, each value once"),
        ("--x chi --x-values 1,2 --y depth --y-values 1,2", "y = 'depth': must be one of chi, gamma, width"),
    ],
)
def test_a_bad_map_is_one_line(tmp_path, capsys, options, message):
    assert _run(f"map {options} --out {tmp_path}") == 2
    captured = capsys.readouterr().err
    assert captured.startswith(f"msat: error: {message}")
    assert captured.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_help_starts_at_once():
    """The list of commands, the best of three on a busy machine."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "msat.cli", "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.3


def test_exit_codes_of_signals_and_defects(tmp_path, capsys, monkeypatch):
    def fails(error):
        def run(*_):
            raise error

        monkeypatch.setattr("msat.stages.theory.run", run)
        return _run(f"solve --data {tmp_path}/d.npz --out {tmp_path}/o.nc")

    assert fails(Interrupted("saved at step 3", signal.SIGTERM)) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "msat: saved at step 3\n"
    assert fails(KeyboardInterrupt()) == 130
    assert fails(ZeroDivisionError()) == 70
    assert "this is a defect of msat" in capsys.readouterr().err


def test_defaults_are_the_papers(tmp_path):
    """An omitted option is the same on the command line, in the config and in Python."""
    assert _run(f"task ising --n-train 4 --n-test 2 --dimension 6 --out {tmp_path}/data.npz") == 0
    assert _run(f"solve --data {tmp_path}/data.npz --out {tmp_path}/theory.nc") == 0
    with xr.open_dataset(tmp_path / "theory.nc") as theory:
        found = {name: theory.attrs[name] for name in NetworkSettings().parameters()}
        assert "g_hidden" not in theory.attrs
    assert found == NetworkSettings().parameters()
    assert found == {"width": 100, "activation": "linear", "g_w": 0.5, "g_v": 0.5, "kappa_0": 1.0}
