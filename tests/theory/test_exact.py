"""The exact level against evaluations that share nothing with it."""

import numpy as np
import pytest
from scipy import integrate, special

from msat.network import Network
from tests.conftest import Z_LIMIT
from tests.theory.references import solved


def _exact(C, y, network):
    x = np.linalg.cholesky(C)
    (prediction,) = solved(x, y, np.zeros((0, len(y))), network, [network.chi], ["exact"]).values()
    assert prediction.converged
    return prediction


@pytest.mark.parametrize("width", [5, 8, 40])
def test_log_evidence_and_mean_by_fourier_inversion(width):
    """p(y) = int dk/(2 pi)^2 exp(-i k.y - kappa k^2/2) (1 + (g/N) k.C k)^(-N/2): eq. (3) on the imaginary axis.

    A trapezoid sum over the plane; the integrand decays like a Gaussian, so it is exact to rounding.
    """
    C = np.array([[1.3, 0.4], [0.4, 0.8]])
    y = np.array([0.9, -0.6])
    network = Network(width=width, g_w=1.1, g_v=2.0, kappa_0=0.7)
    grid = np.arange(-14, 14, 0.02)
    k = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1)
    quadratic = np.einsum("...a,ab,...b", k, C, k)
    characteristic = (1 + network.tau * quadratic) ** (-width / 2) * np.exp(-network.kappa / 2 * (k**2).sum(-1))
    phase = np.exp(-1j * k @ y)
    cell = (0.02 / (2 * np.pi)) ** 2
    density = np.sum(phase * characteristic).real * cell
    gradient = np.sum(-1j * k * (phase * characteristic)[..., None], axis=(0, 1)).real * cell
    prediction = _exact(C, y, network)
    assert prediction.log_evidence == pytest.approx(np.log(density), abs=1e-8)
    np.testing.assert_allclose(prediction.mean_train, y + network.kappa * gradient / density, atol=1e-8)


@pytest.mark.parametrize("chi", [1.0, 7.0])
def test_moments_by_adaptive_quadrature_over_the_norm(small_task, small_network, chi):
    """The same mixture in the variable |w| instead of ln |w|^2, with QUADPACK, and dense linear algebra."""
    network = small_network.at(chi)
    C = network.g_v / small_task.dimension * small_task.x_train @ small_task.x_train.T
    y, N, g, kappa = small_task.y_train, network.width, network.g, network.kappa

    def weight(r):
        s = r**2
        S = s * C + kappa * np.eye(len(y))
        log_prior = (N / 2) * np.log(N / (2 * g)) - special.gammaln(N / 2) + np.log(2) + (N - 1) * np.log(r)
        gauss = -0.5 * (np.linalg.slogdet(2 * np.pi * S)[1] + y @ np.linalg.solve(S, y))
        return np.exp(log_prior - N * s / (2 * g) + gauss)

    def mean(r):
        return r**2 * C @ np.linalg.solve(r**2 * C + kappa * np.eye(len(y)), y)

    upper = 30 * np.sqrt(g)
    options = {"epsabs": 0, "epsrel": 1e-11, "limit": 500, "points": [np.sqrt(g)]}
    total = integrate.quad(weight, 1e-9, upper, **options)[0]
    expected = [integrate.quad(lambda r, a=a: weight(r) * mean(r)[a], 1e-9, upper, **options)[0] for a in range(6)]
    x_test = small_task.x_test
    (prediction,) = solved(small_task.x_train, y, x_test, network, [chi], ["exact"]).values()
    assert prediction.log_evidence == pytest.approx(np.log(total), abs=1e-8)
    np.testing.assert_allclose(prediction.mean_train, np.array(expected) / total, atol=1e-8)
    # test points: Gaussian process prediction at each s; linear in the training outputs
    cross = network.g_v / small_task.dimension * x_test @ small_task.x_train.T
    np.testing.assert_allclose(prediction.mean_test, cross @ np.linalg.solve(C, prediction.mean_train), atol=1e-10)


@pytest.mark.slow
def test_prior_importance_sampling_on_a_tiny_network():
    """Networks drawn from the prior, weighted by their likelihood: nothing of the theory enters."""
    rng = np.random.default_rng(3)
    x = np.array([[1.0, 0.5], [-0.4, 0.9]])
    x_test = np.array([[0.7, -0.2]])
    y = np.array([0.8, -0.5])
    network = Network(width=2, g_w=1.0, g_v=2.0, kappa_0=0.5)
    draws = 2_000_000
    V = rng.normal(size=(draws, 2, 2)) * np.sqrt(network.g_v / 2)
    w = rng.normal(size=(draws, 2)) * np.sqrt(network.tau)
    effective = np.einsum("ni,nij->nj", w, V)
    f, f_test = effective @ x.T, effective @ x_test.T
    weights = np.exp(-np.sum((y - f) ** 2, axis=1) / (2 * network.kappa))
    (prediction,) = solved(x, y, x_test, network, [1.0], ["exact"]).values()

    norm = np.log(2 * np.pi * network.kappa)
    evidence, error = weights.mean(), weights.std() / np.sqrt(draws)
    assert abs(np.exp(prediction.log_evidence + norm) - evidence) < Z_LIMIT * error

    hidden = np.einsum("nij,nik->njk", V, V) / 2
    observables = {
        "mean_train": (f, prediction.mean_train),
        "mean_test": (f_test, prediction.mean_test),
        "variance_test": ((f_test - prediction.mean_test) ** 2, prediction.variance_test),
        "covariance": (
            np.einsum("na,nb->nab", f - prediction.mean_train, f - prediction.mean_train).reshape(draws, -1),
            np.asarray(prediction.covariance_train).ravel(),
        ),
        "hidden_kernel": (
            np.einsum("aj,njk,bk->nab", x, hidden, x).reshape(draws, -1),
            np.asarray(prediction.hidden_kernel).ravel(),
        ),
        "readout_norm": (np.sum(w**2, axis=1)[:, None], np.array([prediction.readout_norm])),
    }
    for name, (values, expected) in observables.items():
        estimate = weights @ values / weights.sum()
        spread = np.sqrt(np.sum((weights[:, None] * (values - estimate)) ** 2, axis=0)) / weights.sum()
        assert np.all(np.abs(estimate - expected) < Z_LIMIT * spread), name
