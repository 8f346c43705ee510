"""Levels against each other, in limits, and on the paper's setting."""

import numpy as np
import pytest

from msat.errors import InputError
from msat.geometry import decompose
from msat.levels import NAMES
from msat.network import Network
from msat.observables.functions import along_target, discrepancy
from msat.tasks import ising
from msat.theory.anneal import anneal
from tests.theory.references import solved


def _all(task, network, scales, levels=NAMES):
    return solved(task.x_train, task.y_train, task.x_test, network, scales, levels)


@pytest.fixture(scope="module")
def paper(paper_task, paper_network):
    scales = [1.0, 2.15, 4.64, 10.0, 21.5, 46.4, 100.0]
    return paper_task.y_train, scales, _all(paper_task, paper_network, scales)


def _error(y, predictions, chi, level):
    exact = discrepancy(y, predictions["exact", chi].mean_train)
    return discrepancy(y, predictions[level, chi].mean_train) / exact - 1


def test_everything_converges_on_the_papers_setting(paper):
    _, _, predictions = paper
    assert all(p.converged and p.residual < 1e-9 for p in predictions.values())


def test_train_discrepancy_on_the_papers_setting(paper):
    y, scales, predictions = paper
    for chi in scales:
        assert abs(_error(y, predictions, chi, "laplace")) < 0.005
        assert abs(_error(y, predictions, chi, "one_loop")) < 0.02
        assert abs(_error(y, predictions, chi, "rescaling")) < 0.01
    assert abs(_error(y, predictions, 100.0, "tree_level")) < 0.04
    assert 0.04 < -_error(y, predictions, 1.0, "tree_level") < 0.10
    assert 3 < 1 + _error(y, predictions, 100.0, "nngp") < 5


def test_variance_along_the_target_on_the_papers_setting(paper):
    y, scales, predictions = paper
    for chi in scales:
        exact = along_target(y, predictions["exact", chi].covariance_train)
        assert along_target(y, predictions["laplace", chi].covariance_train) == pytest.approx(exact, rel=0.002)
        assert along_target(y, predictions["rescaling", chi].covariance_train) < 0.9 * exact


def test_nngp_mean_does_not_depend_on_the_scale(paper):
    _, _, predictions = paper
    np.testing.assert_allclose(predictions["nngp", 1.0].mean_train, predictions["nngp", 100.0].mean_train, rtol=1e-12)


@pytest.mark.parametrize("level", [name for name in NAMES if name != "nngp"])
def test_infinite_width_at_standard_scaling_is_the_nngp(small_task, level):
    network = Network(width=10**7, g_w=1.3, g_v=0.8, kappa_0=0.4)
    predictions = _all(small_task, network, [1.0], ["nngp", level])
    nngp, other = predictions["nngp", 1.0], predictions[level, 1.0]
    for name in ("mean_train", "mean_test", "covariance_train", "variance_test", "hidden_kernel", "readout_norm"):
        np.testing.assert_allclose(getattr(other, name), getattr(nngp, name), atol=1e-5, err_msg=name)
    if level != "tree_level":
        assert other.log_evidence == pytest.approx(nngp.log_evidence, abs=1e-5)


def test_order_of_the_error_in_the_width(small_task):
    """At fixed P and chi = N, tree_level is off by O(1/N) and laplace by O(1/N^2)."""
    errors = {"tree_level": [], "laplace": []}
    for width in (200, 400):
        network = Network(width=width, g_w=1.3, g_v=0.8, kappa_0=0.4, chi=width)
        predictions = _all(small_task, network, [float(width)], ["tree_level", "laplace", "exact"])
        for level, values in errors.items():
            values.append(_error(small_task.y_train, predictions, float(width), level))
    assert errors["tree_level"][0] / errors["tree_level"][1] == pytest.approx(2, rel=0.05)
    assert errors["laplace"][0] / errors["laplace"][1] == pytest.approx(4, rel=0.05)


def test_predictions_do_not_depend_on_the_order_of_the_scales(small_task, small_network):
    upward = _all(small_task, small_network, [1.0, 3.0, 7.0])
    shuffled = _all(small_task, small_network, [7.0, 1.0, 3.0])
    for key, prediction in upward.items():
        np.testing.assert_allclose(prediction.mean_train, shuffled[key].mean_train, rtol=1e-10)


def test_more_samples_than_dimensions(small_network):
    """A singular input kernel: outputs exist in its range only, on train and test."""
    task = ising(n_train=12, n_test=5, dimension=4, delta_p=0.2, seed=1)
    for (level, _), prediction in _all(task, small_network, [2.0]).items():
        assert prediction.converged, level
        inside = task.x_train @ np.linalg.lstsq(task.x_train, prediction.mean_train, rcond=None)[0]
        np.testing.assert_allclose(inside, prediction.mean_train, atol=1e-10)
        weights = np.linalg.lstsq(task.x_train, prediction.mean_train, rcond=None)[0]
        np.testing.assert_allclose(task.x_test @ weights, prediction.mean_test, atol=1e-10)
        assert np.linalg.eigvalsh(prediction.covariance_train)[0] > -1e-12


def test_a_single_sample_and_no_test_set():
    task = ising(n_train=1, n_test=0, dimension=3, seed=0)
    for prediction in _all(task, Network(width=50, g_w=1.0, g_v=1.0), [1.0]).values():
        assert prediction.converged
        assert prediction.mean_train.shape == (1,)
        assert prediction.mean_test.shape == (0,)


def test_what_is_not_defined_is_refused(small_task):
    with pytest.raises(InputError, match=r"level = 'laplace' with activation = 'quadratic'.*diverges.*one of"):
        _all(small_task, Network(width=10, activation="quadratic"), [1.0], ["nngp", "laplace"])
    predictions = _all(small_task, Network(width=10, activation="quadratic"), [1.0], ["nngp", "rescaling"])
    assert predictions["rescaling", 1.0].converged
    with pytest.raises(InputError, match="exact needs activation = 'linear'"):
        _all(small_task, Network(width=10, activation="erf"), [1.0], ["exact"])
    with pytest.raises(InputError, match="chi = -1"):
        _all(small_task, Network(width=10, activation="erf"), [-1.0], ["nngp"])


@pytest.mark.parametrize("activation", ["linear", "erf"])
def test_each_level_is_given_once_a_scale_and_under_the_index_of_its_scale(small_task, activation):
    """Indices refer to the order of the scales as they were given, whatever order they are solved in."""
    network = Network(width=20, activation=activation, g_w=1.0, g_v=1.0)
    levels, scales = ["laplace", "nngp"], [3.0, 1.0]
    found = list(anneal(decompose(small_task, network), network, scales, levels))
    assert sorted((index, level) for index, level, _ in found) == sorted((i, n) for i in range(2) for n in levels)
    norms = {index: prediction.readout_norm for index, level, prediction in found if level == "nngp"}
    assert norms == {0: network.at(3.0).g, 1: network.at(1.0).g}
    assert next(prediction.mean_test for _, _, prediction in found).shape == (4,)
