"""The closed form against the formulas of docs/theory.md; its derivatives: tests/theory/test_action.py."""

import numpy as np
import pytest

from msat.geometry import decompose
from msat.theory.linear.action import linear_action
from msat.theory.linear.ladder import saddle


@pytest.fixture(scope="module")
def setting(small_task, small_network):
    ft = 0.3 * np.random.default_rng(2).normal(size=6)
    return decompose(small_task, small_network).spectrum, small_network, ft


def test_value_is_the_formula_of_the_theory(setting):
    spectrum, network, ft = setting
    action = linear_action(spectrum, network, ft)
    C = np.diag(spectrum.lam)
    N, g, kappa = network.width, network.g, network.kappa
    W = -(N / 2) * np.log(1 - (g / N) * ft @ C @ ft)
    np.testing.assert_allclose(action.value, -ft @ spectrum.y + kappa / 2 * ft @ ft + W, rtol=1e-13)
    np.testing.assert_allclose(action.loop, np.linalg.slogdet(action.curvature.dense())[1] / 2, rtol=1e-12)
    np.testing.assert_allclose(action.G @ (action.curvature @ ft), ft, rtol=1e-11)


def test_outside_the_domain_there_is_no_action(setting):
    spectrum, network, ft = setting
    assert linear_action(spectrum, network, 1e3 * ft) is None


@pytest.mark.parametrize("guess", [1.0, 1e4])
def test_the_saddle_is_stationary_whatever_the_guess(setting, guess):
    spectrum, network, _ = setting
    found = saddle(spectrum, network, guess)
    assert found.converged
    np.testing.assert_allclose(found.action.gradient, 0, atol=1e-10)
    np.testing.assert_allclose(found.action.ft, saddle(spectrum, network).action.ft, rtol=1e-10)
