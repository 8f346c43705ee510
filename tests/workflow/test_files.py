"""Files that the workflow is given: MNIST and tables. Dry runs in a folder of their own, and data sets only."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from msat.tasks.mnist_files import FILES

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.workflow

NETWORK = {"width": 10, "activation": "linear"}
BASE = {
    "experiments": {
        "ising": {"task": {"name": "ising", "n_train": 4, "n_test": 4, "dimension": 6}, "network": NETWORK},
        "digits": {"task": {"name": "mnist", "n_train": 4, "n_test": 4}, "network": NETWORK},
    },
    "scales": {"chi": [1]},
    "seeds": [0],
}
FETCHES = "Files of MNIST"  # the message of rule mnist
DATA = "results/{}/seed0/data.npz"


@pytest.fixture
def run(tmp_path):
    """Run Snakemake on a configuration, offline, and return its exit code and what it prints."""

    def run(config: dict, *arguments: str) -> tuple[int, str]:
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        command = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path), "--cores", "1", *arguments]
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_without_mnist_its_experiments_are_left_out(run):
    code, output = run(BASE, "-n")
    assert code == 0, output
    assert output.count("MNIST is not in data/mnist: left out digits; `snakemake mnist` gets the files") == 1
    assert "results/digits" not in output
    assert "results/ising/seed0/data.npz" in output


def test_if_mnist_is_required_the_run_gets_it(run):
    code, output = run(BASE | {"mnist": {"required": True}}, "-n")
    assert code == 0, output
    assert FETCHES in output
    assert "results/digits/seed0/data.npz" in output
    assert "left out" not in output
    assert "data/mnist/train-images-idx3-ubyte" in output


def test_files_that_are_there_are_never_got_again(run, tmp_path):
    (tmp_path / "data/mnist").mkdir(parents=True)
    for name in FILES:
        (tmp_path / "data/mnist" / name).touch()
    for target in ("mnist", "all"):
        code, output = run(BASE | {"mnist": {"required": True, "sources": ["npm"]}}, "-n", target)
        assert code == 0, output
        assert FETCHES not in output


def test_unreachable_sources_are_one_line_in_the_log(run, tmp_path):
    code, _ = run(BASE | {"mnist": {"sources": ["nowhere", "nor/here"]}}, "mnist")
    assert code != 0
    log = (tmp_path / "results/logs/mnist.log").read_text()
    assert log.count("\n") == 1
    assert "tried nowhere: train-images-idx3-ubyte is missing" in log
    assert "nor/here: train-images-idx3-ubyte is missing" in log
    assert not (tmp_path / "data").exists() or not any((tmp_path / "data").rglob("*ubyte"))


def test_a_changed_table_makes_its_data_set_anew(run, tmp_path):
    rows = "\n".join(f"{i},{(7 * i) % 11},{i % 3}" for i in range(12))
    (tmp_path / "mine.csv").write_text(f"a b,it's,y\n{rows}\n")
    task = {"name": "table", "file": "mine.csv", "target": "y", "features": ["it's", "a b"], "n_train": 6}
    config = BASE | {"experiments": {"mine": {"task": task, "network": NETWORK}}}
    target = DATA.format("mine")
    code, output = run(config, target)
    assert code == 0, output
    (tmp_path / "mine.csv").touch()
    assert "Nothing to be done" in run(config, "-n", target)[1]
    (tmp_path / "mine.csv").write_text(f"a b,it's,y\n{rows}\n5,5,5\n")
    code, output = run(config, "-n", target)
    assert "mine.csv" in output
    assert target in output
    (tmp_path / "mine.csv").unlink()
    code, output = run(config, "-n")
    assert code != 0
    assert "config: experiments.mine.task.file = 'mine.csv': no such file" in output
    assert "Traceback" not in output
