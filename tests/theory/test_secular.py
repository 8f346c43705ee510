"""Eigenvalues of diagonal plus low rank against those of the dense matrix."""

import numpy as np
import pytest

from msat.theory import secular
from msat.theory.secular import eigenvalues


def _close(d, V, s, tolerance=1e-13):
    given = d.copy(), V.copy(), s.copy()
    found = eigenvalues(d, V, s)
    scale = max(np.abs(d).max(), *(np.abs(s) * np.sum(V**2, axis=0))) if len(s) else np.abs(d).max()
    np.testing.assert_allclose(found, np.linalg.eigvalsh(np.diag(d) + (V * s) @ V.T), rtol=0, atol=tolerance * scale)
    for before, after in zip(given, (d, V, s), strict=True):
        np.testing.assert_array_equal(before, after)


DIAGONALS = {
    "generic": lambda rng, n: rng.normal(size=n),
    "degenerate": lambda rng, n: np.round(rng.normal(size=n)),
    "null space": lambda rng, n: np.concatenate([np.zeros(n // 2), rng.uniform(0, 1, n - n // 2)]),
    "all equal": lambda rng, n: np.full(n, 0.7),
    "14 decades": lambda rng, n: 10.0 ** rng.uniform(-14, 2, n),
    "nearly equal": lambda rng, n: 1 + 1e-15 * rng.integers(0, 9, n),
}


@pytest.mark.parametrize("kind", DIAGONALS)
@pytest.mark.parametrize("seed", range(12))
def test_against_dense_matrices(kind, seed):
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(1, 60)), seed % 6
    d, V = DIAGONALS[kind](rng, n), rng.normal(size=(n, k))
    _close(d, V, rng.normal(size=k) * 10.0 ** rng.uniform(-6, 6, k))
    _close(d, V * 10.0 ** rng.uniform(-12, 0, (n, 1)), rng.normal(size=k))  # most of them hardly coupled


@pytest.mark.parametrize("strength", [1e-12, 1e-3, 1.0, 1e3, 1e6, -1e-12, -1.0, -1e6])
def test_one_term_of_any_strength(strength):
    """Far above the diagonal LAPACK's highest root has only 12 digits: it is corrected."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        _close(rng.normal(size=40), rng.normal(size=(40, 1)), np.array([strength]), tolerance=2e-14)


def test_terms_that_do_not_act():
    d = np.array([3.0, 1.0, 2.0])
    np.testing.assert_array_equal(eigenvalues(d, np.zeros((3, 0)), np.zeros(0)), [1, 2, 3])
    np.testing.assert_array_equal(eigenvalues(d, np.zeros((3, 2)), np.ones(2)), [1, 2, 3])
    np.testing.assert_array_equal(eigenvalues(d, np.ones((3, 1)), np.zeros(1)), [1, 2, 3])
    np.testing.assert_allclose(eigenvalues(d, np.eye(3)[:, :1], np.array([0.5])), [1, 2, 3.5])


def test_a_root_that_lapack_does_not_find_is_an_error(monkeypatch):
    monkeypatch.setattr(secular, "dlasd4", lambda i, d, z, rho: (d, 1.0, d, 1))
    with pytest.raises(np.linalg.LinAlgError, match="secular"):
        eigenvalues(np.arange(3.0), np.ones((3, 1)), np.ones(1))
