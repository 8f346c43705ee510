"""Symmetric matrices of an action: arrays (P, P), or diagonal plus low rank.

Both take ``+``, ``-``, numbers on the left, and ``@`` with a vector; the functions here are for both. Every covariance,
curvature and hidden kernel of a linear network is diagonal plus low rank in the eigenbasis of its input kernel, which
is why a level costs O(P) per iteration once the kernel is diagonalised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from msat.types import Array

Matrix = Any  # Array | LowRank, of one kind for one action


@dataclass(frozen=True, eq=False)
class LowRank:
    """The symmetric matrix ``shift + diag(d) + V S V^T``.

    Args:
        d: Diagonal, shape (P,).
        V: Basis of the low-rank part, shape (P, k); k may be 0.
        S: Symmetric core, shape (k, k).
        shift: A multiple of the identity that is kept apart, since beside it d may be below rounding: the label noise
            of a curvature.
    """

    d: Array
    V: Array
    S: Array
    shift: float = 0.0

    @classmethod
    def diagonal(cls, d: Array) -> LowRank:
        """Return ``diag(d)``."""
        return cls(d, np.zeros((len(d), 0)), np.zeros((0, 0)))

    @classmethod
    def of(cls, d: Array, *terms: tuple[float, Array, Array]) -> LowRank:
        """Return ``diag(d)`` plus the symmetrised terms ``c (u v^T + v u^T) / 2`` given as (c, u, v)."""
        columns = np.stack([vector for _, u, v in terms for vector in (u, v)], axis=1)
        return cls(d, columns, _blocks(*(np.array([[0, c / 2], [c / 2, 0]]) for c, _, _ in terms)))

    __array_ufunc__ = None  # a NumPy number on the left leaves the product to this class

    @property
    def T(self) -> LowRank:
        """The transpose: the matrix itself."""
        return self

    def __add__(self, other: LowRank) -> LowRank:
        if other is self:
            return 2.0 * self
        basis, core = np.hstack([self.V, other.V]), _blocks(self.S, other.S)
        return LowRank(self.d + other.d, basis, core, self.shift + other.shift)

    def __sub__(self, other: LowRank) -> LowRank:
        return self + (-1.0) * other

    def __rmul__(self, factor: float) -> LowRank:
        return LowRank(factor * self.d, self.V, factor * self.S, factor * self.shift)

    def __matmul__(self, x: Array) -> Array:
        """Return the product with a vector (P,) or a matrix (P, m)."""
        d = self.diagonal_part
        diagonal = d * x if x.ndim == 1 else d[:, None] * x
        return np.asarray(diagonal + self.V @ (self.S @ (self.V.T @ x)))

    @property
    def diagonal_part(self) -> Array:
        """``shift + d``, (P,)."""
        return self.d + self.shift if self.shift else self.d

    def dense(self) -> Array:
        """Return the full matrix, (P, P)."""
        return np.asarray(np.diag(self.diagonal_part) + self.V @ (self.S @ self.V.T))

    def trace_with(self, lam: Array) -> float:
        """Return ``tr(diag(lam) M)``."""
        return float(lam @ self.diagonal_part) + float(np.sum(self.S * (self.V.T @ (lam[:, None] * self.V))))

    def congruence(self, X: LowRank) -> LowRank:
        """Return ``M X M`` for this matrix M, again as diagonal plus low rank."""
        d, x = self.diagonal_part, X.diagonal_part
        basis = np.hstack([self.V, (x * d)[:, None] * self.V, self @ X.V])
        inner = self.S @ (self.V.T @ (x[:, None] * self.V)) @ self.S
        core = np.block([[inner, self.S], [self.S, np.zeros_like(self.S)]])
        return LowRank(d**2 * x, basis, _blocks(core, X.S))

    def inverse(self) -> LowRank:
        """Return the matrix ``M^-1`` in the same form, by the Woodbury identity (a k by k solve).

        Raises:
            numpy.linalg.LinAlgError: If the matrix is singular.
        """
        scaled, core = self._woodbury()
        return LowRank(1 / self.diagonal_part, scaled, -core)

    def remainder(self) -> LowRank:
        """Return ``k - k^2 M^-1``, k the shift, from what the matrix has beyond it: no difference is taken.

        Raises:
            numpy.linalg.LinAlgError: If the matrix is singular.
        """
        scaled, core = self._woodbury()
        return LowRank(self.shift * self.d / self.diagonal_part, self.shift * scaled, core)

    def _woodbury(self) -> tuple[Array, Array]:
        """Return ``V/d`` and ``(1 + S V^T V/d)^-1 S``, symmetric, with d the whole diagonal part."""
        d = self.diagonal_part
        if np.any(d == 0):
            raise np.linalg.LinAlgError("zero on the diagonal part")
        scaled = self.V / d[:, None]
        core = np.linalg.solve(np.eye(len(self.S)) + self.S @ (self.V.T @ scaled), self.S)
        return scaled, (core + core.T) / 2

    def positive_definite(self) -> bool:
        """Return whether every eigenvalue is positive."""
        d = self.diagonal_part
        if np.any(d <= 0):
            return bool(np.linalg.eigvalsh(self.dense())[0] > 0)
        # eigenvalues of I + d^-1/2 V S V^T d^-1/2 that differ from 1 are those of I_k + R S R^T
        triangle = np.asarray(np.linalg.qr(self.V / np.sqrt(d)[:, None], mode="r"))
        core = np.eye(len(triangle)) + triangle @ self.S @ triangle.T
        return bool(len(core) == 0 or np.linalg.eigvalsh(core)[0] > 0)


def _blocks(*parts: Array) -> Array:
    """Return square matrices along the diagonal of one, ten times as fast as SciPy's where all are small."""
    size = sum(map(len, parts))
    whole, start = np.zeros((size, size)), 0
    for part in parts:
        stop = start + len(part)
        whole[start:stop, start:stop], start = part, stop
    return whole


def congruence(G: Matrix, X: Matrix) -> Matrix:
    """Return ``G X G``."""
    return G.congruence(X) if isinstance(G, LowRank) else G @ X @ G


def inverse(M: Matrix) -> Matrix:
    """Return the inverse of a positive definite matrix, by its Cholesky factor or Woodbury's identity."""
    if isinstance(M, LowRank):
        return M.inverse()
    return cho_solve(cho_factor(M, lower=True), np.eye(len(M)))


def solve(M: Matrix, vector: Array, definite: bool = False) -> Array:
    """Return ``M^-1 v``; of a matrix that is known to be positive definite by its Cholesky factor."""
    if isinstance(M, LowRank):
        return M.inverse() @ vector
    return np.asarray(cho_solve(cho_factor(M, lower=True), vector) if definite else np.linalg.solve(M, vector))


def positive_definite(M: Matrix) -> bool:
    """Return whether every eigenvalue of a symmetric matrix is positive."""
    if isinstance(M, LowRank):
        return M.positive_definite()
    try:
        np.linalg.cholesky(M)
    except np.linalg.LinAlgError:
        return False
    return True
