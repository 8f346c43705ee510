import numpy as np
import pytest

from msat.theory.matrices import LowRank


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    a = LowRank.of(rng.uniform(1, 2, 8), (0.3, rng.normal(size=8), rng.normal(size=8)))
    b = LowRank.of(
        rng.normal(size=8),
        (0.5, rng.normal(size=8), rng.normal(size=8)),
        (-0.2, rng.normal(size=8), rng.normal(size=8)),
    )
    return a, b


def test_of_is_the_symmetrised_sum():
    d, u, v = np.arange(3.0), np.array([1.0, 2, 3]), np.array([0.5, -1, 0])
    expected = np.diag(d) + 0.7 * (np.outer(u, v) + np.outer(v, u)) / 2
    np.testing.assert_allclose(LowRank.of(d, (0.7, u, v)).dense(), expected, atol=1e-15)


def test_algebra_matches_dense_matrices(pair):
    a, b = pair
    A, B = a.dense(), b.dense()
    x = np.random.default_rng(1).normal(size=(8, 3))
    np.testing.assert_allclose((a + b).dense(), A + B, atol=1e-13)
    np.testing.assert_allclose((np.float64(0.5) * (a + a.T)).dense(), A, atol=1e-13)
    np.testing.assert_allclose((a - 2.0 * b).dense(), A - 2 * B, atol=1e-13)
    np.testing.assert_allclose(a @ x, A @ x, atol=1e-13)
    np.testing.assert_allclose(a @ x[:, 0], A @ x[:, 0], atol=1e-13)
    np.testing.assert_allclose(a.congruence(b).dense(), A @ B @ A, atol=1e-12)
    np.testing.assert_allclose(a.inverse() @ (A @ x), x, atol=1e-12)


def test_inverse_of_a_matrix_without_low_rank_part():
    d = np.array([2.0, 4.0])
    np.testing.assert_allclose(LowRank.diagonal(d).inverse().dense(), np.diag(1 / d))


def test_inverse_refuses_a_singular_matrix():
    with pytest.raises(np.linalg.LinAlgError):
        LowRank.diagonal(np.array([1.0, 0.0])).inverse()


@pytest.mark.parametrize("seed", range(20))
def test_positive_definite_agrees_with_eigenvalues(seed):
    rng = np.random.default_rng(seed)
    d = rng.uniform(0.2 if seed % 2 else -0.2, 2, 5)
    matrix = LowRank.of(d, (rng.normal(), rng.normal(size=5), rng.normal(size=5)))
    assert matrix.positive_definite() == bool(np.linalg.eigvalsh(matrix.dense())[0] > 0)
