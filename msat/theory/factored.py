"""Matrices over training points that are diagonal plus low rank in a known basis, and the numbers that they give.

A P by P matrix of a level is only formed where it is written: what is asked of it costs O(P) to O(P^2) from its
factors. The class has what `msat.observables.functions.Factored` declares.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from msat.theory.matrices import LowRank
from msat.theory.secular import eigenvalues
from msat.types import Array

_EPS = float(np.finfo(np.float64).eps)
_ROWS = 2**20  # numbers of a block of rows that is formed at once


@dataclass(frozen=True, eq=False)
class Factored:
    """The symmetric matrix ``U (diag(d) + V diag(s) V^T) U^T``. Build it with `factored`.

    Attributes:
        U: Orthonormal basis as columns, (P, P).
        d: Diagonal in it, (P,).
        V: Orthonormal vectors in it, (P, k).
        s: Their coefficients, (k,).
    """

    U: Array
    d: Array
    V: Array
    s: Array

    def __len__(self) -> int:
        return len(self.d)

    @property
    def shape(self) -> tuple[int, int]:
        """(P, P)."""
        return len(self.d), len(self.d)

    def __matmul__(self, x: Array) -> Array:
        """Return the product with a vector (P,)."""
        return np.asarray(self.U @ self._inner(self.U.T @ x))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return the dense matrix: NumPy's functions take this class for it."""
        W = self.U @ self.V
        full = (self.U * self.d) @ self.U.T
        full += (W * self.s) @ W.T
        return full if dtype is None else full.astype(dtype)

    def finite(self) -> bool:
        """Return whether every entry is."""
        return all(bool(np.all(np.isfinite(part))) for part in (self.d, self.V, self.s))

    def trace(self) -> float:
        """Return the trace."""
        return float(self.d.sum() + self.s @ np.sum(self.V**2, axis=0))

    def squares(self) -> float:
        """Return the sum of all squared entries, which is the same in every basis."""
        scaled, total = self.V * self.s, 0.0
        rows = max(1, _ROWS // len(self))
        for start in range(0, len(self), rows):
            block = scaled[start : start + rows] @ self.V.T
            block[np.arange(len(block)), start + np.arange(len(block))] += self.d[start : start + rows]
            total += float(np.sum(block**2))
        return total

    def centred(self) -> Factored:
        """Return ``Z M Z`` with ``Z = 1 - 11^T/P``."""
        u = self.U.T @ np.full(len(self), len(self) ** -0.5)
        image = self.d * u
        W = self.V - np.outer(u, u @ self.V)
        inner = LowRank.of(self.d, (-2.0, u, image - 0.5 * float(u @ image) * u))
        return factored(inner + LowRank(np.zeros_like(u), W, np.diag(self.s)), self.U)

    @cached_property
    def eigenvalues(self) -> Array:
        """All eigenvalues, ascending, (P,)."""
        return eigenvalues(self.d, self.V, self.s)

    def largest(self, start: Array) -> float:
        """Return the largest eigenvalue, by Lanczos' method from a vector (P,)."""
        if len(self.s) == 0:
            return float(self.d.max())
        operator = LinearOperator(self.shape, matvec=self._inner, dtype=np.float64)
        try:
            return float(eigsh(operator, k=1, which="LA", v0=start, tol=1e-12, return_eigenvectors=False)[0])
        except ArpackNoConvergence:  # many eigenvalues nearly as large
            return float(self.eigenvalues[-1])

    def _inner(self, x: Array) -> Array:
        return np.asarray(self.d * x + self.V @ (self.s * (self.V.T @ x)))


def factored(matrix: LowRank, U: Array) -> Factored:
    """Return ``U M U^T`` of a matrix M, with as many terms as its low-rank part has to rounding."""
    if matrix.V.shape[1] == 0:
        return Factored(U, matrix.d, matrix.V, np.zeros(0))
    basis, triangle = np.linalg.qr(matrix.V)
    core = triangle @ matrix.S @ triangle.T
    if not np.all(np.isfinite(core)):
        return Factored(U, np.full_like(matrix.d, np.nan), matrix.V[:, :0], np.zeros(0))
    s, vectors = np.linalg.eigh(0.5 * (core + core.T))
    keep = np.abs(s) > _EPS * max(float(np.abs(s).max()), float(np.abs(matrix.d).max()))
    return Factored(U, matrix.d, basis @ vectors[:, keep], s[keep])
