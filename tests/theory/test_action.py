"""One protocol, two actions: the same checks on the closed form and on draws, and one against the other."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from msat.geometry import Geometry, RowSpace, decompose
from msat.network import Network
from msat.theory.action import joined, relative
from msat.theory.anneal import anneal
from msat.theory.linear.action import LinearAction, linear_action
from msat.theory.matrices import LowRank, congruence, inverse, positive_definite, solve
from msat.theory.sampled.action import SampledAction
from tests.theory.references import on_quadrature, quadrature_sample

STEP = 1e-5
TOLERANCE = 1e-7  # of the largest entry: central differences with this step in float64
SPACE = RowSpace(np.array([[1.3, 0.2], [-0.5, 1.0], [0.4, 0.8]]), np.empty((0, 2)), np.empty(0))


def dense(matrix):
    return matrix.dense() if isinstance(matrix, LowRank) else matrix


@pytest.fixture(scope="module", params=["linear", "sampled_linear", "sampled_erf", "sampled_relu"])
def action(request, small_task, small_network):
    """An action away from its saddle, where nothing vanishes."""
    rng = np.random.default_rng(2)
    if request.param == "linear":
        spectrum = decompose(small_task, small_network).spectrum
        return linear_action(spectrum, small_network, 0.3 * rng.normal(size=6))
    name = request.param.removeprefix("sampled_")
    network = Network(width=7, activation=name, g_w=1.3, g_v=0.8, kappa_0=0.4, chi=2.0)
    saddle = quadrature_sample(network, SPACE, np.array([1.0, -0.7, 0.4])).saddle
    return saddle.action.at(saddle.action.ft + 0.2 * rng.normal(size=3))


@pytest.fixture(scope="module")
def differences(action):
    """Central differences along every coordinate of all that has a derivative in the protocol, (P, ...)."""
    names = ("value", "gradient", "curvature", "loop", "T")
    found = {name: [] for name in names}
    for step in STEP * np.eye(len(action.ft)):
        up, down = action.at(action.ft + step), action.at(action.ft - step)
        for name in names:
            found[name].append((dense(getattr(up, name)) - dense(getattr(down, name))) / (2 * STEP))
    return SimpleNamespace(**{name: np.array(values) for name, values in found.items()})


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE * max(1.0, np.abs(expected).max()))


def test_each_derivative_is_that_of_the_one_before(action, differences):
    N = action.network.width
    close(action.gradient, differences.value)
    close(dense(action.curvature), differences.gradient)
    close(N / 2 * action.T, differences.loop)
    assert action.has_second_derivative
    close(dense(action.dT), differences.T)
    for p in (*np.eye(len(action.ft)), np.arange(1.0, 1 + len(action.ft))):
        close(N * dense(action.third_cumulant(p)), np.tensordot(p, differences.curvature, 1))


def test_third_cumulant_is_symmetric_and_contracts_to_T(action):
    p, q = np.random.default_rng(3).normal(size=(2, len(action.ft)))
    np.testing.assert_allclose(action.third_cumulant(p) @ q, action.third_cumulant(q) @ p, atol=1e-12)
    # F' = (1/2) tr(G W''') = (N/2) kappa_3[z; z.Gz]
    contracted = [np.sum(dense(action.G) * dense(action.third_cumulant(e))) for e in np.eye(len(q))]
    np.testing.assert_allclose(action.T, contracted, atol=1e-12 * max(1.0, np.abs(action.T).max()))


def test_propagator_and_loop_follow_from_the_curvature(action):
    curvature = dense(action.curvature)
    np.testing.assert_allclose(dense(action.G), np.linalg.inv(curvature), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(action.loop, 0.5 * np.linalg.slogdet(curvature)[1], rtol=1e-12)
    np.testing.assert_array_equal(dense(action.identity), np.eye(len(action.ft)))


def test_an_action_goes_to_another_field_and_back_or_out_of_its_domain(action):
    again = action.at(action.ft + 0.1).at(action.ft)
    for name in ("value", "gradient", "loop", "T"):
        np.testing.assert_allclose(getattr(again, name), getattr(action, name), rtol=1e-10, atol=1e-12)
    if isinstance(action, SampledAction):  # the draws say where their domain ends
        action = replace(action, min_ess=0.5 * action.neuron.ess_fraction)
    assert action.at(1e3 * action.ft) is None


def test_thinning_and_tolerances(action):
    """A stride of one draw here; a protocol's tolerances are in the order in which they are used."""
    np.testing.assert_allclose(action.thinned().T, action.T, rtol=1e-12)
    np.testing.assert_allclose(dense(action.thinned().dT), dense(action.dT), atol=1e-12)
    assert 0 < action.root_tolerance <= action.path_tolerance < 1
    assert 0 < action.smallest_step < 0.5
    assert isinstance(action.loop_note, str)


def test_a_corrected_curvature_maps_the_step_to_the_change_of_slope(action):
    """Newton's by its definition to first order in the step, Broyden's exactly: the secant equation."""
    N, strength, stiff = action.network.width, 0.7, 1e6

    def slope(at):
        return at.gradient - 0.5 * strength * N * at.T

    step = -slope(action) / stiff
    there = action.at(action.ft + step)
    corrected = there.corrected(stiff * action.identity, step, slope(there), strength)
    change = slope(there) - slope(action)
    np.testing.assert_allclose(corrected @ step, change, atol=1e-4 * np.abs(change).max())


def test_algebra_of_matrices_is_the_same_for_both_kinds(action):
    M, G, X = action.curvature, action.G, action.dT
    v = np.random.default_rng(4).normal(size=len(action.ft))
    np.testing.assert_allclose(solve(M, v), np.linalg.solve(dense(M), v), rtol=1e-9)
    np.testing.assert_allclose(solve(M, v, definite=True), solve(M, v), rtol=1e-9)
    np.testing.assert_allclose(dense(inverse(M)), dense(G), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(dense(congruence(G, X)), dense(G) @ dense(X) @ dense(G), atol=1e-10)
    assert positive_definite(M)
    assert not positive_definite(M - 1e3 * action.identity)
    assert relative(action, 2 * action.y) == pytest.approx(2)


def test_notes_are_joined_without_the_empty_ones():
    assert joined("", "one", "", "two") == "one; two"


LEVELS = ["tree_level", "laplace", "one_loop"]


@pytest.fixture(scope="module")
def two_ways():
    """Levels in closed form and by quadrature; two samples in three dimensions, so that tests have residuals.

    60 nodes a coordinate: below 2048 x 2 draws, so that nothing is thinned.
    """
    x = np.array([[1.3, 0.2, -0.4], [-0.5, 1.0, 0.3]])
    y, x_test = np.array([1.0, -0.6]), np.array([[0.7, -0.2, 0.5], [1.3, 0.2, -0.4], [0.1, 0.1, 1.2]])
    network = Network(width=20, activation="linear", g_w=1.5, g_v=2.4, kappa_0=0.3, chi=2.0)
    geometry = Geometry(x, y, x_test, np.zeros(3), network.g_v, "linear")
    closed = {name: prediction for _, name, prediction in anneal(geometry, network, [network.chi], LEVELS)}
    sample = quadrature_sample(network, geometry.row_space, y, 60)
    assert isinstance(sample.saddle.action, SampledAction)
    return geometry, closed, on_quadrature(sample, geometry.row_space, *LEVELS)


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_one_module_for_both_actions(two_ways, level):
    geometry, closed, drawn = two_ways
    closed, drawn = closed[level], drawn[level]
    assert closed.converged
    assert drawn.converged
    for name in ("mean_train", "mean_test", "covariance_train", "hidden_kernel", "readout_norm", "loop_strength"):
        np.testing.assert_allclose(getattr(drawn, name), getattr(closed, name), rtol=0, atol=1e-8, err_msg=name)
    for name in ("action", "log_evidence"):
        np.testing.assert_allclose(getattr(drawn, name), getattr(closed, name), rtol=0, atol=1e-8, err_msg=name)
    np.testing.assert_allclose(drawn.variance_test, closed.variance_test, atol=1e-7)  # a ridge of 1e-8
    u = geometry.direction
    assert drawn.first_layer(u) == pytest.approx(closed.first_layer(u), abs=1e-8)


def test_the_margins_of_noise():
    assert LinearAction.noise_margin == 0
    assert SampledAction.noise_margin == pytest.approx(0.1)
