"""Every level's outputs are derivatives of its own log evidence (docs/theory.md, section 2).

This holds exactly for rescaling in the mean only (its covariance and kernel are those at fixed s), and for
laplace, one_loop and exact in everything, so the finite differences test every formula of theirs.
"""

import numpy as np
import pytest

from msat.network import Network
from tests.theory.references import solved

P = 5
STEP = 1e-4
FULL = ("laplace", "one_loop", "exact")


@pytest.fixture(scope="module")
def setting():
    rng = np.random.default_rng(5)
    factor = rng.normal(size=(P, P))
    return factor @ factor.T / P + 0.1 * np.eye(P), 1.5 * rng.normal(size=P)


NETWORK = Network(width=30, g_w=0.9, g_v=float(P), kappa_0=0.5, chi=3.0)


def _solve(C, y, level, network=NETWORK):
    """Solve with inputs whose kernel is C: the rows of a Cholesky factor, at g_v / D = 1."""
    x = np.linalg.cholesky(C)
    (prediction,) = solved(x, y, np.zeros((0, P)), network, [network.chi], [level]).values()
    assert prediction.converged
    return prediction


def _derivative(function, step=STEP):
    """Fourth-order central difference at 0."""
    return (8 * (function(step) - function(-step)) - (function(2 * step) - function(-2 * step))) / (12 * step)


@pytest.mark.parametrize("level", [*FULL, "nngp"])
def test_mean_is_the_gradient_of_the_log_evidence(setting, level):
    C, y = setting
    prediction = _solve(C, y, level)
    for a in range(P):
        e = np.eye(P)[a]
        slope = _derivative(lambda t, e=e: _solve(C, y + t * e, level).log_evidence)
        assert prediction.mean_train[a] == pytest.approx(y[a] + NETWORK.kappa * slope, abs=1e-8)


@pytest.mark.parametrize("level", [*FULL, "nngp", "tree_level"])
def test_covariance_is_the_derivative_of_the_mean(setting, level):
    C, y = setting
    covariance = np.asarray(_solve(C, y, level).covariance_train)
    for a in range(P):
        e = np.eye(P)[a]
        slope = _derivative(lambda t, e=e: _solve(C, y + t * e, level).mean_train)
        np.testing.assert_allclose(covariance[a], NETWORK.kappa * slope, atol=1e-8)


@pytest.mark.parametrize("level", FULL)
def test_hidden_kernel_is_the_derivative_with_respect_to_the_input_kernel(setting, level):
    C, y = setting
    hidden = np.asarray(_solve(C, y, level).hidden_kernel)
    rng = np.random.default_rng(8)
    gradient = np.linalg.solve(C, np.linalg.solve(C, hidden - C).T) * NETWORK.width / 2
    for _ in range(5):
        E = rng.normal(size=(P, P))
        E = (E + E.T) / 20
        slope = _derivative(lambda t, E=E: _solve(C + t * E, y, level).log_evidence)
        assert np.sum(gradient * E) == pytest.approx(slope, abs=1e-7)


@pytest.mark.parametrize("level", FULL)
def test_readout_norm_is_the_derivative_with_respect_to_its_prior(setting, level):
    C, y = setting
    prediction = _solve(C, y, level)
    g = NETWORK.g

    def evidence(t):
        network = Network(NETWORK.width, "linear", NETWORK.g_w * np.exp(t), NETWORK.g_v, NETWORK.kappa_0, NETWORK.chi)
        return _solve(C, y, level, network).log_evidence

    slope = _derivative(evidence) / g
    assert prediction.readout_norm == pytest.approx(g + 2 * g**2 / NETWORK.width * slope, rel=1e-8)


def test_tree_hidden_kernel_is_the_covariance_of_the_tilted_measure(setting):
    C, y = setting
    prediction = _solve(C, y, "tree_level")
    ft = (y - prediction.mean_train) / NETWORK.kappa
    tilted = np.linalg.inv(np.linalg.inv(C) - NETWORK.tau * np.outer(ft, ft))
    np.testing.assert_allclose(prediction.hidden_kernel, tilted, rtol=1e-10)


def test_tree_action_is_the_minimum_of_S(setting):
    C, y = setting
    prediction = _solve(C, y, "tree_level")
    ft = (y - prediction.mean_train) / NETWORK.kappa

    def S(x):
        return -x @ y + NETWORK.kappa / 2 * x @ x - NETWORK.width / 2 * np.log(1 - NETWORK.tau * x @ C @ x)

    assert prediction.action == pytest.approx(S(ft), rel=1e-12)
    rng = np.random.default_rng(1)
    assert all(S(ft + 1e-2 * rng.normal(size=P)) > prediction.action for _ in range(20))
