import numpy as np
import pytest

from msat.activations import get_activation
from msat.geometry import RowSpace
from msat.network import Network
from msat.theory.sampled.anneal import _resampled
from msat.theory.sampled.draws import Draws, tilt
from msat.theory.sampled.population import BLOCKS, calibrate, collect, field, from_prior, move, stein_scores
from msat.theory.sampled.problem import Effort
from tests.theory.references import problem_of, quadrature_neuron, tree_level

SPACE = RowSpace(
    train=np.array([[1.2, 0.3], [-0.4, 0.9], [0.5, -1.1]]), test=np.empty((0, 2)), test_residual_sd=np.empty(0)
)
Y = np.array([1.0, -0.8, 0.5])


def test_from_prior_has_exact_moments():
    positions = from_prior(problem_of(SPACE, Y, "erf", seed=1), 64).neurons.positions
    np.testing.assert_allclose(positions.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(positions.T @ positions / 64, np.eye(2), atol=1e-13)


@pytest.mark.parametrize("name", ["linear", "erf", "tanh"])
def test_scores_average_to_zero_under_the_tilted_measure(name):
    """By quadrature: no statistical error."""
    problem, network = problem_of(SPACE, Y, name), Network(width=10, activation=name, g_w=1.0)
    positions, log_base = quadrature_neuron(80)
    features = problem.activation.phi(positions @ SPACE.train.T)
    ft = np.array([1.0, -0.6, 0.8])
    weights = tilt(Draws(features, log_base), ft, network).weights
    scores = stein_scores(problem, network, positions, features, ft)
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
    problem = problem_of(SPACE, Y, name, Effort(spacing=3), seed=4)
    network = Network(width=20, activation=name, g_w=1.0, kappa_0=0.2, chi=5.0)
    positions, log_base = quadrature_neuron(120)
    features = problem.activation.phi(positions @ SPACE.train.T)
    exact = tree_level(Draws(features, log_base), Y, network).action.ft

    population = from_prior(problem, 4096)
    for _ in range(10):
        population, _ = move(problem, network, population, 3)
    population, snapshots = collect(problem, network, population, 10)
    # Stein's identity and the tree equation per block, at the exact field
    u = snapshots.features @ exact
    per_draw = network.width * network.tau * u[:, None] * snapshots.features
    means = np.array([per_draw[snapshots.block == b].mean(axis=0) for b in range(BLOCKS)])
    error = means.std(axis=0, ddof=1) / np.sqrt(BLOCKS)
    expected = Y - network.kappa * exact
    # a finite population answers with its own field; the response is (kappa + W'') / kappa at most 1
    assert np.all(np.abs(means.mean(axis=0) - expected) < 6 * error + 2e-3 * np.abs(Y))
    mean_output = Y - network.kappa * snapshots.conjugates.mean(axis=0)
    np.testing.assert_allclose(mean_output, expected, atol=0.01)


def test_resampling_keeps_the_weighted_mean_and_the_blocks():
    """Systematic resampling: a neuron of weight w appears n w times, rounded up or down."""
    problem = problem_of(SPACE, Y, "erf", seed=5)
    population = from_prior(problem, 16 * BLOCKS)
    weights = problem.rng.random(population.size) ** 2
    resampled = _resampled(population, weights / weights.sum(), problem.rng).neurons
    for block in range(BLOCKS):
        rows = slice(16 * block, 16 * (block + 1))
        expected = 16 * weights[rows] / weights[rows].sum()
        equal = population.neurons.positions[rows, None] == resampled.positions[None, rows]
        counts = equal.all(axis=2).sum(axis=1)
        assert counts.sum() == 16
        assert np.all(np.abs(counts - expected) < 1)
    np.testing.assert_allclose(resampled.features, get_activation("erf").phi(resampled.pre_activations))


def test_half_a_population_keeps_its_blocks():
    population = from_prior(problem_of(SPACE, Y, "erf", seed=6), 6 * BLOCKS)
    half = population.half()
    assert half.size == 3 * BLOCKS
    np.testing.assert_array_equal(half.neurons.positions, population.neurons.positions[::2])


def test_same_generator_gives_the_same_numbers():
    network = Network(width=10, activation="erf", g_w=1.0)
    runs = []
    for _ in range(2):
        problem = problem_of(SPACE, Y, "erf", seed=7)
        runs.append(move(problem, network, from_prior(problem, 64), 4))
    (population, fields), (other, other_fields) = runs
    np.testing.assert_array_equal(population.neurons.positions, other.neurons.positions)
    np.testing.assert_array_equal(fields, other_fields)
    features = problem.activation.phi(population.neurons.positions @ SPACE.train.T)
    np.testing.assert_allclose(population.neurons.features, features, atol=1e-13)
