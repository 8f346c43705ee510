"""Matrices over samples and outputs, and symmetric matrices over outputs.

Vectors over samples and outputs are (P m,), entry ``a m + c`` the output c of sample a. Matrices over them have one m
by m block for each sample, plus low rank: products with a dense matrix then cost ``(P m)^2`` times the rank, where
dense ones cost ``(P m)^3``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msat.types import Array


@dataclass(frozen=True, eq=False)
class Blocks:
    """The symmetric matrix ``diag(d_1, ..., d_P) + V S V^T``; together with an array it makes an array.

    Args:
        d: Blocks of the diagonal, (P, m, m).
        V: Basis of the low-rank part, (P m, k); k may be 0.
        S: Symmetric core, (k, k).
    """

    d: Array
    V: Array
    S: Array

    __array_ufunc__ = None  # a NumPy array or number on the left leaves the operation to this class

    @classmethod
    def diagonal(cls, d: Array) -> Blocks:
        """Return the matrix of the blocks alone."""
        return cls(d, np.zeros((d.shape[0] * d.shape[1], 0)), np.zeros((0, 0)))

    def __add__(self, other: Blocks | Array) -> Blocks | Array:
        if isinstance(other, np.ndarray):
            return self.dense() + other
        core = np.zeros((len(self.S) + len(other.S),) * 2)
        core[: len(self.S), : len(self.S)], core[len(self.S) :, len(self.S) :] = self.S, other.S
        return Blocks(self.d + other.d, np.hstack([self.V, other.V]), core)

    def __radd__(self, other: Array) -> Array:
        return other + self.dense()

    def __sub__(self, other: Blocks | Array) -> Blocks | Array:
        return self + (-1.0) * other

    def __rsub__(self, other: Array) -> Array:
        return other - self.dense()

    def __rmul__(self, factor: float) -> Blocks:
        return Blocks(factor * self.d, self.V, factor * self.S)

    def __matmul__(self, x: Array) -> Array:
        """Return the product with a vector (P m,) or a matrix (P m, k)."""
        samples, outputs, _ = self.d.shape
        diagonal = (self.d @ x.reshape(samples, outputs, -1)).reshape(x.shape)
        return np.asarray(diagonal + self.V @ (self.S @ (self.V.T @ x)))

    def __rmatmul__(self, x: Array) -> Array:
        return np.asarray((self @ x.T).T)

    @property
    def T(self) -> Blocks:
        """The transpose: the matrix itself."""
        return self

    def dense(self) -> Array:
        """Return the full matrix, (P m, P m)."""
        samples, outputs, _ = self.d.shape
        full = (self.V @ self.S) @ self.V.T
        every = np.arange(samples)
        full.reshape(samples, outputs, samples, outputs)[every, :, every, :] += self.d
        return full

    def output_blocks(self) -> Array:
        """Return the block of every sample, (P, m, m)."""
        samples, outputs, _ = self.d.shape
        part = self.V.reshape(samples, outputs, -1)
        return np.asarray(self.d + (part @ self.S) @ part.transpose(0, 2, 1))

    def traced(self) -> Array:
        """Return the trace over outputs, (P, P)."""
        samples, outputs, _ = self.d.shape
        part = self.V.reshape(samples, outputs, -1)
        flat = (part @ self.S).reshape(samples, -1) @ part.reshape(samples, -1).T
        return np.asarray(np.diag(np.trace(self.d, axis1=1, axis2=2)) + flat)


def over_outputs(eigenvalues: Array, axes: Array) -> Array:
    """Return ``O diag(d_k) O^T`` for each sample's eigenvalues, (P, m), in common axes O, (m, m): (P, m, m)."""
    return np.asarray((axes * eigenvalues[:, None, :]) @ axes.T)


def symmetric_basis(outputs: int) -> Array:
    """Return an orthonormal basis of the symmetric m by m matrices, (m(m+1)/2, m, m)."""
    rows, columns = np.tril_indices(outputs)
    basis = np.zeros((len(rows), outputs, outputs))
    every = np.arange(len(rows))
    size = np.where(rows == columns, 1.0, np.sqrt(0.5))
    basis[every, rows, columns] = basis[every, columns, rows] = size
    return basis


def symmetric(matrix: Array) -> Array:
    """Return the symmetric part of a matrix."""
    return np.asarray(0.5 * (matrix + matrix.T))


def exponential(X: Array) -> Array:
    """Return the exponential of a symmetric matrix."""
    x, axes = np.linalg.eigh(X)
    return np.asarray((axes * np.exp(x)) @ axes.T)
