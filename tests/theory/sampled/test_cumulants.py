"""Cumulants and eq. (5) against derivatives of the log evidence on the same draws."""

from dataclasses import replace

import numpy as np
import pytest

from msat.network import Network
from msat.theory.sampled.cumulants import loop_matrix, loop_vector, loop_weights, third_cumulant
from msat.theory.sampled.draws import Draws, tilt
from tests.theory.references import brute_log_evidence, tree_level

NETWORK = Network(width=12, activation="erf", g_w=3.0, kappa_0=0.5, chi=2.0)
N, KAPPA, TAU = NETWORK.width, NETWORK.kappa, NETWORK.tau


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(5)
    features = np.tanh(1.5 * rng.normal(size=(400, 4)) @ rng.normal(size=(4, 4)) / 2)
    draws = Draws(features[:, :3], 0.2 * rng.normal(size=400))
    y = np.array([1.0, -0.7, 0.4])
    ft = tree_level(draws, y, NETWORK).action.ft
    neuron = tilt(draws, ft, NETWORK)
    shift = N / 2 * neuron.G @ loop_vector(neuron)
    return draws, features[:, 3], y, ft, neuron, shift, loop_weights(neuron, shift)


def test_loop_vector_is_the_gradient_of_the_log_determinant(case):
    draws, _, _, ft, neuron, _, _ = case

    def log_det(ft):
        return np.linalg.slogdet(tilt(draws, ft, NETWORK).W2 + KAPPA * np.eye(3))[1]

    numeric = [(log_det(ft + e) - log_det(ft - e)) / 2e-5 for e in 1e-5 * np.eye(3)]
    np.testing.assert_allclose(N * loop_vector(neuron), numeric, atol=1e-7)


def test_third_cumulant_is_the_derivative_of_the_curvature(case):
    draws, ft, neuron = case[0], case[3], case[4]
    third = third_cumulant(neuron)
    for a, e in enumerate(1e-5 * np.eye(3)):
        up, down = (tilt(draws, ft + s * e, NETWORK).W2 for s in (1, -1))
        np.testing.assert_allclose(N * third[a], (up - down) / 2e-5, atol=1e-7)
    np.testing.assert_allclose(np.einsum("abc,bc->a", third, neuron.G), loop_vector(neuron), rtol=1e-10)


def test_loop_matrix_is_the_derivative_of_the_loop_vector(case):
    draws, ft, neuron = case[0], case[3], case[4]
    matrix = loop_matrix(neuron, third_cumulant(neuron), monte_carlo=False)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-14)
    for a, e in enumerate(1e-5 * np.eye(3)):
        up, down = (loop_vector(tilt(draws, ft + s * e, NETWORK)) for s in (1, -1))
        np.testing.assert_allclose(matrix[a], (up - down) / 2e-5, atol=1e-7)


def test_mean_field_shift_is_the_derivative_by_the_labels(case):
    """Eq. (2): y - kappa (ft* + delta) = y + kappa d ln p / dy."""
    draws, _, y, ft, _, shift, _ = case
    for a, e in enumerate(1e-5 * np.eye(3)):
        up, down = (brute_log_evidence(draws.features, draws.log_base, y + s * e, NETWORK)[0] for s in (1, -1))
        np.testing.assert_allclose(-(ft + shift)[a], (up - down) / 2e-5, atol=1e-7)


def test_hidden_observable_is_the_derivative_by_its_source(case):
    """Eq. (5) for o(h): a source eps o / N in the exponent of every neuron."""
    draws, _, y, _, neuron, _, weights = case
    o = draws.features[:, 0] * draws.features[:, 2]
    up, down = (brute_log_evidence(draws.features, draws.log_base + s * 1e-4 * o / N, y, NETWORK)[0] for s in (1, -1))
    assert np.sum(neuron.weights * weights.zeroth * o) == pytest.approx((up - down) / 2e-4, abs=1e-8)
    plain = np.sum(neuron.weights * o)
    assert abs(plain - (up - down) / 2e-4) > 1e-4  # the loop is visible in this case


def test_test_output_is_the_derivative_by_a_further_field(case):
    """Eq. (5) for o = N z_*: a conjugate field eps on the test point."""
    draws, test_feature, y, _, neuron, _, weights = case
    up, down = (
        brute_log_evidence(draws.features, draws.log_base, y, NETWORK, tilt_by=s * 1e-4 * test_feature)[0]
        for s in (1, -1)
    )
    ours = N * np.sum(neuron.weights * weights.first * test_feature)
    assert ours == pytest.approx((up - down) / 2e-4, abs=1e-7)


def test_training_output_agrees_with_the_test_output_formula(case):
    draws, _, y, ft, neuron, shift, weights = case
    as_test = N * (neuron.weights * weights.first) @ draws.features
    np.testing.assert_allclose(as_test, y - KAPPA * (ft + shift), atol=1e-10)


def test_readout_norm_is_the_derivative_by_its_source(case):
    """Eq. (5) for o = N w^2: a source eps w^2 changes the prior of w to variance tau/(1 - 2 eps tau)."""
    draws, _, y, _, neuron, _, weights = case
    values = []
    for eps in (1e-4, -1e-4):
        shrink = 1 - 2 * eps * TAU
        value, _ = brute_log_evidence(draws.features, draws.log_base, y, NETWORK, tau=TAU / shrink)
        values.append(value - N / 2 * np.log(shrink))
    ours = N * np.sum(neuron.weights * weights.second)
    assert ours == pytest.approx((values[0] - values[1]) / 2e-4, abs=1e-7)


def test_weights_are_normalised(case):
    neuron, weights = case[4], case[6]
    assert np.sum(neuron.weights * weights.zeroth) == pytest.approx(1, abs=1e-12)


def test_loop_matrix_of_random_draws_is_unbiased():
    """Averaged over many small samples it agrees with a large one; with equal pairs kept it does not.

    The mean of 400 samples of 250 draws against 200000 draws; threshold 5 standard errors: false-alarm rate
    below 1e-5.
    """
    rng = np.random.default_rng(8)
    ft = np.array([1.0, -0.5, 0.8])
    mixing = rng.normal(size=(3, 3))

    def sampled(n, reference=None):
        features = np.tanh(rng.normal(size=(n, 3)) @ mixing)
        neuron = tilt(Draws(features, np.zeros(n)), ft, NETWORK)
        if reference is not None:  # isolates the term quadratic in the noise
            neuron = replace(neuron, whole=reference)
            vars(neuron)["mean"] = reference.mean
        third = third_cumulant(neuron)
        return neuron, [loop_matrix(neuron, third, monte_carlo) for monte_carlo in (True, False)]

    reference, (expected, same) = sampled(200_000)
    np.testing.assert_allclose(expected, same, atol=2e-3 * np.abs(same).max())
    small = np.array([sampled(250, reference)[1] for _ in range(400)])
    deviation = np.trace(small - expected, axis1=2, axis2=3)
    score = deviation.mean(axis=0) / (deviation.std(axis=0) / 20)
    assert abs(score[0]) < 5
    assert score[1] < -5
