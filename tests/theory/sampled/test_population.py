import numpy as np
import pytest

from msat.activations import get_activation
from msat.geometry import RowSpace
from msat.network import Network
from msat.theory.sampled.anneal import _resampled
from msat.theory.sampled.draws import Draws, solve_tree, tilt
from msat.theory.sampled.population import BLOCKS, calibrate, collect, field, move, prior_population, stein_scores
from tests.theory.references import quadrature_neuron

SPACE = RowSpace(
    train=np.array([[1.2, 0.3], [-0.4, 0.9], [0.5, -1.1]]), test=np.empty((0, 2)), test_residual_sd=np.empty(0)
)
Y = np.array([1.0, -0.8, 0.5])


def test_prior_population_has_exact_moments():
    population = prior_population(SPACE, get_activation("erf"), 64, np.random.default_rng(1))
    np.testing.assert_allclose(population.positions.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(population.positions.T @ population.positions / 64, np.eye(2), atol=1e-13)


@pytest.mark.parametrize("name", ["linear", "erf", "tanh"])
def test_scores_average_to_zero_under_the_tilted_measure(name):
    """By quadrature: no statistical error."""
    activation, tau = get_activation(name), 0.1
    positions, log_base = quadrature_neuron(80)
    features = activation.phi(positions @ SPACE.train.T)
    ft = np.array([1.0, -0.6, 0.8])
    weights = tilt(Draws(features, log_base), ft, tau).weights
    scores = stein_scores(positions, features, ft, SPACE, tau, activation)
    np.testing.assert_allclose(weights @ scores, 0, atol=1e-7)


def test_calibration_balances_the_scores():
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(2000, 5)) + 0.05
    log_weights = calibrate(scores)
    weights = np.exp(log_weights)
    np.testing.assert_allclose(weights @ scores / weights.sum(), 0, atol=1e-9)
    # least change: a linear function of the scores
    fit = np.linalg.lstsq(scores, log_weights, rcond=None)[0]
    np.testing.assert_allclose(scores @ fit, log_weights, atol=1e-12)


def test_field_solves_the_population_equation():
    rng = np.random.default_rng(3)
    network = Network(width=10, g_w=2.0, kappa_0=0.3)
    features = rng.normal(size=(50, 3))
    ft = field(features, Y, network)
    H = features.T @ features / 50
    np.testing.assert_allclose(network.kappa * ft + network.g * H @ ft, Y, atol=1e-13)


@pytest.mark.parametrize("name", ["linear", "erf", "relu"])
def test_population_samples_the_tree_level(name):
    """Against quadrature over the two whitened coordinates.

    Compared are three outputs with an allowance of 6 standard errors from 16 blocks (t with 15 degrees of
    freedom) plus 0.2 % for the population's finite size: false-alarm rate below 3 x 3e-5.
    """
    activation = get_activation(name)
    network = Network(width=20, activation=name, g_w=1.0, kappa_0=0.2, chi=5.0)
    positions, log_base = quadrature_neuron(120)
    features = activation.phi(positions @ SPACE.train.T)
    exact = solve_tree(Draws(features, log_base), Y, network, np.zeros(3), min_ess=0.0)

    rng = np.random.default_rng(4)
    population = prior_population(SPACE, activation, 4096, rng)
    for _ in range(10):
        population, _ = move(population, SPACE, Y, network, activation, 3, rng)
    population, snapshots = collect(population, SPACE, Y, network, activation, 10, 3, rng)
    # Stein's identity and the tree equation per block, at the exact field
    u = snapshots.features @ exact.conjugate
    per_draw = network.width * network.tau * u[:, None] * snapshots.features
    means = np.array([per_draw[snapshots.block == b].mean(axis=0) for b in range(BLOCKS)])
    error = means.std(axis=0, ddof=1) / np.sqrt(BLOCKS)
    expected = Y - network.kappa * exact.conjugate
    # a finite population answers with its own field; the response is (kappa + W'') / kappa at most 1
    assert np.all(np.abs(means.mean(axis=0) - expected) < 6 * error + 2e-3 * np.abs(Y))
    mean_output = Y - network.kappa * snapshots.conjugates.mean(axis=0)
    np.testing.assert_allclose(mean_output, expected, atol=0.01)


def test_resampling_keeps_the_weighted_mean_and_the_blocks():
    """Systematic resampling: a neuron of weight w appears n w times, rounded up or down."""
    rng = np.random.default_rng(5)
    population = prior_population(SPACE, get_activation("erf"), 16 * BLOCKS, rng)
    weights = rng.random(population.size) ** 2
    resampled = _resampled(population, weights / weights.sum(), rng)
    for block in range(BLOCKS):
        rows = slice(16 * block, 16 * (block + 1))
        expected = 16 * weights[rows] / weights[rows].sum()
        equal = population.positions[rows, None] == resampled.positions[None, rows]
        counts = equal.all(axis=2).sum(axis=1)
        assert counts.sum() == 16
        assert np.all(np.abs(counts - expected) < 1)
    np.testing.assert_allclose(resampled.features, get_activation("erf").phi(resampled.pre_activations))


def test_half_a_population_keeps_its_blocks():
    population = prior_population(SPACE, get_activation("erf"), 6 * BLOCKS, np.random.default_rng(6))
    half = population.half()
    assert half.size == 3 * BLOCKS
    np.testing.assert_array_equal(half.positions, population.positions[::2])


def test_same_generator_gives_the_same_numbers():
    activation, network = get_activation("erf"), Network(width=10, activation="erf", g_w=1.0)
    runs = []
    for _ in range(2):
        rng = np.random.default_rng(7)
        population = prior_population(SPACE, activation, 64, rng)
        runs.append(move(population, SPACE, Y, network, activation, 4, rng))
    np.testing.assert_array_equal(runs[0][0].positions, runs[1][0].positions)
    np.testing.assert_array_equal(runs[0][1], runs[1][1])
    features = activation.phi(runs[0][0].positions @ SPACE.train.T)
    np.testing.assert_allclose(runs[0][0].features, features, atol=1e-13)
