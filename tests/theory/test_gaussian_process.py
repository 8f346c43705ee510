"""nngp and rescaling against dense linear algebra with the prior kernel."""

import numpy as np
import pytest

from msat.activations import get_activation
from msat.network import Network
from msat.theory import nngp, rescaling
from tests.theory.references import geometry_of, ising


@pytest.mark.parametrize("name", ["linear", "erf"])
def test_prior_levels_are_gaussian_processes(name):
    x, y, x_test, _ = ising(12, 30, 5, seed=3)
    network = Network(width=25, activation=name, g_w=0.5, g_v=0.5, kappa_0=1.0, chi=4.0)
    geometry, activation, scale, kappa = geometry_of(x, y, x_test, network), get_activation(name), 0.5 / 30, 0.25
    K = activation.dual_kernel(scale * x @ x.T)
    squares, test_squares = (scale * np.sum(points**2, axis=1) for points in (x, x_test))
    cross = activation.cross_dual_kernel(test_squares, squares, scale * x_test @ x.T)
    if name == "linear":
        np.testing.assert_allclose(K, scale * x @ x.T, atol=1e-15)
    gaussian, scaled = (level.predict(geometry, network) for level in (nngp, rescaling))
    assert gaussian.readout_norm == network.g
    for result in (gaussian, scaled):
        s = result.readout_norm
        A = np.linalg.inv(s * K + kappa * np.eye(12))
        np.testing.assert_allclose(result.mean_train, s * K @ A @ y, atol=1e-12)
        np.testing.assert_allclose(result.mean_test, s * cross @ A @ y, atol=1e-12)
        np.testing.assert_allclose(result.covariance_train, kappa * s * K @ A, atol=1e-12)
        variance = s * activation.dual_variance(test_squares) - s**2 * np.sum((cross @ A) * cross, axis=1)
        np.testing.assert_allclose(result.variance_test, variance, atol=1e-12)
    hidden = K + s / 25 * (K @ A @ np.outer(y, y) @ A @ K - K @ A @ K)
    np.testing.assert_allclose(scaled.hidden_kernel, hidden, atol=1e-12)
    np.testing.assert_allclose(gaussian.hidden_kernel, K, atol=1e-15)
    A = np.linalg.inv(network.g * K + kappa * np.eye(12))
    log_det = np.linalg.slogdet(A)[1]
    assert gaussian.log_evidence == pytest.approx(0.5 * log_det - 0.5 * y @ A @ y - 6 * np.log(2 * np.pi))
    assert scaled.residual < 1e-10
    assert scaled.converged
    assert (scaled.note == "") == (name == "linear")
    assert (scaled.first_layer is None) == (name != "linear")
    assert gaussian.first_layer(geometry.direction) == pytest.approx(np.sum(geometry.direction**2))
