"""The real DAG on the smoke overlay, in a copy of the repository."""

import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msat.tasks.storage import load_task
from tests.workflow.running import ROOT, planned_jobs, snakemake

pytestmark = pytest.mark.workflow

FIGURE_RULES = {"figures_ising_linear": 1, "figures_cubic_erf": 1, "figures_index_probabilists_erf": 1}


def test_everything_is_there_and_agrees(finished):
    results = finished / "results/smoke"
    assert "exact and Langevin agree; reference and Langevin agree" in (results / "checks.txt").read_text()
    for figure in ("discrepancies", "samples", "convergence"):
        for suffix in ("pdf", "png"):
            assert (results / f"figures/ising_linear/{figure}.{suffix}").stat().st_size > 10_000
    langevin = pd.read_parquet(results / "tables/langevin.parquet")
    assert len(langevin) == 4 + 2 + 4  # two seeds and one, or two numbers of samples; two scales
    reference = pd.read_parquet(results / "tables/reference.parquet")
    assert set(zip(reference["experiment"], reference["sampler"], strict=True)) == {("cubic_erf", "hmc")}
    for table in (langevin, reference):
        assert table["target_met"].all()
        assert table["mixed"].all()
    (cells,) = (pd.read_parquet(path) for path in results.glob("maps/*/phase_map.parquet"))
    assert list(cells.columns[:2]) == ["chi", "width"]
    assert cells[cells["level"] == "exact"]["chi_star"].notna().all()
    for suffix in ("pdf", "png"):
        assert (results / f"figures/maps/linear_scale_width/phase_map.{suffix}").stat().st_size > 10_000
    assert not list((results / "checkpoints").iterdir())
    assert not list(results.rglob("*.tmp"))


def test_a_second_run_does_nothing(finished):
    assert "Nothing to be done" in snakemake(finished)


def test_a_touched_file_does_nothing(finished):
    for name in (
        "msat/theory/nngp.py",
        "msat/stages/training.py",
        "Snakefile",
        "workflow/rules/training.smk",
        "config.yaml",
        "results/smoke/ising_linear/seed0/data.npz",
    ):
        (finished / name).touch()
    assert planned_jobs(snakemake(finished, "-n")) == {}


def test_a_new_seed_adds_only_its_own_jobs(finished, edited):
    edited("configs/smoke.yaml", lambda text: text.replace("seeds: [0, 1]", "seeds: [0, 1, 2]"))
    planned = planned_jobs(snakemake(finished, "-n"))
    aggregates = {"plan": 1, "collect": 1, "checks": 1, "all": 1} | FIGURE_RULES
    assert planned == {"task": 1, "solve": 1, "train": 2} | aggregates


def test_another_number_of_samples_adds_only_its_own_jobs(finished, edited):
    """Out of those that are drawn; data sets are the first rows of one."""
    edited("configs/smoke.yaml", lambda text: text.replace("n_train: [6, 12]", "n_train: [6, 9, 12]"))
    planned = planned_jobs(snakemake(finished, "-n"))
    aggregates = {"plan": 1, "collect": 1, "checks": 1, "all": 1} | FIGURE_RULES
    assert planned == {"task": 1, "solve": 1, "train": 2} | aggregates
    folder = finished / "results/smoke/index_probabilists_erf"
    small, large = (load_task(folder / f"p{n_train}/seed0/data.npz") for n_train in (6, 12))
    np.testing.assert_array_equal(small.x_train, large.x_train[:6])
    np.testing.assert_array_equal(small.y_test, large.y_test)
    half = pd.read_parquet(finished / "results/smoke/tables/half_learned.parquet")
    assert set(half["experiment"]) == {"index_probabilists_erf"}
    assert set(half["source"]) == {"nngp", "rescaling", "tree_level", "one_loop", "laplace", "langevin"}
    assert (half["dimension"] == 6).all()
    for figure in ("learning_curves", "discrepancies"):
        assert (finished / f"results/smoke/figures/index_probabilists_erf/{figure}.png").stat().st_size > 10_000


def test_how_trainings_are_saved_reruns_nothing(finished, edited):
    edited("configs/smoke.yaml", lambda text: text + "\nsaving: {checkpoint_every: 5, keep_state: false}\n")
    assert planned_jobs(snakemake(finished, "-n")) == {}


def test_the_slurm_profile_needs_no_slurm_to_plan(finished, tmp_path):
    """A dry run where none of SLURM's programs can be found."""
    slurm = {"sbatch", "squeue", "sacct", "sacctmgr", "scancel", "scontrol", "sinfo", "srun", "sshare"}
    for name in ("bash", "env", "git", "ls", "sh", "uname", "which"):
        if shutil.which(name):
            (tmp_path / name).symlink_to(shutil.which(name))
    path = f"{Path(sys.executable).parent}{os.pathsep}{tmp_path}"
    assert not any(shutil.which(name, path=path) for name in slurm)
    output = snakemake(finished, "-n", "--forceall", "--profile", "profiles/slurm", PATH=path)
    planned = planned_jobs(output)
    assert (planned["task"], planned["solve"], planned["train"]) == (5, 5, 10)
    assert "Group job short_training" in output


def test_a_theory_edit_does_not_retrain(finished, edited):
    edited("msat/theory/nngp.py", lambda text: text + "\n_EDITED = True\n")
    planned = planned_jobs(snakemake(finished, "-n"))
    assert planned["solve"] == 5
    assert not {"train", "task"} & set(planned)


def test_a_plotting_edit_only_draws(finished, edited):
    edited("msat/figures/style.py", lambda text: text + "\n_EDITED = True\n")
    planned = set(planned_jobs(snakemake(finished, "-n")))
    assert planned == {*FIGURE_RULES, "figure_loop_map", "figure_finite_width", "figure_map_linear_scale_width", "all"}


def test_a_training_edit_retrains_and_does_not_solve(finished, edited):
    edited("msat/langevin/integrators.py", lambda text: text + "\n_EDITED = True\n")
    planned = planned_jobs(snakemake(finished, "-n"))
    assert planned["train"] == 10
    assert not {"solve", "task"} & set(planned)


def test_a_comment_does_nothing(finished, edited):
    edited("msat/theory/nngp.py", lambda text: text + "\n# a comment\n")
    edited("msat/langevin/dynamics.py", lambda text: text + "\n# a comment\n")
    assert planned_jobs(snakemake(finished, "-n")) == {}


def test_swapped_parameters_are_seen(finished, edited):
    edited("configs/smoke.yaml", lambda text: text.replace("width: 20", "width: 20\n      g_w: 0.6\n      g_v: 0.5"))
    planned = planned_jobs(snakemake(finished, "-n"))
    assert (planned["solve"], planned["train"]) == (5, 10)


def test_a_bad_configuration_is_one_line(finished, edited):
    edited("configs/smoke.yaml", lambda text: text + "\nlangevim: {}\n")
    output = snakemake(finished, "-n", check=False)
    assert "config: langevim: unknown key; known are results, experiments" in output
    assert "Traceback" not in output


def test_a_disagreement_fails_the_run(finished):
    """Shift the exact prediction in the checks table, as a wrong formula would."""
    path = finished / "results/smoke/tables/checks.parquet"
    summary = finished / "results/smoke/checks.txt"
    table, text, original = pd.read_parquet(path), summary.read_text(), path.read_bytes()
    table.loc[table["level"] == "exact", ["train_discrepancy_z", "train_discrepancy_p"]] = 9.0, 1e-18
    table.to_parquet(path, index=False)
    output = snakemake(finished, str(summary.relative_to(finished)), "--forcerun", "checks", check=False)
    assert "exact and Langevin disagree in train_discrepancy: z = 9.00" in output
    path.write_bytes(original)
    summary.write_text(text)


def test_every_rule_has_a_log_a_benchmark_and_a_message():
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for block in re.split(r"^(?:    )?rule\b", path.read_text(), flags=re.MULTILINE)[1:]:
            if "shell:" in block:
                for part in ("log:", "benchmark:", "message:", "resources:", "job="):
                    # a missing benchmark file would remove files of MNIST that are there, and get them again
                    fetches = block.startswith(" mnist:") and part == "benchmark:"
                    assert part in block or fetches, f"{path.name}: {part}"


# last, since these change results
def test_one_figure_is_drawn_alone(finished, edited):
    """By the job of its experiment, which says so before and leaves the other files as they are."""
    snakemake(finished)  # tests before have touched files
    folder = finished / "results/smoke/figures"
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*.p*"))}
    missing = folder / "ising_linear/samples.png"
    missing.unlink()
    edited("msat/figures/evidence.py", lambda text: text + "\n_EDITED = True\n")
    output = snakemake(finished)
    assert "Figures of ising_linear: evidence, samples\n" in output
    assert "Figures of cubic_erf: evidence\n" in output
    assert "Figures of index_probabilists_erf: evidence\n" in output
    assert set(planned_jobs(output)) == {*FIGURE_RULES, "all"}
    changed = {str(path.relative_to(folder)) for path, content in before.items() if path.read_bytes() != content}
    experiments = ("ising_linear", "cubic_erf", "index_probabilists_erf")
    assert changed == {f"{name}/evidence.{suffix}" for name in experiments for suffix in ("pdf", "png")}
    log = (finished / "results/smoke/logs/ising_linear/figures.log").read_text()
    assert log.startswith("drawn: evidence, samples; as they would be drawn: convergence, ")
    assert planned_jobs(snakemake(finished, "-n")) == {}


def test_a_stale_checkpoint_does_not_block(finished, edited):
    """The name of a checkpoint holds a digest of its job: another job's is left alone."""
    checkpoints = finished / "results/smoke/checkpoints"
    stale = checkpoints / "ising_linear-seed0-chi1-0000000000000000.pt"
    stale.write_text("of another job")
    edited("configs/smoke.yaml", lambda text: text.replace("target_error: 0.005", "target_error: 0.02"))
    target = "results/smoke/ising_linear/seed0/chi1/langevin.nc"
    snakemake(finished, target)
    assert stale.read_text() == "of another job"


def test_a_smaller_target_goes_on_from_the_final_state(finished, edited):
    edited("configs/smoke.yaml", lambda text: text.replace("target_error: 0.005", "target_error: 0.0015"))
    target = "results/smoke/ising_linear/seed1/chi1/langevin.nc"
    kept = finished / "results/smoke/states/ising_linear/seed1/chi1/langevin.nc"
    assert kept.read_bytes() == (finished / target).read_bytes()
    snakemake(finished, target)
    log = (finished / "results/smoke/logs/ising_linear/seed1/chi1/train.log").read_text()
    assert re.search(r"goes on from \S*langevin.pt in done at step", log)
    assert kept.read_bytes() == (finished / target).read_bytes()
