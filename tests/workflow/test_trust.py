"""A results folder that is not what its config asks for: refused by name, in a run of Snakemake."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
import torch
import yaml

from msat.config import parse_config
from msat.stages import code
from tests.workflow.running import ROOT, planned_jobs

pytestmark = pytest.mark.workflow

VALUES = {
    "experiments": {
        "small": {
            "task": {"name": "ising", "n_train": 4, "n_test": 4, "dimension": 6},
            "network": {"width": 10, "activation": "linear", "g_w": 0.5},
            "levels": ["nngp", "exact"],
        }
    },
    "scales": {"chi": [1]},
    "seeds": [0, 1],
    "langevin": {"chains": 16, "steps": 64, "device": "cpu"},
    "loop_map": {"widths": [4], "n_train": [4]},
    "finite_width": {"widths": [4, 8], "n_train": 4, "seeds": [2]},
    "checks": {"alpha": 1.0e-300},  # the runs are too short to have errors that can be relied on
}
TARGETS = ("results/checks.txt", "results/tables/loop_map.csv", "results/tables/finite_width.csv")
THEORY, TRAINED = "results/small/seed{}/theory.nc", "results/small/seed{}/chi1/langevin.nc"


def _run(folder: Path, *command: str) -> tuple[int, str]:
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def _snakemake(folder: Path, *arguments: str) -> tuple[int, str]:
    at = ("--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--cores", "1", "--retries", "0")
    return _run(folder, sys.executable, "-m", "snakemake", *at, *arguments, "--", *TARGETS)


def _verify(folder: Path) -> tuple[int, str]:
    return _run(folder, sys.executable, "-m", "msat.cli", "verify", "results")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run that has finished, with its metadata."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "config.yaml").write_text(yaml.safe_dump(VALUES))
    done, output = _snakemake(folder)
    assert done == 0, output
    return folder


@pytest.fixture
def clone(run, tmp_path) -> Path:
    """The results in another folder, with their dates and without metadata."""
    shutil.copytree(run / "results", tmp_path / "clone/results")
    shutil.copy(run / "config.yaml", tmp_path / "clone")
    return tmp_path / "clone"


def _config(folder: Path, change) -> None:
    values = yaml.safe_load((folder / "config.yaml").read_text())
    change(values)
    (folder / "config.yaml").write_text(yaml.safe_dump(values))


def test_what_is_right_is_left_alone(run, clone):
    """In place and in a copy: data, theory, trainings, plan, tables, summary, maps, states and the results beside."""
    for folder in (run, clone):
        done, output = _snakemake(folder, "-n")
        assert done == 0, output
        assert planned_jobs(output) == {}
        done, output = _verify(folder)
        number = 2 + 2 + 2 + 2 + 11 + 1 + 2 + 2 + 2
        assert (done, output) == (0, f"{number} files in results are what the config asks for\n")


def test_a_copied_folder_with_another_network_is_refused(clone):
    """As often as it is called, until what is refused has been removed and made again."""
    _config(clone, lambda at: at["experiments"]["small"]["network"].update(g_w=3.0))
    assert planned_jobs(_snakemake(clone, "-n")[1]) == {"plan": 1, "collect": 1, "checks": 1}
    done, output = _snakemake(clone)
    assert done == 1
    problem = "not what the plan asks for: g_w = 0.5, must be 3.0"
    assert f"msat: error: {THEORY.format(0)}: {problem}; remove it and run again (3 more" in output
    assert planned_jobs(_snakemake(clone, "-n")[1]) == {"collect": 1, "checks": 1}
    done, said = _verify(clone)
    assert done == 1
    wrong = re.findall(rf"(results/small\S+): {problem}", said)
    assert set(wrong) == {name.format(seed) for name in (THEORY, TRAINED) for seed in (0, 1)}
    for path in wrong:  # as the page of troubles says
        (clone / path).unlink()
    done, output = _snakemake(clone)
    assert done == 0, output
    assert _verify(clone)[0] == 0


def test_a_copied_folder_with_other_chains_is_refused(clone):
    _config(clone, lambda at: at["langevin"].update(chains=4))
    done, output = _snakemake(clone)
    assert done == 1
    problem = "not what the plan asks for: chains = 16, must be 4"
    assert f"msat: error: {TRAINED.format(0)}: {problem}; remove it and run again (1 more" in output


def test_a_copied_folder_with_another_grid_or_map_is_made_anew(clone):
    _config(clone, lambda at: at.update(seeds=[1]))
    assert planned_jobs(_snakemake(clone, "-n")[1]) == {"plan": 1, "collect": 1, "checks": 1}
    _config(clone, lambda at: at["loop_map"].update(widths=[5]))
    assert planned_jobs(_snakemake(clone, "-n")[1]) == {"plan": 1, "collect": 1, "checks": 1, "loop_map": 1}
    done, output = _snakemake(clone)
    assert done == 0, output
    done, output = _verify(clone)
    assert done == 0, output
    assert "note: results that are not in the plan: results/small/seed0/" in output


def test_a_config_that_is_put_back_runs_nothing(run, tmp_path):
    """Where there is metadata a dry run with another config leaves no trace."""
    folder = tmp_path / "whole"
    shutil.copytree(run, folder)
    text = (folder / "config.yaml").read_text()
    _config(folder, lambda at: at["langevin"].update(chains=4))
    assert planned_jobs(_snakemake(folder, "-n")[1]) == {"plan": 1, "train": 2, "collect": 1, "checks": 1}
    (folder / "config.yaml").write_text(text)
    assert planned_jobs(_snakemake(folder, "-n")[1]) == {}


def _in_place(path: Path, change) -> None:
    """Change a file and keep its date."""
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    change(path)
    os.utime(path, ns=times)


def _altered(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["train_discrepancy"][()] = 1.05 * file["train_discrepancy"][()]


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        (TRAINED.format(0), lambda path: shutil.copyfile(path.parents[2] / "seed1/chi1/langevin.nc", path), "seed = 1"),
        (THEORY.format(1), _altered, "altered or damaged since msat wrote it"),
    ],
    ids=["swapped", "altered"],
)
def test_a_file_that_was_replaced_with_its_date_kept_is_refused(clone, name, change, problem):
    """Snakemake looks at dates and sees nothing; what reads the files does, and so does the end of `make reproduce`."""
    _in_place(clone / name, change)
    assert planned_jobs(_snakemake(clone, "-n")[1]) == {}
    done, said = _verify(clone)
    assert done == 1
    assert re.search(rf"^(msat: error: )?{name}: .*{problem}", said, flags=re.MULTILINE)
    done, output = _snakemake(clone, "--forcerun", "collect")
    assert done == 1
    assert re.search(rf"msat: error: {name}: .*{problem}", output)


def test_an_old_checkpoint_and_an_altered_state_are_refused(clone):
    """A checkpoint under the name of its job stops it; a kept state is a cache: it is named, and not used."""
    config, state = parse_config(VALUES), clone / "results/states/small/seed0/chi1/langevin.pt"
    content, trained = torch.load(state, weights_only=True), code.training("linear", "langevin")
    checkpoint = config.runs()[0].checkpoint(config.trajectory("small", "langevin", trained))
    torch.save(content | {"format": 4}, clone / checkpoint)
    torch.save(content | {"device": "other"}, state)
    done, output = _snakemake(clone, "--forcerun", "train")
    assert done == 1
    assert f"msat: error: checkpoint {checkpoint} was made by another version of msat: remove it" in output
    (clone / checkpoint).unlink()
    done, output = _snakemake(clone, "--forcerun", "train")
    assert done == 0, output
    log = (clone / "results/logs/small/seed0/chi1/train.log").read_text()
    assert "does not use results/states/small/seed0/chi1/langevin.pt: checkpoint" in log
    assert "altered or damaged since msat wrote it" in log
    assert _verify(clone)[0] == 0
