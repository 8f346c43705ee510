"""Derivatives of S and of the loop term against central finite differences."""

import numpy as np
import pytest

from msat.theory.linear.action import linear_action
from msat.theory.linear.spectrum import diagonalise

STEP = 1e-5
TOLERANCE = 1e-7  # of the largest entry: central differences with this step in float64


@pytest.fixture(scope="module")
def setting(small_task, small_network):
    spectrum = diagonalise(small_task.x_train, small_task.y_train, small_task.x_test, small_network.g_v)
    ft = 0.3 * np.random.default_rng(2).normal(size=6)
    assert linear_action(spectrum, small_network, ft) is not None
    return spectrum, small_network, ft


def _directional(function, ft, direction):
    return (function(ft + STEP * direction) - function(ft - STEP * direction)) / (2 * STEP)


def _close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE * max(1.0, np.abs(expected).max()))


def test_value_and_gradients(setting):
    spectrum, network, ft = setting
    action = linear_action(spectrum, network, ft)

    def at(x):
        return linear_action(spectrum, network, x)

    for direction in np.eye(6):
        _close(action.gradient @ direction, _directional(lambda x: at(x).value, ft, direction))
        _close(action.loop_gradient @ direction, _directional(lambda x: at(x).loop, ft, direction))
        _close(action.curvature @ direction, _directional(lambda x: at(x).gradient, ft, direction))
        _close(action.loop_hessian @ direction, _directional(lambda x: at(x).loop_gradient, ft, direction))
        _close(
            action.third_derivative(direction).dense(),
            _directional(lambda x: at(x).curvature.dense(), ft, direction),
        )


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
