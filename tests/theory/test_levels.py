"""Levels against each other, in limits, and on the paper's setting."""

import numpy as np
import pytest

from msat.errors import InputError
from msat.network import Network
from msat.observables.functions import along_target, discrepancy
from msat.tasks import ising
from msat.theory.anneal import LEVELS, anneal, check_levels


def _all(task, network, scales, levels=LEVELS):
    return {
        (scales[index], level): prediction
        for index, level, prediction in anneal(task.x_train, task.y_train, task.x_test, network, scales, levels)
    }


@pytest.fixture(scope="module")
def paper(paper_task, paper_network):
    scales = [1.0, 2.15, 4.64, 10.0, 21.5, 46.4, 100.0]
    return paper_task.y_train, scales, _all(paper_task, paper_network, scales)


def _error(y, predictions, chi, level):
    exact = discrepancy(y, predictions[chi, "exact"].mean_train)
    return discrepancy(y, predictions[chi, level].mean_train) / exact - 1


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
        exact = along_target(y, predictions[chi, "exact"].covariance_train)
        assert along_target(y, predictions[chi, "laplace"].covariance_train) == pytest.approx(exact, rel=0.002)
        assert along_target(y, predictions[chi, "rescaling"].covariance_train) < 0.9 * exact


def test_nngp_mean_does_not_depend_on_the_scale(paper):
    _, _, predictions = paper
    np.testing.assert_allclose(
        predictions[1.0, "nngp"].mean_train, predictions[100.0, "nngp"].mean_train, rtol=1e-12
    )


@pytest.mark.parametrize(("width", "reached"), [(20, 0.38), (40, 0.97)])
def test_one_loop_is_refused_where_its_root_folds(paper_task, width, reached):
    network = Network(width=width, g_w=0.5, g_v=0.5)
    prediction = _all(paper_task, network, [1.0], ["one_loop"])[1.0, "one_loop"]
    assert not prediction.converged
    assert prediction.loop_strength == pytest.approx(reached, abs=0.1)  # differs over data draws
    assert np.isnan(prediction.mean_train).all()
    assert np.isnan(prediction.log_evidence)


@pytest.mark.parametrize("level", [level for level in LEVELS if level != "nngp"])
def test_infinite_width_at_standard_scaling_is_the_nngp(small_task, level):
    network = Network(width=10**7, g_w=1.3, g_v=0.8, kappa_0=0.4)
    predictions = _all(small_task, network, [1.0], ["nngp", level])
    nngp, other = predictions[1.0, "nngp"], predictions[1.0, level]
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
    for (_, level), prediction in _all(task, small_network, [2.0]).items():
        assert prediction.converged, level
        inside = task.x_train @ np.linalg.lstsq(task.x_train, prediction.mean_train, rcond=None)[0]
        np.testing.assert_allclose(inside, prediction.mean_train, atol=1e-10)
        weights = np.linalg.lstsq(task.x_train, prediction.mean_train, rcond=None)[0]
        np.testing.assert_allclose(task.x_test @ weights, prediction.mean_test, atol=1e-10)
        assert np.linalg.eigvalsh(prediction.covariance_train)[0] > -1e-12


def test_a_single_sample_and_no_test_set():
    task = ising(n_train=1, n_test=0, dimension=3, seed=0)
    for prediction in _all(task, Network(width=50), [1.0]).values():
        assert prediction.converged
        assert prediction.mean_train.shape == (1,)
        assert prediction.mean_test.shape == (0,)


def test_levels_are_checked():
    with pytest.raises(InputError, match="must be one of nngp, rescaling"):
        check_levels(["nnpg"], "linear")
    with pytest.raises(InputError, match="named twice"):
        check_levels(["nngp", "nngp"], "linear")
    with pytest.raises(InputError, match="empty"):
        check_levels([], "linear")
    with pytest.raises(InputError, match="must be one of linear, erf"):
        check_levels(["nngp"], "sine")
