"""What factors give, against the same of the dense matrix."""

import collections

import numpy as np
import pytest
import scipy.linalg

import msat
from msat.observables.functions import (
    across_target,
    along_target,
    centred_alignment,
    effective_rank,
    evidence_bend,
    gain,
    outlier,
    spectrum,
)
from msat.theory import factored as module
from msat.theory.factored import factored
from msat.theory.matrices import LowRank


def _basis(rng, n):
    return np.linalg.qr(rng.normal(size=(n, n)))[0]


def _case(seed, n=30):
    """A matrix by its factors: diagonals generic, degenerate or of low rank; low-rank parts with redundant columns."""
    rng = np.random.default_rng(seed)
    d = rng.uniform(0.1, 2, n)
    if seed % 3 == 1:
        d = np.repeat(rng.uniform(0.1, 2, n // 5), 5)
    if seed % 3 == 2:
        d[: n // 2] = 0.0  # rank-deficient
    v = rng.normal(size=n)
    terms = [(0.3, v, v), (0.2, v, rng.normal(size=n)), (-0.1, d * v, v), (0.5, v, v)][: 1 + seed % 4]
    U = _basis(rng, n)
    return factored(LowRank.of(d, *terms), U), rng


@pytest.mark.parametrize("seed", range(12))
def test_observables_are_those_of_the_dense_matrix(seed):
    matrix, rng = _case(seed)
    dense = np.asarray(matrix)
    assert isinstance(dense, np.ndarray)
    np.testing.assert_allclose(dense, dense.T, atol=1e-15)
    y, mean = rng.normal(size=30), rng.normal(size=30)
    labels = [y, matrix.U[:, 0], y - matrix.U[:, :15] @ (matrix.U[:, :15].T @ y)]  # the last: outside half of the basis
    for target in labels:
        assert along_target(target, matrix) == pytest.approx(along_target(target, dense), abs=1e-12)
        assert across_target(target, matrix) == pytest.approx(across_target(target, dense), abs=1e-12)
        assert gain(target, matrix, np.eye(30)) == pytest.approx(gain(target, dense, np.eye(30)), abs=1e-12)
        assert centred_alignment(target, matrix) == pytest.approx(centred_alignment(target, dense), abs=1e-12)
        assert evidence_bend(target, mean, matrix, 0.3) == pytest.approx(evidence_bend(target, mean, dense, 0.3))
    np.testing.assert_allclose(spectrum(matrix), spectrum(dense), rtol=0, atol=1e-13 * spectrum(dense)[0])
    assert outlier(matrix) == pytest.approx(outlier(dense), rel=1e-11)
    assert effective_rank(matrix) == pytest.approx(effective_rank(dense), rel=1e-12)
    assert (len(matrix), matrix.shape) == (30, (30, 30))
    # functions of NumPy, as an observable of a user's may call them
    assert np.trace(matrix) == pytest.approx(np.trace(dense))
    np.testing.assert_allclose(np.asarray(matrix, dtype=np.float32), dense, rtol=1e-5, atol=1e-6)


def test_the_basis_keeps_no_more_terms_than_there_are():
    rng = np.random.default_rng(0)
    v, n = rng.normal(size=20), 20
    same = LowRank.of(np.ones(n), *((0.1, v, v) for _ in range(7)))
    assert same.V.shape[1] == 14
    assert len(factored(same, _basis(rng, n)).s) == 1
    assert len(factored(LowRank.diagonal(np.ones(n)), _basis(rng, n)).s) == 0


def test_blocks_of_rows_sum_to_the_same_squares(monkeypatch):
    matrix, _ = _case(3)
    whole = matrix.squares()
    monkeypatch.setattr(module, "_ROWS", 7 * 30)
    assert matrix.squares() == pytest.approx(whole, rel=1e-14)


def test_centring_a_kernel_that_is_nearly_constant_loses_no_digits():
    """A large mean of all inputs: |Z H Z| is 1e-6 of |H|, and its square would drown in the rounding of |H|^2."""
    rng = np.random.default_rng(4)
    one, n = np.ones(40) / np.sqrt(40), 40
    U = np.linalg.qr(np.column_stack([one, rng.normal(size=(n, n - 1))]))[0]
    d = rng.uniform(1, 2, n)
    d[0] = 1e7
    y = rng.normal(size=n)
    matrix = factored(LowRank.of(d, (0.3, *rng.normal(size=(2, n)))), U)
    assert centred_alignment(y, matrix) == pytest.approx(centred_alignment(y, np.asarray(matrix)), rel=1e-7)


def test_not_a_number_stays_one():
    matrix = factored(LowRank.of(np.ones(5), (np.nan, np.ones(5), np.ones(5))), np.eye(5))
    assert np.isnan(spectrum(matrix)).all()
    assert np.isnan(outlier(matrix))


def test_the_largest_eigenvalue_where_lanczos_does_not_converge(monkeypatch):
    matrix, _ = _case(3)

    def fails(*args, **settings):
        raise module.ArpackNoConvergence("no", np.empty(0), np.empty((0, 0)))

    monkeypatch.setattr(module, "eigsh", fails)
    assert outlier(matrix) == pytest.approx(np.linalg.eigvalsh(np.asarray(matrix))[-1], rel=1e-12)


NAMES = (
    "eigh",
    "eigvalsh",
    "eig",
    "eigvals",
    "svd",
    "qr",
    "cholesky",
    "solve",
    "inv",
    "pinv",
    "lstsq",
    "slogdet",
    "det",
)
OF_SCIPY = ("eigh", "eigvalsh", "svd", "svdvals", "qr", "cholesky", "cho_factor", "lu_factor", "solve", "inv", "schur")


@pytest.fixture
def decompositions(monkeypatch):
    """Counts of decompositions of matrices whose smaller side is at least half of P, by name."""
    counts, half = collections.Counter(), []

    def counted(name, function):
        def call(a, *args, **settings):
            if np.ndim(a) >= 2 and min(np.shape(a)[-2:]) >= half[0]:
                counts[name] += 1
            return function(a, *args, **settings)

        return call

    for library, names in ((np.linalg, NAMES), (scipy.linalg, OF_SCIPY)):
        for name in names:
            monkeypatch.setattr(library, name, counted(f"{library.__name__}.{name}", getattr(library, name)))
    for name in ("cho_factor", "cho_solve"):  # imported by name
        monkeypatch.setattr(f"msat.theory.matrices.{name}", counted(name, getattr(scipy.linalg, name)))

    def at(n_train):
        half.append(n_train // 2)
        return counts

    return at


@pytest.mark.parametrize("dimension", [450, 200])
def test_six_levels_at_seven_scales_decompose_the_data_once(decompositions, dimension):
    """Of P samples in more or fewer dimensions; the number does not depend on P, levels and scales."""
    task, n = msat.tasks.ising(n_train=300, n_test=20, dimension=dimension), 300
    counts = decompositions(n)
    theory = msat.solve(task, msat.Network(width=400), chi=[1, 3, 10, 30, 100, 200, 400])
    assert theory["converged"].all()
    assert theory.sizes["level"] == 6
    assert np.isfinite(theory["covariance_spectrum"]).all()
    assert np.isfinite(theory["hidden_kernel_outlier"]).all()
    # the singular values of the inputs, and a basis of the outputs that no input reaches
    assert counts == {"numpy.linalg.svd": 1} | ({"numpy.linalg.qr": 1} if dimension < n else {})
