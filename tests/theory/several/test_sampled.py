"""Levels of several outputs from draws: a linear network's closed forms, and an erf network against NUTS."""

import numpy as np
import pytest

from msat.levels import LAPLACE, TREE_LEVEL
from msat.network import Network
from msat.theory import laplace, tree_level
from msat.theory.anneal import anneal
from msat.theory.several.sampled.ladder import climb
from tests.conftest import Z_LIMIT
from tests.theory.several.references import error_of, geometry_of_classes, rotation, solved

pytestmark = pytest.mark.slow

LEVELS = {TREE_LEVEL.name: tree_level, LAPLACE.name: laplace}
NAMES = ("mean_train", "mean_test", "hidden_kernel", "readout_covariance", "covariance_train")
FEW = 10.0  # standard errors known from four batches at least


@pytest.fixture(scope="module")
def linear():
    geometry = geometry_of_classes(2, 8, dimension=12, n_test=3)
    network = Network(width=25, g_w=0.5, g_v=0.5, kappa_0=1.0, chi=5.0)
    drawn = {name: prediction for _, name, prediction in climb(geometry, [network], LEVELS, 0)}
    return geometry, network, drawn


@pytest.mark.parametrize("level", LEVELS)
def test_a_linear_network_from_draws(linear, level):
    geometry, network, drawn = linear
    expected, found = solved(geometry, network, [level])[level], drawn[level]
    assert found.converged
    for name in NAMES if level == TREE_LEVEL.name else NAMES[:-1]:
        value, error = error_of(found, lambda outputs, name=name: getattr(outputs, name))
        exact = getattr(expected, name)
        assert np.all(np.abs(value - exact) < FEW * error + 1e-9), name
        assert error.max() < 0.05 * np.abs(exact).max(), name
    tree = solved(geometry, network, [TREE_LEVEL.name])[TREE_LEVEL.name]
    np.testing.assert_allclose(found.variance_test, tree.variance_test, rtol=0.02)
    if level == LAPLACE.name:
        error = np.hypot(found.log_evidence_mc_error, 1e-6)
        assert abs(found.log_evidence - expected.log_evidence) < Z_LIMIT * error
        assert "leading order" in found.note


def test_a_rotation_of_the_outputs_changes_nothing_but_them(linear):
    geometry, network, drawn = linear
    turn = rotation(2)
    other = type(geometry)(
        geometry.x_train, geometry.y_train @ turn, geometry.x_test, geometry.y_test @ turn, 0.5, "linear"
    )
    found = {name: prediction for _, name, prediction in climb(other, [network], LEVELS, 0)}
    for level, prediction in found.items():
        value, error = error_of(prediction, lambda outputs: outputs.mean_train)
        assert np.all(np.abs(value - drawn[level].mean_train @ turn) < FEW * error + 1e-9)


@pytest.mark.parametrize(
    ("chi", "rescaling", "tree", "nuts", "along"),
    [
        (1.0, 0.7742, (0.7608, 3e-4), (0.7758, 4e-4), None),
        (10.0, 0.5970, (0.5992, 2e-4), (0.6136, 2e-4), 1.430),
        (100.0, 0.2508, (0.2806, 2e-4), (0.28292, 7e-5), None),
    ],
    ids=["chi 1", "chi 10", "chi 100"],
)
def test_an_erf_network_of_three_outputs(chi, rescaling, tree, nuts, along):
    """docs/theory.md, section 12: train discrepancies of NUTS, to which laplace is held, and of the other levels."""
    geometry = geometry_of_classes(3, 60, activation="erf")
    network = Network(width=100, activation="erf", g_w=0.5, g_v=0.5, kappa_0=1.0)
    y = geometry.y_train

    def discrepancy(outputs):
        return float(np.mean(y * (y - outputs.mean_train)))

    levels = ("nngp", "rescaling", "tree_level", "laplace")
    found = {level: prediction for _, level, prediction in anneal(geometry, network, [chi], levels)}
    assert all(prediction.converged for prediction in found.values())
    assert discrepancy(found["nngp"]) == pytest.approx(0.7810, abs=6e-5)
    assert discrepancy(found["rescaling"]) == pytest.approx(rescaling, abs=6e-5)
    for level, (expected, own) in (("tree_level", tree), ("laplace", nuts)):
        value, error = error_of(found[level], discrepancy)
        assert error < 1e-3
        assert abs(value - expected) < Z_LIMIT * np.hypot(error, own), level
    hidden = found["laplace"].hidden_kernel
    if along:
        assert np.sum(y * (hidden @ y)) / np.sum(y**2) == pytest.approx(along, abs=0.01)
    assert found["laplace"].population.shape[1] == 60
    assert "ansatz" in found["rescaling"].note
