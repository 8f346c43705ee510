"""Outputs, hidden kernel and readouts are derivatives of the log evidence (docs/theory.md, sections 2 and 12)."""

import numpy as np
import pytest

from msat.network import Network
from tests.conftest import Z_LIMIT
from tests.theory.several.references import brute_laplace, derivative, error_of, geometry_of_kernel, solved

pytestmark = pytest.mark.slow

P, M = 4, 2
NETWORK = Network(width=30, g_w=0.9, g_v=float(P), kappa_0=0.5, chi=3.0)


@pytest.fixture(scope="module")
def setting():
    rng = np.random.default_rng(5)
    factor = rng.normal(size=(P, P))
    return factor @ factor.T / P + 0.1 * np.eye(P), 1.5 * rng.normal(size=(P, M))


def _solve(C, y, level, network=NETWORK):
    prediction = solved(geometry_of_kernel(C, y), network, [level])[level]
    assert prediction.converged
    return prediction


def _units():
    return np.eye(P * M).reshape(-1, P, M)


@pytest.mark.parametrize("level", ["nngp", "laplace", "one_loop"])
def test_mean_and_covariance(setting, level):
    C, y = setting
    here = _solve(C, y, level)
    for index, e in enumerate(_units()):
        slope = derivative(lambda t, e=e: _solve(C, y + t * e, level).log_evidence)
        expected = y.reshape(-1)[index] + NETWORK.kappa * slope
        assert here.mean_train.reshape(-1)[index] == pytest.approx(expected, abs=1e-8)
        response = derivative(lambda t, e=e: _solve(C, y + t * e, level).mean_train)
        np.testing.assert_allclose(here.covariance_train[index], NETWORK.kappa * response.reshape(-1), atol=1e-8)


def test_covariance_of_the_tree_level(setting):
    C, y = setting
    covariance = _solve(C, y, "tree_level").covariance_train
    for index, e in enumerate(_units()):
        response = derivative(lambda t, e=e: _solve(C, y + t * e, "tree_level").mean_train)
        np.testing.assert_allclose(covariance[index], NETWORK.kappa * response.reshape(-1), atol=1e-8)


@pytest.mark.parametrize("level", ["laplace", "one_loop"])
def test_hidden_kernel_and_readouts(setting, level):
    C, y = setting
    here = _solve(C, y, level)
    gradient = np.linalg.solve(C, np.linalg.solve(C, here.hidden_kernel - C).T) * NETWORK.width / 2
    rng = np.random.default_rng(8)
    for _ in range(3):
        E = rng.normal(size=(P, P))
        E = (E + E.T) / 20
        slope = derivative(lambda t, E=E: _solve(C + t * E, y, level).log_evidence)
        assert np.sum(gradient * E) == pytest.approx(slope, abs=1e-7)

    def evidence(t):
        network = Network(30, "linear", NETWORK.g_w * np.exp(t), NETWORK.g_v, NETWORK.kappa_0, NETWORK.chi)
        return _solve(C, y, level, network).log_evidence

    g = NETWORK.g
    expected = M * g + 2 * g / NETWORK.width * derivative(evidence)
    assert here.readout_norm == pytest.approx(expected, rel=1e-8)


def test_laplace_against_automatic_differentiation(setting):
    """The log evidence, and all of ``<S> = g + (2 g^2/N) d ln p / dG0``, off its diagonal too."""
    C, y = setting
    here, g, N = _solve(C, y, "laplace"), NETWORK.g, NETWORK.width
    assert here.log_evidence == pytest.approx(brute_laplace(C, y, g * np.eye(M), N, NETWORK.kappa), abs=1e-9)
    for c, d in ((0, 0), (0, 1), (1, 1)):
        E = np.zeros((M, M))
        E[c, d] = E[d, c] = 1.0 if c == d else 0.5
        slope = derivative(lambda t, E=E: brute_laplace(C, y, g * np.eye(M) + t * g * E, N, NETWORK.kappa), step=1e-2)
        assert here.readout_covariance[c, d] == pytest.approx(g * (c == d) + 2 * g / N * slope, abs=1e-7)


def test_tree_hidden_kernel_is_the_covariance_of_the_tilted_measure(setting):
    C, y = setting
    here = _solve(C, y, "tree_level")
    ft = (y - here.mean_train) / NETWORK.kappa
    np.testing.assert_allclose(here.hidden_kernel, np.linalg.inv(np.linalg.inv(C) - NETWORK.tau * ft @ ft.T), rtol=1e-9)
    Q = np.linalg.inv(np.eye(M) - NETWORK.tau * ft.T @ C @ ft)
    np.testing.assert_allclose(here.readout_covariance, NETWORK.g * Q, rtol=1e-9)


def test_exact(setting):
    """Within Monte Carlo errors, those of the differences being common random numbers' and smaller."""
    C, y = setting
    here = _solve(C, y, "exact")
    value, error = error_of(here, lambda outputs: outputs.mean_train)
    spread = error_of(here, lambda outputs: outputs.covariance_train)[1].reshape(-1, P, M)
    for index, e in enumerate(_units()[:3]):
        slope = derivative(lambda t, e=e: _solve(C, y + t * e, "exact").log_evidence, step=1e-2)
        expected = y.reshape(-1)[index] + NETWORK.kappa * slope
        assert value.reshape(-1)[index] == pytest.approx(expected, abs=2 * Z_LIMIT * error.max() + 1e-6)
        response = derivative(lambda t, e=e: _solve(C, y + t * e, "exact").mean_train, step=1e-2)
        found = here.covariance_train[index].reshape(P, M)
        np.testing.assert_allclose(found, NETWORK.kappa * response, atol=2 * Z_LIMIT * spread.max() + 1e-6)
    gradient = np.linalg.solve(C, np.linalg.solve(C, here.hidden_kernel - C).T) * NETWORK.width / 2
    E = np.diag([0.05, 0.0, -0.02, 0.03])
    slope = derivative(lambda t: _solve(C + t * E, y, "exact").log_evidence, step=1e-2)
    assert np.sum(gradient * E) == pytest.approx(slope, abs=5e-4)
