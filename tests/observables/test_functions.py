import numpy as np
import pytest

import msat
from msat.activations import get_activation
from msat.network import Network
from msat.observables.functions import (
    across_target,
    along_target,
    centred_alignment,
    discrepancy,
    effective_rank,
    evidence_bend,
    evidence_slope,
    frame,
    gain,
    mean_squared_error,
    outlier,
    spectrum,
    weight_alignment,
)
from tests.conftest import Z_LIMIT


def test_values():
    y, mean = np.array([1.0, -1.0]), np.array([0.5, -0.25])
    covariance = np.array([[0.2, 0.1], [0.1, 0.4]])
    assert discrepancy(y, mean) == pytest.approx((0.5 + 0.75) / 2)
    assert mean_squared_error(y, mean, covariance) == pytest.approx((0.25 + 0.5625) / 2 + 0.3)
    assert mean_squared_error(y, mean, np.diag(covariance)) == mean_squared_error(y, mean, covariance)
    assert along_target(y, covariance) == pytest.approx((0.2 - 0.2 + 0.4) / 2)


def test_columns_do_not_broadcast():
    y = np.ones(3)
    with pytest.raises(ValueError, match="both must be"):
        discrepancy(y, np.ones((3, 1)))
    with pytest.raises(ValueError, match="both must be"):
        mean_squared_error(y, y, np.ones(4))
    with pytest.raises(ValueError, match="expected"):
        along_target(y, np.ones(3))


def _positive(rng, n):
    root = rng.normal(size=(n, n))
    return root @ root.T


def test_matrix_functions_against_brute_force():
    """Each from its definition: sums over an orthonormal basis, over centred entries, over eigenvalues."""
    rng = np.random.default_rng(0)
    n = 7
    y, M, K = rng.normal(size=n), _positive(rng, n), _positive(rng, n)
    basis, _ = np.linalg.qr(np.column_stack([y, rng.normal(size=(n, n - 1))]))
    assert across_target(y, M) == pytest.approx(np.mean([v @ M @ v for v in basis.T[1:]]))
    lam = np.linalg.eigvalsh(M)
    np.testing.assert_allclose(spectrum(M), sorted(lam, reverse=True))
    assert outlier(M) == pytest.approx(max(lam), rel=1e-12)
    large = _positive(rng, 520)
    assert outlier(large) == pytest.approx(np.linalg.eigvalsh(large)[-1], rel=1e-11)
    assert np.isnan(spectrum(large)).all()
    assert np.isnan(outlier(np.full((3, 3), np.nan)))
    assert effective_rank(M) == pytest.approx(lam.sum() ** 2 / np.sum(lam**2))
    assert effective_rank(np.eye(n)) == pytest.approx(n)
    assert effective_rank(np.outer(y, y)) == pytest.approx(1)
    assert gain(y, M, K) == pytest.approx(
        sum(y[a] * M[a, b] * y[b] for a in range(n) for b in range(n)) / (y @ K @ y)
    )
    Z = np.eye(n) - 1 / n
    A, B = Z @ M @ Z, Z @ np.outer(y, y) @ Z
    assert centred_alignment(y, M) == pytest.approx(np.sum(A * B) / np.sqrt(np.sum(A * A) * np.sum(B * B)))
    assert centred_alignment(y, np.outer(y, y)) == pytest.approx(1)
    assert centred_alignment(y, 3.0 * M + 5.0) == pytest.approx(centred_alignment(y, M))


def test_what_is_not_defined_is_nan():
    one = np.array([2.0])
    assert np.isnan(across_target(one, np.array([[1.0]])))
    assert np.isnan(centred_alignment(np.ones(4), np.eye(4)))
    assert np.isnan(spectrum(np.full((3, 3), np.nan))).all()
    for function in (across_target, centred_alignment):
        with pytest.raises(ValueError, match="expected"):
            function(np.ones(3), np.ones(3))


@pytest.mark.parametrize("shape", [(6, 9), (12, 5)])
@pytest.mark.parametrize("teacher", [False, True])
def test_weight_alignment_is_that_of_the_weights(shape, teacher):
    """From sampled weights themselves, in the space of inputs, against row-space coordinates."""
    rng = np.random.default_rng(1)
    D, g_v, N = shape[1], 0.7, 50
    x, y = rng.normal(size=shape), rng.normal(size=shape[0])
    u = rng.normal(size=D)
    provenance = {"direction": list(u)} if teacher else {}
    axes = frame(x, y, provenance, g_v, "linear")
    # weights that are of any size in the row space, and have their prior variance outside
    projector = np.linalg.pinv(x) @ x
    A = rng.normal(size=(N, D)) * 3.0 @ projector  # whitened
    u = (u if teacher else y @ x) / np.linalg.norm(u if teacher else y @ x)
    outside = u @ (np.eye(D) - projector) @ u
    expected = np.mean((A @ u) ** 2) + outside
    coordinates = np.linalg.pinv(axes.inputs) @ (np.sqrt(g_v / D) * x @ A.T)
    moment = coordinates @ coordinates.T / N
    assert axes.weights(moment) == pytest.approx(expected)
    hidden = np.sqrt(g_v / D) * A @ x.T
    assert axes.linear_weights(hidden.T @ hidden / N) == pytest.approx(expected)
    assert weight_alignment(np.eye(len(moment)), axes.direction) == pytest.approx(1)


@pytest.mark.parametrize("activation", ["linear", "erf", "relu"])
def test_prior_kernel_is_that_of_sampled_neurons(activation, small_task):
    """Mean of phi phi^T over neurons drawn from the prior, within 5 standard errors of each entry."""
    rng = np.random.default_rng(2)
    g_v, x = 0.9, small_task.x_train
    kernel = frame(x, small_task.y_train, {}, g_v, activation).prior_kernel
    phi = get_activation(activation).phi(rng.normal(size=(40_000, x.shape[1])) * np.sqrt(g_v / x.shape[1]) @ x.T)
    products = phi[:, :, None] * phi[:, None, :]
    error = products.std(axis=0) / np.sqrt(len(products))
    assert np.all(np.abs(products.mean(axis=0) - kernel) < Z_LIMIT * error)


def test_the_prior_level_has_gain_and_weight_alignment_one(small_task, small_network):
    at = msat.solve(small_task, small_network, levels=["nngp"]).isel(chi=0, level=0)
    np.testing.assert_allclose([at["hidden_kernel_gain"], at["weight_alignment"]], 1.0)
    np.testing.assert_allclose(at["hidden_kernel"], at["prior_kernel"], atol=1e-12)


@pytest.mark.parametrize("level", ["nngp", "one_loop", "laplace", "exact"])
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
        assert float(at["evidence_bend"][1]) == pytest.approx(
            (above - 2 * here + below) / step**2, rel=1e-4, abs=1e-4
        )


def test_evidence_is_largest_where_the_discrepancy_is_kappa():
    y = np.array([1.0, -1.0, 2.0])
    mean = y - 0.3 * np.array([y[0], y[1], y[2]]) * 3 / (y @ y)
    assert evidence_slope(y, mean, discrepancy(y, mean)) == pytest.approx(0)
    assert evidence_bend(y, y, np.zeros((3, 3)), 2.0) == pytest.approx(-(y @ y) / 8)


def test_observables_in_theory_are_the_functions(small_task, small_network):
    at = msat.solve(small_task, small_network, levels=["rescaling", "exact"]).isel(chi=0)
    y, K = small_task.y_train, at["prior_kernel"].to_numpy()
    for level in ("rescaling", "exact"):
        one = at.sel(level=level)
        C, H = one["covariance_train"].to_numpy(), one["hidden_kernel"].to_numpy()
        expected = {
            "variance_along_target": along_target(y, C),
            "variance_across_target": across_target(y, C),
            "covariance_outlier": spectrum(C)[0],
            "hidden_kernel_along_target": along_target(y, H),
            "hidden_kernel_gain": gain(y, H, K),
            "hidden_kernel_alignment": centred_alignment(y, H),
            "hidden_kernel_outlier": spectrum(H)[0],
            "hidden_kernel_bulk": spectrum(H)[1:].mean(),
            "hidden_kernel_effective_rank": effective_rank(H),
        }
        for name, value in expected.items():
            assert float(one[name]) == pytest.approx(value), name
            assert float(one[f"{name}_mc_error"]) == 0
        np.testing.assert_allclose(one["hidden_kernel_spectrum"], spectrum(H))


def test_monte_carlo_errors_follow_from_batches(small_task):
    """A prediction that carries batches of its hidden kernel gets errors of every function of it."""
    from dataclasses import replace

    from msat.stages.theory import _observed
    from msat.theory.anneal import anneal
    from msat.theory.prediction import batch_error

    network = Network(width=10)
    x, y = small_task.x_train, small_task.y_train
    ((_, _, prediction),) = anneal(x, y, small_task.x_test, network, [1.0], ["laplace"])
    rng = np.random.default_rng(3)
    batches = np.array([prediction.hidden_kernel + 0.01 * _positive(rng, len(y)) for _ in range(8)])
    axes = frame(x, y, {}, network.g_v, "linear")
    found = _observed(axes, replace(prediction, hidden_kernel_batches=batches), "laplace", network)
    expected = batch_error(np.array([centred_alignment(y, batch) for batch in batches]))
    assert found["hidden_kernel_alignment_mc_error"] == pytest.approx(float(expected))
    assert "variance_along_target_mc_error" not in found
