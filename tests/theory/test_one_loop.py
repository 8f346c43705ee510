"""Where the self-consistent level has a root, and where it is refused."""

import numpy as np
import pytest

from msat.geometry import decompose
from msat.network import Network
from msat.theory import one_loop
from msat.theory.linear.action import LinearAction
from msat.theory.linear.ladder import saddle
from tests.theory.references import solved


def _network(width):
    return Network(width=width, g_w=0.5, g_v=0.5)


@pytest.fixture(scope="module")
def spectrum(paper_task):
    return decompose(paper_task, _network(1)).spectrum


@pytest.mark.parametrize(("width", "reached"), [(20, 0.38), (40, 0.97)])
def test_a_root_that_folds_is_refused(paper_task, width, reached):
    x, y, x_test = paper_task.x_train, paper_task.y_train, paper_task.x_test
    prediction = solved(x, y, x_test, _network(width), [1.0], ["one_loop"])["one_loop", 1.0]
    assert not prediction.converged
    assert prediction.loop_strength == pytest.approx(reached, abs=0.1)  # differs over data draws
    assert f"ends at loop strength {prediction.loop_strength:.2f}" in prediction.note
    for name in ("mean_train", "mean_test", "covariance_train", "hidden_kernel", "log_evidence", "readout_norm"):
        assert np.isnan(getattr(prediction, name)).all(), name


def _softest(solution):
    """The lowest eigenvalue of the curvature of S - F at the root, relative to S''."""
    root = solution.expansion.action.curvature.dense()
    factor = np.linalg.inv(np.linalg.cholesky(root))
    return np.linalg.eigvalsh(factor @ solution.jacobian.dense() @ factor.T)[0]


def test_a_margin_of_noise_refuses_roots_that_are_softer(spectrum, monkeypatch):
    """One rule, J - margin S'' > 0: with the margin of draws the closed form gives up before its fold."""
    tree = saddle(spectrum, _network(43))
    exact = one_loop.solve(tree)
    assert exact.converged
    softest = _softest(exact)
    assert 0 < softest < 0.3  # near the fold: N = 40 has one
    for margin, accepted in ((0.9 * softest, True), (1.1 * softest, False)):
        monkeypatch.setattr(LinearAction, "noise_margin", margin)
        solution = one_loop.solve(tree)
        assert solution.converged is accepted
        assert (solution.expansion is not None) is accepted
        if accepted:
            np.testing.assert_allclose(solution.expansion.field, exact.expansion.field, rtol=1e-8)
        else:
            assert 0.9 < solution.loop_strength < 1
            assert "about to lose its sign" in solution.note
    monkeypatch.setattr(LinearAction, "noise_margin", 0.1)
    early = one_loop.solve(saddle(spectrum, _network(20)))
    assert early.loop_strength < 0.38


def test_a_root_is_stationary_and_far_from_a_fold_where_the_network_is_wide(spectrum):
    network = _network(100)
    solution = one_loop.solve(saddle(spectrum, network))
    action = solution.expansion.action
    np.testing.assert_allclose(action.gradient, network.width / 2 * action.T, atol=1e-10)
    assert solution.residual < 1e-12
    assert solution.loop_strength == 1
    assert _softest(solution) > 0.1


def test_there_is_none_where_second_derivatives_cannot_be_formed(spectrum, monkeypatch):
    monkeypatch.setattr(LinearAction, "has_second_derivative", False)
    solution = one_loop.solve(saddle(spectrum, _network(100)))
    assert solution.expansion is None
    assert not solution.converged
    assert "not implemented for 80 training samples" in solution.note
