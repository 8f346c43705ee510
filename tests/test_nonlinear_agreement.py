"""Theory against training for non-linear networks, at the two ends: weak and strong feature learning.

The full set (erf and ReLU, Ising and cubic teacher, three scales) is in the default config of the workflow.
"""

import numpy as np
import pytest

import msat
from tests.conftest import Z_LIMIT

pytestmark = pytest.mark.slow

LEVELS = ["nngp", "rescaling", "tree_level", "laplace"]


def _compared(task, network, seed, steps):
    """Train for a number of steps: the stopping rule wants mixed chains, four times as many."""
    theory = msat.solve(task, network, levels=LEVELS)
    trained = msat.train(task, network, seed=seed, steps=steps)
    assert theory["converged"].all()
    assert trained.attrs["relative_error"] < 0.004
    return theory, trained, msat.compare(theory, trained).set_index("level")


def _deviation(table, level):
    return table.loc[level, "train_discrepancy"] / table.loc[level, "train_discrepancy_langevin"] - 1


def test_erf_on_the_ising_task_at_mean_field_scaling(paper_task):
    network = msat.Network(width=100, activation="erf", g_w=0.5, g_v=0.5, kappa_0=1.0, chi=100.0)
    theory, trained, table = _compared(paper_task, network, seed=2, steps=2048)
    relative = table["train_discrepancy_error"] / table["train_discrepancy_langevin"]
    assert abs(_deviation(table, "laplace")) < max(0.01, 2 * relative["laplace"])
    assert abs(_deviation(table, "tree_level")) < 0.04
    assert _deviation(table, "nngp") > 1
    laplace = theory.sel(level="laplace").isel(chi=0)
    for part in ("train", "test"):
        measured, error = (trained[f"mean_{part}{end}"].to_numpy()[0] for end in ("", "_error"))
        scale = np.hypot(error, laplace[f"mean_{part}_mc_error"].to_numpy())
        # laplace is an approximation: 0.5 per cent of the labels beside the errors
        assert np.all(np.abs(measured - laplace[f"mean_{part}"].to_numpy()) < Z_LIMIT * scale + 0.005)
    variance = trained["variance_test"].to_numpy()[0] / laplace["variance_test"].to_numpy()
    assert variance.mean() == pytest.approx(1, abs=0.1)


def test_relu_with_a_cubic_teacher():
    """Where rescaling the kernel by one number fails and the adaptive theory does not."""
    task = msat.tasks.teacher_student(
        n_train=80, n_test=200, dimension=50, coefficients=[1.0, 0.0, 0.3], unit_variance=True, seed=0
    )
    network = msat.Network(width=100, activation="relu", g_w=0.5, g_v=1.0, kappa_0=0.2, chi=10.0)
    theory, trained, table = _compared(task, network, seed=1, steps=4096)
    relative = table["train_discrepancy_error"] / table["train_discrepancy_langevin"]
    assert abs(_deviation(table, "laplace")) < max(0.01, 2 * relative["laplace"])
    assert abs(_deviation(table, "rescaling")) > 0.10
    linear = trained["learned_component"].sel(degree=1).to_numpy()[0]
    error = trained["learned_component_error"].sel(degree=1).to_numpy()[0]
    predicted = theory["learned_component"].sel(degree=1).isel(chi=0)
    sampled = theory["learned_component_mc_error"].sel(degree=1, level="laplace").to_numpy()[0]
    assert abs(linear - float(predicted.sel(level="laplace"))) < Z_LIMIT * np.hypot(error, sampled) + 0.01
    assert abs(linear - float(predicted.sel(level="nngp"))) > 0.05
