"""Observables of theory and training against the functions, sampled weights, and repeated noise."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

import msat
from msat.activations import get_activation
from msat.geometry import decompose
from msat.levels import EXACT, LEVELS, NNGP, RESCALING, TREE_LEVEL
from msat.network import Network
from msat.observables.evaluate import (
    batch_error,
    bracketed,
    error_series,
    jackknifed,
    measured,
    predicted,
    without_each,
)
from msat.observables.functions import (
    across_target,
    along,
    along_target,
    centred_alignment,
    directions,
    discrepancy,
    effective_rank,
    gain,
    outlier,
    weight_alignment,
)
from msat.observables.moments import Frame, Moments
from msat.observables.registry import BY_NAME, OBSERVABLES
from msat.observables.variables import SERIES
from msat.tasks.base import Task
from msat.uncertainty import standard_error
from tests.conftest import Z_LIMIT
from tests.observables import positive


@pytest.mark.parametrize("shape", [(6, 9), (12, 5)])
@pytest.mark.parametrize("teacher", [False, True])
def test_weight_alignment_is_that_of_the_weights(shape, teacher):
    """From sampled weights themselves, in the space of inputs, against row-space coordinates."""
    rng = np.random.default_rng(1)
    D, g_v, N = shape[1], 0.7, 50
    x, y = rng.normal(size=shape), rng.normal(size=shape[0])
    u = rng.normal(size=D)
    task = Task(x, y, x[:2], y[:2], {"direction": list(u)} if teacher else {})
    geometry = decompose(task, Network(N, "linear", g_v=g_v))
    direction = geometry.direction
    # weights that are of any size in the row space, and have their prior variance outside
    projector = np.linalg.pinv(x) @ x
    A = rng.normal(size=(N, D)) * 3.0 @ projector  # whitened
    u = (u if teacher else y @ x) / np.linalg.norm(u if teacher else y @ x)
    outside = u @ (np.eye(D) - projector) @ u
    expected = np.mean((A @ u) ** 2) + outside
    coordinates = np.linalg.pinv(geometry.row_space.train) @ (np.sqrt(g_v / D) * x @ A.T)
    moment = coordinates @ coordinates.T / N
    assert weight_alignment(direction @ moment @ direction, direction) == pytest.approx(expected)
    hidden = np.sqrt(g_v / D) * A @ x.T
    along = geometry.first_layer(hidden.T @ hidden / N)
    assert weight_alignment(along(direction), direction) == pytest.approx(expected)
    assert weight_alignment(direction @ direction, direction) == pytest.approx(1)


@pytest.mark.parametrize("activation", ["linear", "erf", "relu"])
def test_prior_kernel_is_that_of_sampled_neurons(activation, small_task):
    """Mean of phi phi^T over neurons drawn from the prior, within 5 standard errors of each entry."""
    rng = np.random.default_rng(2)
    g_v, x = 0.9, small_task.x_train
    kernel = decompose(small_task, Network(10, activation, g_v=g_v)).prior_kernel
    phi = get_activation(activation).phi(rng.normal(size=(40_000, x.shape[1])) * np.sqrt(g_v / x.shape[1]) @ x.T)
    products = phi[:, :, None] * phi[:, None, :]
    error = products.std(axis=0) / np.sqrt(len(products))
    assert np.all(np.abs(products.mean(axis=0) - kernel) < Z_LIMIT * error)


def test_the_prior_level_has_gain_and_weight_alignment_one(small_task, small_network):
    at = msat.solve(small_task, small_network, levels=[NNGP.name]).isel(chi=0, level=0)
    np.testing.assert_allclose([at["hidden_kernel_gain"], at["weight_alignment"]], 1.0)
    np.testing.assert_allclose(at["hidden_kernel"], at["prior_kernel"], atol=1e-12)


@pytest.mark.parametrize(
    "level", [name for name, level in LEVELS.items() if level.derivative and level is not TREE_LEVEL]
)
def test_evidence_slope_and_bend_are_derivatives(level, small_task):
    """Central differences of ln p(y) in ln chi; wide enough for one_loop to have a solution."""
    network = Network(width=40, g_w=1.3, g_v=0.8, kappa_0=0.4)
    for chi in (0.3, 2.0, 20.0):
        step = 1e-3
        scales = [chi * np.exp(k * step) for k in (-1, 0, 1)]
        at = msat.solve(small_task, network, scales, [level]).isel(level=0)
        assert at["converged"].all()
        below, here, above = at["log_evidence"].to_numpy()
        assert float(at["evidence_slope"][1]) == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-5)
        assert float(at["evidence_bend"][1]) == pytest.approx((above - 2 * here + below) / step**2, rel=1e-4, abs=1e-4)


def test_observables_in_theory_are_the_functions(small_task, small_network):
    at = msat.solve(small_task, small_network, levels=[RESCALING.name, EXACT.name]).isel(chi=0)
    y, K = small_task.y_train, at["prior_kernel"].to_numpy()
    for level in (RESCALING.name, EXACT.name):
        one = at.sel(level=level)
        C, H = one["covariance_train"].to_numpy(), one["hidden_kernel"].to_numpy()
        expected = {
            "variance_along_target": along_target(y, C),
            "variance_across_target": across_target(y, C),
            "covariance_outlier": np.linalg.eigvalsh(C)[-1],
            "hidden_kernel_along_target": along_target(y, H),
            "hidden_kernel_gain": gain(y, H, K),
            "hidden_kernel_alignment": centred_alignment(y, H),
            "hidden_kernel_outlier": np.linalg.eigvalsh(H)[-1],
            "hidden_kernel_bulk": np.linalg.eigvalsh(H)[:-1].mean(),
            "hidden_kernel_effective_rank": effective_rank(H),
        }
        for name, value in expected.items():
            assert float(one[name]) == pytest.approx(value), name
            assert float(one[f"{name}_mc_error"]) == 0
        np.testing.assert_allclose(one["hidden_kernel_spectrum"], np.linalg.eigvalsh(H)[::-1])


@pytest.fixture
def moments():
    """Moments of eight made-up batches, or chains, and of all of them."""
    rng = np.random.default_rng(3)
    y, y_test = rng.normal(size=6), rng.normal(size=4)
    frame = Frame(y, y_test, 0.3, positive(rng, 6), rng.normal(size=5) / 3, rng.normal(size=(3, 4)))
    parts = []
    for _ in range(8):
        first = positive(rng, 5)
        parts.append(
            Moments(
                frame,
                mean_train=0.5 * y + 0.1 * rng.normal(size=6),
                mean_test=rng.normal(size=4),
                covariance_train=positive(rng, 6),
                hidden_kernel=positive(rng, 6),
                first_layer=lambda u, first=first: float(u @ first @ u),
            )
        )
    return replace(parts[0], readout_norm=0.7), parts


def test_monte_carlo_errors_follow_from_batches(moments):
    """Those of every function of what the batches give; nothing else has one, and closed forms have 0."""
    whole, batches = moments
    y, y_test = whole.frame.y_train, whole.frame.y_test
    found = predicted(whole, batches)
    for name, values in {
        "hidden_kernel_alignment": [centred_alignment(y, batch.hidden_kernel) for batch in batches],
        "variance_across_target": [across_target(y, batch.covariance_train) for batch in batches],
        "test_discrepancy": [discrepancy(y_test, batch.mean_test) for batch in batches],
        "learned_component": [whole.frame.projection @ batch.mean_test for batch in batches],
    }.items():
        np.testing.assert_allclose(found[f"{name}_mc_error"], batch_error(np.array(values)), err_msg=name)
    assert (found["readout_norm"], found["readout_norm_mc_error"]) == (0.7, 0)
    assert "hidden_kernel_spectrum_mc_error" not in found
    closed = predicted(whole, [])
    for observable in (item for item in OBSERVABLES if item.defined(whole.frame)):
        assert (observable.name in closed) == observable.theory
        if observable.theory:
            np.testing.assert_array_equal(closed[observable.name], found[observable.name])
            assert np.all(closed.get(f"{observable.name}_mc_error", 0) == 0)


def test_errors_of_training_are_of_the_series_or_of_chains_left_out(moments):
    whole, without = moments
    rng = np.random.default_rng(4)
    names = [item.name.removeprefix("series_") for item in SERIES if len(item.dimensions) == 2]
    series = {name: rng.normal(size=(8, 16)) for name in names}
    whole = replace(whole, averages={**whole.averages, **{name: blocks.mean() for name, blocks in series.items()}})
    series["components"] = rng.normal(size=(8, 16, 3))
    found = measured(whole, without, series, standard_error)
    assert set(found) == {
        f"{item.name}{suffix}" for item in OBSERVABLES if item.defined(whole.frame) for suffix in ("", "_error")
    }
    y = whole.frame.y_train
    error = standard_error(np.linalg.norm(y) * series["along"] / len(y))
    assert found["train_discrepancy"] == discrepancy(y, whole.mean_train)
    assert found["train_discrepancy_error"] == pytest.approx(float(error))
    np.testing.assert_allclose(
        standard_error(error_series("train_discrepancy", series, whole)), found["train_discrepancy_error"]
    )
    np.testing.assert_allclose(found["learned_component_error"], standard_error(series["components"]))
    value, error = jackknifed(
        gain(y, whole.hidden_kernel, whole.frame.prior_kernel),
        np.array([gain(y, item.hidden_kernel, whole.frame.prior_kernel) for item in without]),
    )
    assert (found["hidden_kernel_gain"], found["hidden_kernel_gain_error"]) == (value, error)
    with pytest.raises(ValueError, match="leaving out chains"):
        error_series("hidden_kernel_gain", series, whole)


def test_an_observable_of_a_moment_that_was_not_recorded_is_left_out(moments, monkeypatch):
    newer = replace(BY_NAME["readout_norm"], name="newer", formula=lambda m: m.averages["newer_moment"])
    monkeypatch.setattr("msat.observables.evaluate.OBSERVABLES", (newer, BY_NAME["hidden_kernel_gain"]))
    whole, without = moments
    found = measured(whole, without, {"readout_norm": np.zeros((8, 16))}, standard_error)
    assert set(found) == {"hidden_kernel_gain", "hidden_kernel_gain_error"}


def test_the_jackknife_removes_the_bias_of_a_square():
    """Means over 2000 ensembles: the square of a mean is biased by the error squared, its jackknife is not."""
    rng = np.random.default_rng(5)
    values, errors = [], []
    for _ in range(2000):
        chains = 1.0 + 0.5 * rng.normal(size=8)
        parts = np.array([item["x"] ** 2 for item in without_each({"x": chains})])
        value, error = jackknifed(chains.mean() ** 2, parts)
        values.append(value)
        errors.append(error)
    spread = np.std(values)
    assert abs(np.mean(values) - 1) < Z_LIMIT * spread / np.sqrt(2000)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(spread, rel=0.1)


@pytest.mark.parametrize("gap", [0.0, 0.3, 30.0])
def test_the_largest_eigenvalue_of_a_noisy_mean_is_bracketed(gap):
    """A symmetric matrix with noise of size 0.3 an entry in the mean of 16: cluster, gap of the noise, clear gap.

    The jackknife, right where the gap is clear, is 3 errors off on average at the others. 400 ensembles; the bound of
    each |z| is that of Student's t, false alarm 1e-4 together.
    """
    rng, size, chains = np.random.default_rng(6), 30, 16
    truth = np.diag(np.r_[1.0 + gap, np.ones(size - 1)])
    limit = scipy.stats.t(chains - 1).isf(1e-4 / 800)
    scores, by_jackknife = [], []
    for _ in range(400):
        noise = rng.normal(size=(chains, size, size)) * 1.2
        single = truth + (noise + noise.transpose(0, 2, 1)) / 2**0.5
        whole, left = single.mean(axis=0), (single.sum(axis=0) - single) / (chains - 1)
        held = np.array([along(whole, directions(part))[0] for part in left])
        parts = np.array([outlier(part) for part in left])
        for found, (value, error) in (
            (scores, bracketed(outlier(whole), held, parts)),
            (by_jackknife, jackknifed(outlier(whole), parts)),
        ):
            found.append((value - truth[0, 0]) / error)
    assert np.max(np.abs(scores)) < limit
    assert (np.mean(by_jackknife) > 2) == (gap < 1)
    if gap > 1:  # not only a wide bracket: the errors are of the right size, and the two ways agree
        assert np.var(scores) == pytest.approx(np.var(by_jackknife), rel=0.1)
        assert abs(np.mean(scores)) < Z_LIMIT * np.std(scores) / 20


def test_data_without_test_points_or_teacher_lack_their_observables(moments):
    whole, _ = moments
    frame = replace(whole.frame, y_test=np.empty(0), projection=None)
    missing = set(predicted(whole, [])) - set(predicted(replace(whole, frame=frame, mean_test=np.empty(0)), []))
    names = ("test_discrepancy", "learned_component")
    assert missing == {f"{name}{suffix}" for name in names for suffix in ("", "_mc_error")}
