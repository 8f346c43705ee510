"""Symmetric matrices that are diagonal plus low rank, in the eigenbasis of the input kernel.

Every covariance, curvature and hidden kernel of a linear network has this form in that basis, which is
why a level costs O(P) per iteration once the kernel is diagonalised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msat.types import Array


@dataclass(frozen=True, eq=False)
class LowRank:
    """The symmetric matrix ``diag(d) + V S V^T``.

    Args:
        d: Diagonal, shape (P,).
        V: Basis of the low-rank part, shape (P, k); k may be 0.
        S: Symmetric core, shape (k, k).
    """

    d: Array
    V: Array
    S: Array

    @classmethod
    def diagonal(cls, d: Array) -> LowRank:
        """Return ``diag(d)``."""
        return cls(d, np.zeros((len(d), 0)), np.zeros((0, 0)))

    @classmethod
    def of(cls, d: Array, *terms: tuple[float, Array, Array]) -> LowRank:
        """Return ``diag(d)`` plus the symmetrised terms ``c (u v^T + v u^T) / 2`` given as (c, u, v)."""
        columns = [vector for _, u, v in terms for vector in (u, v)]
        core = np.zeros((2 * len(terms), 2 * len(terms)))
        for i, (c, _, _) in enumerate(terms):
            core[2 * i, 2 * i + 1] = core[2 * i + 1, 2 * i] = c / 2
        return cls(d, np.stack(columns, axis=1) if columns else np.zeros((len(d), 0)), core)

    __array_ufunc__ = None  # a NumPy number on the left leaves the product to this class

    @property
    def T(self) -> LowRank:
        """The transpose: the matrix itself."""
        return self

    def __add__(self, other: LowRank) -> LowRank:
        if other is self:
            return 2.0 * self
        k, m = len(self.S), len(other.S)
        core = np.zeros((k + m, k + m))
        core[:k, :k], core[k:, k:] = self.S, other.S
        return LowRank(self.d + other.d, np.hstack([self.V, other.V]), core)

    def __sub__(self, other: LowRank) -> LowRank:
        return self + (-1.0) * other

    def __rmul__(self, factor: float) -> LowRank:
        return LowRank(factor * self.d, self.V, factor * self.S)

    def __matmul__(self, x: Array) -> Array:
        """Return the product with a vector (P,) or a matrix (P, m)."""
        diagonal = self.d * x if x.ndim == 1 else self.d[:, None] * x
        return np.asarray(diagonal + self.V @ (self.S @ (self.V.T @ x)))

    def dense(self) -> Array:
        """Return the full matrix, (P, P)."""
        full = self.V @ self.S @ self.V.T
        full.flat[:: len(self.d) + 1] += self.d
        return np.asarray(full)

    def congruence(self, X: LowRank) -> LowRank:
        """Return ``M X M`` for this matrix M, again as diagonal plus low rank."""
        k, m = len(self.S), len(X.S)
        scaled = (X.d * self.d)[:, None] * self.V
        basis = np.hstack([self.V, scaled, self @ X.V])
        core = np.zeros((2 * k + m, 2 * k + m))
        core[:k, :k] = self.S @ (self.V.T @ (X.d[:, None] * self.V)) @ self.S
        core[:k, k : 2 * k] = self.S
        core[k : 2 * k, :k] = self.S
        core[2 * k :, 2 * k :] = X.S
        return LowRank(self.d**2 * X.d, basis, core)

    def inverse(self) -> LowRank:
        """Return the matrix ``M^-1`` in the same form, by the Woodbury identity (a k by k solve).

        Raises:
            numpy.linalg.LinAlgError: If the matrix is singular.
        """
        if np.any(self.d == 0):
            raise np.linalg.LinAlgError("zero on the diagonal part")
        scaled = self.V / self.d[:, None]
        core = np.linalg.solve(np.eye(len(self.S)) + self.S @ (self.V.T @ scaled), self.S)
        return LowRank(1 / self.d, scaled, -(core + core.T) / 2)

    def positive_definite(self) -> bool:
        """Return whether every eigenvalue is positive."""
        if np.any(self.d <= 0):
            return bool(np.linalg.eigvalsh(self.dense())[0] > 0)
        # eigenvalues of I + d^-1/2 V S V^T d^-1/2 that differ from 1 are those of I_k + R S R^T
        triangle = np.asarray(np.linalg.qr(self.V / np.sqrt(self.d)[:, None], mode="r"))
        core = np.eye(len(triangle)) + triangle @ self.S @ triangle.T
        return bool(len(core) == 0 or np.linalg.eigvalsh(core)[0] > 0)
