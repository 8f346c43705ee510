import numpy as np
import pytest

from msat.observables.functions import (
    accuracy,
    across_target,
    along_target,
    centred_alignment,
    discrepancy,
    effective_rank,
    evidence_bend,
    evidence_slope,
    gain,
    mean_squared_error,
    mean_variance,
    outlier,
    spectrum,
)
from tests.observables import positive


def test_values():
    y, mean = np.array([1.0, -1.0]), np.array([0.5, -0.25])
    covariance = np.array([[0.2, 0.1], [0.1, 0.4]])
    assert discrepancy(y, mean) == pytest.approx((0.5 + 0.75) / 2)
    assert mean_squared_error(y, mean, np.diag(covariance)) == pytest.approx((0.25 + 0.5625) / 2 + 0.3)
    assert mean_squared_error(y, mean, 0.3) == mean_squared_error(y, mean, np.diag(covariance))
    along, across = along_target(y, covariance), across_target(y, covariance)
    assert mean_variance(along, across, 2) == pytest.approx(0.3)
    assert mean_variance(0.7, float("nan"), 1) == 0.7
    assert along_target(y, covariance) == pytest.approx((0.2 - 0.2 + 0.4) / 2)


def test_columns_do_not_broadcast():
    y = np.ones(3)
    with pytest.raises(ValueError, match="both must be"):
        discrepancy(y, np.ones((3, 1)))
    with pytest.raises(ValueError, match="both must be"):
        mean_squared_error(y, y, np.ones(4))
    with pytest.raises(ValueError, match="expected"):
        along_target(y, np.ones(3))


def test_matrix_functions_against_brute_force():
    """Each from its definition: sums over an orthonormal basis, over centred entries, over eigenvalues."""
    rng = np.random.default_rng(0)
    n = 7
    y, M, K = rng.normal(size=n), positive(rng, n), positive(rng, n)
    basis, _ = np.linalg.qr(np.column_stack([y, rng.normal(size=(n, n - 1))]))
    assert across_target(y, M) == pytest.approx(np.mean([v @ M @ v for v in basis.T[1:]]))
    lam = np.linalg.eigvalsh(M)
    np.testing.assert_allclose(spectrum(M), sorted(lam, reverse=True))
    assert outlier(M) == pytest.approx(max(lam), rel=1e-12)
    large = positive(rng, 520)
    assert outlier(large) == pytest.approx(np.linalg.eigvalsh(large)[-1], rel=1e-11)
    assert np.isnan(spectrum(large)).all()
    assert spectrum(large).shape == (520,)
    assert np.isnan(outlier(np.full((3, 3), np.nan)))
    assert effective_rank(M) == pytest.approx(lam.sum() ** 2 / np.sum(lam**2))
    assert effective_rank(np.eye(n)) == pytest.approx(n)
    assert effective_rank(np.outer(y, y)) == pytest.approx(1)
    assert gain(y, M, K) == pytest.approx(sum(y[a] * M[a, b] * y[b] for a in range(n) for b in range(n)) / (y @ K @ y))
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


def test_evidence_is_largest_where_the_discrepancy_is_kappa():
    y = np.array([1.0, -1.0, 2.0])
    mean = y - 0.3 * np.array([y[0], y[1], y[2]]) * 3 / (y @ y)
    assert evidence_slope(y, mean, discrepancy(y, mean)) == pytest.approx(0)
    assert evidence_bend(y, y, np.zeros((3, 3)), 2.0) == pytest.approx(-(y @ y) / 8)


def test_several_outputs_have_no_basis_of_their_own():
    """Discrepancy, alignment and what is along the target are the same of rotated outputs, and of copies of one."""
    rng = np.random.default_rng(2)
    y, mean, factor = rng.normal(size=(7, 3)), rng.normal(size=(7, 3)), rng.normal(size=(7, 7))
    H, R = factor @ factor.T, np.linalg.qr(rng.normal(size=(3, 3)))[0]
    covariance = np.kron(H, np.diag([1.0, 2.0, 3.0]))
    turned = np.kron(np.eye(7), R.T) @ covariance @ np.kron(np.eye(7), R)
    for plain, rotated in (
        (discrepancy(y, mean), discrepancy(y @ R, mean @ R)),
        (along_target(y, H), along_target(y @ R, H)),
        (centred_alignment(y, H), centred_alignment(y @ R, H)),
        (along_target(y.ravel(), covariance), along_target((y @ R).ravel(), turned)),
        (evidence_bend(y, mean, covariance, 0.3), evidence_bend(y @ R, mean @ R, turned, 0.3)),
    ):
        assert plain == pytest.approx(rotated)
    copies, means = np.column_stack([y[:, 0]] * 2), np.column_stack([mean[:, 0]] * 2)
    for of in (along_target, centred_alignment):
        assert of(copies, H) == pytest.approx(of(y[:, 0], H))
    assert discrepancy(copies, means) == pytest.approx(discrepancy(y[:, 0], mean[:, 0]))
    slopes = [evidence_slope(*pair, 0.3) for pair in ((copies, means), (y[:, 0], mean[:, 0]))]
    assert slopes[0] == pytest.approx(2 * slopes[1])


def test_accuracy_is_of_the_largest_output():
    y, mean = np.eye(3), np.array([[0.2, 0.1, 0.0], [0.3, 0.2, 0.1], [-3.0, -2.0, -1.0]])
    assert accuracy(y, mean) == pytest.approx(2 / 3)
    assert np.isnan(accuracy(y, mean * np.nan))
    with pytest.raises(ValueError, match=r"both must be \(P,\), or \(P, m\)"):
        discrepancy(y[:, :1], y[:, :1])
