"""Trainings with several outputs against an independent sampler, the prior, and symmetries (m = 3).

The reference numbers are those of a NUTS sampler of all weights (numpyro), made outside this package, on these data:
standard errors in brackets there, below here the second number of each pair.
"""

import numpy as np
import pytest

import msat
from msat.network import Network
from msat.tasks.base import Task
from tests.conftest import Z_LIMIT

pytestmark = pytest.mark.slow


def _classes(scale=1.0):
    r = np.random.default_rng(7)
    templates, kind = r.choice([-1.0, 1.0], (3, 200)), np.arange(60) % 3
    x = templates[kind] * np.where(r.random((60, 200)) < 0.6, 1, -1)
    y = scale * (2 * np.eye(3)[kind] - 1)
    return Task(x, y, x[:9], y[:9])


def _z(at, name, expected, error=0.0):
    return (float(at[name]) - expected) / np.hypot(float(at[f"{name}_error"]), error)


@pytest.fixture(scope="module")
def linear():
    return msat.train(_classes(), Network(chi=10), sampler="hmc", chains=8, steps=300, seed=1).isel(chi=0)


def test_linear_network_against_nuts(linear):
    assert abs(_z(linear, "train_discrepancy", 0.50428)) < Z_LIMIT  # exact
    assert abs(_z(linear, "train_discrepancy", 0.5042, 2e-4)) < Z_LIMIT
    assert abs(_z(linear, "hidden_kernel_along_target", 2.354, 3e-3)) < Z_LIMIT
    S, parts = linear["readout_covariance"].to_numpy(), linear["moment_readout_covariance"].to_numpy()
    error = parts.std(axis=0, ddof=1) / np.sqrt(len(parts))  # of the lower triangle, row by row
    for place, (row, column, expected) in enumerate([(0, 0, 0.10946), (1, 0, -0.02276), (2, 0, -0.02314)]):
        assert abs(S[row, column] - expected) < Z_LIMIT * error[[0, 1, 3][place]] + 5e-6
    assert float(linear["readout_norm"]) == pytest.approx(np.trace(S), rel=1e-6)
    assert abs(_z(linear, "readout_gap", 0.0)) < Z_LIMIT
    assert abs(_z(linear, "readout_norm_gap", 0.0)) < Z_LIMIT
    assert float(linear["relative_discrepancy"]) == pytest.approx(float(linear["train_discrepancy"]))  # labels +-1


def test_other_samplers_agree(linear):
    for sampler, steps in (("langevin", 3000), ("underdamped", 1200)):
        other = msat.train(_classes(), Network(chi=10), sampler=sampler, chains=8, steps=steps, seed=2).isel(chi=0)
        for name in ("train_discrepancy", "hidden_kernel_along_target", "readout_norm", "variance_along_target"):
            assert abs(_z(other, name, float(linear[name]), float(linear[f"{name}_error"]))) < Z_LIMIT, (sampler, name)


def test_erf_network_against_nuts():
    found = msat.train(_classes(), Network(activation="erf", chi=10), sampler="hmc", chains=6, steps=150, seed=1)
    at = found.isel(chi=0)
    assert abs(_z(at, "train_discrepancy", 0.6136, 2e-4)) < Z_LIMIT
    assert abs(_z(at, "hidden_kernel_along_target", 1.430, 1e-3)) < Z_LIMIT


def test_networks_that_learn_nothing_follow_the_prior():
    """Labels beneath the noise: <S> = g, H = C, and the gaps between draws and closed forms vanish."""
    network = Network(width=20, kappa_0=1e6)
    at = msat.train(_classes(1e-3), network, sampler="hmc", chains=8, steps=400, seed=3).isel(chi=0)
    np.testing.assert_allclose(at["readout_covariance"], network.g * np.eye(3), atol=1e-4 * network.g)
    for name, expected in (("readout_norm_gap", 0.0), ("weight_alignment", 1.0), ("hidden_kernel_gain", 1.0)):
        assert abs(_z(at, name, expected)) < Z_LIMIT, name
    assert abs(_z(at, "first_layer_variance", 1.0)) < Z_LIMIT


def test_copies_of_one_target_are_one_target_of_larger_labels_with_idle_outputs():
    """Rotated, m copies of y are ``sqrt(m) y`` and m - 1 outputs of zeros: not m times the answer of one.

    The rotation moves the zeros' readouts, which still draw neurons together: the two trainings agree, and the
    discrepancy is not that of one output.
    """
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(10, 15)), rng.choice([-1.0, 1.0], 10)
    copies, idle = np.repeat(y[:, None], 3, axis=1), np.column_stack([np.sqrt(3) * y, np.zeros(10), np.zeros(10)])
    network = Network(width=6, chi=4.0)
    one, *both = (
        msat.train(Task(x, labels, x[:2], labels[:2]), network, sampler="hmc", chains=8, steps=1500, seed=seed)
        for seed, labels in enumerate((y, copies, idle))
    )
    first, second = (item.isel(chi=0) for item in both)
    for name in ("train_discrepancy", "hidden_kernel_along_target", "readout_norm", "readout_outlier"):
        assert abs(_z(first, name, float(second[name]), float(second[f"{name}_error"]))) < Z_LIMIT, name
    exact = msat.solve(Task(x, copies, x[:2], copies[:2]), network, levels=["exact"]).isel(level=0, chi=0)
    for name in ("train_discrepancy", "hidden_kernel_along_target", "readout_norm", "readout_outlier"):
        assert abs(_z(first, name, float(exact[name]), float(exact[f"{name}_mc_error"]))) < Z_LIMIT, name
    S = first["readout_covariance"].to_numpy()
    np.testing.assert_allclose(S, S[[1, 2, 0]][:, [1, 2, 0]], rtol=0.1)  # no copy is special
    alone = one.isel(chi=0)
    z = _z(first, "train_discrepancy", float(alone["train_discrepancy"]), float(alone["train_discrepancy_error"]))
    assert z < -2 * Z_LIMIT  # the copies pull features together: each is fitted better than one alone


def test_a_run_with_several_outputs_goes_on_to_the_last_bit(tmp_path):
    task = _classes()
    whole = msat.train(task, Network(width=10), steps=192, max_burn_in=200, chains=4, seed=0)
    path = tmp_path / "state.pt"
    msat.train(task, Network(width=10), steps=96, max_burn_in=200, chains=4, seed=0, final_state=path)
    again = msat.train(task, Network(width=10), steps=192, max_burn_in=200, chains=4, seed=0, final_state=path)
    np.testing.assert_array_equal(again["mean_train"], whole["mean_train"])
