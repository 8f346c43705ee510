import numpy as np
import pytest

from msat.network import Network
from msat.theory.sampled.draws import Draws, action, curvature, gradient, solve_tree, tilt

NETWORK = Network(width=30, activation="erf", g_w=2.0, g_v=1.0, kappa_0=0.7, chi=3.0)


@pytest.fixture
def problem():
    rng = np.random.default_rng(3)
    draws = Draws(np.tanh(rng.normal(size=(500, 4))), 0.3 * rng.normal(size=500))
    return draws, rng.normal(size=4), rng.normal(size=4)


def test_gradient_and_curvature_against_finite_differences(problem):
    draws, y, ft = problem

    def value(ft):
        return action(draws, tilt(draws, ft, NETWORK.tau), ft, y, NETWORK)

    def slope(ft):
        return gradient(draws, tilt(draws, ft, NETWORK.tau), ft, y, NETWORK)

    step = 1e-5 * np.eye(4)
    numeric = [(value(ft + e) - value(ft - e)) / 2e-5 for e in step]
    np.testing.assert_allclose(slope(ft), numeric, atol=1e-8)
    numeric = np.array([(slope(ft + e) - slope(ft - e)) / 2e-5 for e in step])
    at = tilt(draws, ft, NETWORK.tau)
    np.testing.assert_allclose(curvature(draws, at, NETWORK) + NETWORK.kappa * np.eye(4), numeric, atol=1e-8)


def test_any_start_gives_the_same_minimum(problem):
    draws, y, _ = problem
    rng = np.random.default_rng(0)
    solutions = [
        solve_tree(draws, y, NETWORK, start, min_ess=0.0) for start in (np.zeros(4), 5 * rng.normal(size=4), -20 * y)
    ]
    for solution in solutions:
        assert solution.converged
        assert solution.residual < 1e-10
        assert np.linalg.eigvalsh(solution.curvature)[0] > 0
        np.testing.assert_allclose(solution.conjugate, solutions[0].conjugate, rtol=1e-8)
        np.testing.assert_allclose(solution.action, solutions[0].action, rtol=1e-12)


def test_effective_sample_size_is_watched():
    rng = np.random.default_rng(1)
    network = Network(width=20, activation="relu", g_w=1.0, kappa_0=0.01, chi=20.0)
    draws = Draws(np.maximum(2 * rng.normal(size=(300, 3)), 0), np.zeros(300))
    y = np.array([3.0, -2.0, 2.0])
    free = solve_tree(draws, y, network, np.zeros(3), min_ess=0.0)
    assert free.converged
    assert free.tilt.ess_fraction < 0.3
    held = solve_tree(draws, y, network, np.zeros(3), min_ess=0.6)
    assert not held.converged
    assert held.tilt.ess_fraction >= 0.6


def test_a_constant_in_the_base_only_shifts_the_action(problem):
    draws, y, _ = problem
    shifted = Draws(draws.features, draws.log_base + 2.5)
    a, b = (solve_tree(d, y, NETWORK, np.zeros(4), 0.0) for d in (draws, shifted))
    np.testing.assert_allclose(a.conjugate, b.conjugate, rtol=1e-12)
    assert b.action - a.action == pytest.approx(2.5 * NETWORK.width)
