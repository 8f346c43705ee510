import numpy as np
import pytest

from msat.network import Network
from msat.theory.sampled.action import on_draws
from msat.theory.sampled.draws import Draws
from tests.theory.references import tree_level

NETWORK = Network(width=30, activation="erf", g_w=2.0, g_v=1.0, kappa_0=0.7, chi=3.0)


@pytest.fixture
def problem():
    rng = np.random.default_rng(3)
    draws = Draws(np.tanh(rng.normal(size=(500, 4))), 0.3 * rng.normal(size=500))
    return draws, rng.normal(size=4), rng.normal(size=4)


def test_gradient_and_curvature_against_finite_differences(problem):
    draws, y, ft = problem

    action = on_draws(draws, y, NETWORK, ft)
    around = [(action.at(ft + e), action.at(ft - e)) for e in 1e-5 * np.eye(4)]
    np.testing.assert_allclose(action.gradient, [(up.value - down.value) / 2e-5 for up, down in around], atol=1e-8)
    numeric = np.array([(up.gradient - down.gradient) / 2e-5 for up, down in around])
    np.testing.assert_allclose(action.curvature, numeric, atol=1e-8)


def test_any_start_gives_the_same_minimum(problem):
    draws, y, _ = problem
    rng = np.random.default_rng(0)
    solutions = [tree_level(draws, y, NETWORK, start) for start in (np.zeros(4), 5 * rng.normal(size=4), -20 * y)]
    for solution in solutions:
        assert solution.converged
        assert solution.residual < 1e-10
        assert np.linalg.eigvalsh(solution.action.neuron.W2)[0] > 0
        np.testing.assert_allclose(solution.action.ft, solutions[0].action.ft, rtol=1e-8)
        np.testing.assert_allclose(solution.action.value, solutions[0].action.value, rtol=1e-12)


def test_effective_sample_size_is_watched():
    rng = np.random.default_rng(1)
    network = Network(width=20, activation="relu", g_w=1.0, kappa_0=0.01, chi=20.0)
    draws = Draws(np.maximum(2 * rng.normal(size=(300, 3)), 0), np.zeros(300))
    y = np.array([3.0, -2.0, 2.0])
    free = tree_level(draws, y, network)
    assert free.converged
    assert free.action.neuron.ess_fraction < 0.3
    held = tree_level(draws, y, network, min_ess=0.6)
    assert not held.converged
    assert held.action.neuron.ess_fraction >= 0.6


def test_a_constant_in_the_base_only_shifts_the_action(problem):
    draws, y, _ = problem
    shifted = Draws(draws.features, draws.log_base + 2.5)
    a, b = (tree_level(d, y, NETWORK).action for d in (draws, shifted))
    np.testing.assert_allclose(a.ft, b.ft, rtol=1e-12)
    assert b.value - a.value == pytest.approx(2.5 * NETWORK.width)
