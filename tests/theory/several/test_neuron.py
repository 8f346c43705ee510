"""One tilted neuron with several outputs: against one output, finite differences, and brute force over the readouts."""

import numpy as np
import pytest

from msat.network import Network
from msat.theory import laplace
from msat.theory.sampled.action import minimum, on_draws
from msat.theory.sampled.cumulants import loop_vector, loop_weights
from msat.theory.sampled.draws import Draws, tilt
from msat.theory.sampled.several import loop_vector_several, loop_weights_several, tilt_several
from tests.theory.several.references import derivative, rotation

P, M, N = 3, 2, 20
NETWORK = Network(width=N, activation="erf", g_w=1.1, kappa_0=0.4, chi=2.0)


@pytest.fixture(scope="module")
def draws():
    rng = np.random.default_rng(0)
    return Draws(np.tanh(rng.normal(size=(60, P))), 0.1 * rng.normal(size=60))


def _field(outputs, seed=1):
    return 0.8 * np.random.default_rng(seed).normal(size=P * outputs)


def test_one_output_is_what_it_was(draws):
    ft = _field(1)
    alone, here = tilt(draws, ft, NETWORK), tilt_several(draws, ft, NETWORK)
    for name in ("weights", "mean", "W2", "G", "log_mean", "ess_fraction", "trace"):
        np.testing.assert_allclose(getattr(here, name), getattr(alone, name), atol=1e-13, err_msg=name)
    np.testing.assert_allclose(loop_vector_several(here), loop_vector(alone), atol=1e-13)
    shift = N / 2 * alone.G @ loop_vector(alone)
    for found, expected in zip(loop_weights_several(here, shift), loop_weights(alone, shift), strict=True):
        np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-12)


def test_cumulants_are_derivatives(draws):
    ft = _field(M)
    neuron, zero = tilt_several(draws, ft, NETWORK), np.zeros(P * M)
    for index, e in enumerate(np.eye(P * M)):
        W = derivative(lambda t, e=e: N * tilt_several(draws, ft + t * e, NETWORK).log_mean, step=1e-3)
        assert N * neuron.mean[index] == pytest.approx(W, abs=1e-9)
        slope = derivative(lambda t, e=e: N * tilt_several(draws, ft + t * e, NETWORK).mean, step=1e-3)
        np.testing.assert_allclose(neuron.W2[index], slope, atol=1e-9)

        def log_det(t, e=e):
            return np.linalg.slogdet(tilt_several(draws, ft + t * e, NETWORK).curvature)[1]

        assert N * loop_vector_several(neuron)[index] == pytest.approx(derivative(log_det, step=1e-3), abs=1e-8)
    action = on_draws(draws, zero, NETWORK, ft)
    np.testing.assert_allclose(action.T, loop_vector_several(neuron))
    assert not action.has_second_derivative


def test_loop_weights_against_sums_over_readouts(draws):
    """Eq. (5) on a measure with the readout as one more dimension, by Gauss-Hermite quadrature over it."""
    neuron = tilt_several(draws, _field(M), NETWORK)
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    xi = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    xi_weights = np.outer(weights, weights).reshape(-1) / weights.sum() ** 2
    w = neuron.readout[:, None, :] + np.sqrt(NETWORK.tau) * xi  # (n, nodes, m)
    joint = neuron.weights[:, None] * xi_weights
    z = (neuron.features[:, None, :, None] * w[:, :, None, :]).reshape(*joint.shape, -1)
    centred = z - neuron.mean
    np.testing.assert_allclose(np.einsum("nk,nkp->p", joint, z), neuron.mean, atol=1e-13)
    shift = N / 2 * neuron.G @ loop_vector_several(neuron)
    quadratic = np.einsum("nkp,pq,nkq->nk", centred, neuron.G, centred, optimize=True)
    R = 1 + centred @ shift - 0.5 * (quadratic - neuron.trace)
    found = loop_weights_several(neuron, shift)
    np.testing.assert_allclose(found.zeroth, R @ xi_weights, atol=1e-11)
    np.testing.assert_allclose(found.first, np.einsum("k,nk,nkc->nc", xi_weights, R, w), atol=1e-11)
    np.testing.assert_allclose(found.second, np.einsum("k,nk,nkc,nkd->ncd", xi_weights, R, w, w), atol=1e-11)
    plain = loop_weights_several(neuron, None)
    np.testing.assert_allclose(plain.second, np.einsum("k,nkc,nkd->ncd", xi_weights, w, w), atol=1e-12)


def test_rotating_outputs_rotates_the_saddle_and_its_loop(draws):
    y, turn = np.random.default_rng(3).normal(size=(P, M)), rotation(M)
    found = []
    for labels in (y, y @ turn):
        saddle = minimum(on_draws(draws, labels.reshape(-1), NETWORK, np.zeros(P * M)), min_ess=0.0)
        assert saddle.converged
        found.append((saddle.action.ft.reshape(P, M), saddle.action.T.reshape(P, M), saddle.action.loop))
    np.testing.assert_allclose(found[1][0], found[0][0] @ turn, atol=1e-9)
    np.testing.assert_allclose(found[1][1], found[0][1] @ turn, atol=1e-9)
    assert found[1][2] == pytest.approx(found[0][2], abs=1e-9)


def test_the_mean_is_the_derivative_of_the_log_evidence(draws):
    """Eq. (2) on fixed draws, of laplace: ``<f> = y - kappa ft``, so that ``d ln p / dy = -ft``."""
    y = np.random.default_rng(4).normal(size=P * M)

    def log_evidence(labels):
        action = minimum(on_draws(draws, labels, NETWORK, np.zeros(P * M)), min_ess=0.0).action
        return action.value - action.loop

    saddle = minimum(on_draws(draws, y, NETWORK, np.zeros(P * M)), min_ess=0.0)
    field = laplace.solve(saddle).expansion.field
    for index, e in enumerate(np.eye(P * M)):
        slope = derivative(lambda t, e=e: log_evidence(y + t * e), step=1e-3)
        assert field[index] == pytest.approx(-slope, abs=1e-7)


def test_readouts_are_the_derivative_by_their_prior(draws):
    """``<S> = g + (2 g^2/N) d ln p / dG0`` on fixed draws: the trace, from a change of g alone."""
    y = np.random.default_rng(4).normal(size=P * M)

    def at(log_g):
        network = Network(N, "erf", NETWORK.g_w * np.exp(log_g), 1.0, NETWORK.kappa_0, NETWORK.chi)
        action = minimum(on_draws(draws, y, network, np.zeros(P * M)), min_ess=0.0).action
        return action.value - action.loop, action

    _, action = at(0.0)
    shift = N / 2 * action.G @ action.T
    second = loop_weights_several(action.neuron, shift).second
    norm = N * np.einsum("n,ncc->", action.neuron.weights, second)
    g = NETWORK.g
    assert norm == pytest.approx(M * g + 2 * g / N * derivative(lambda t: at(t)[0], step=1e-3), rel=1e-7)
