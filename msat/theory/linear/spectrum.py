"""The input kernel of one data set, diagonalised once and used by every level and scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from msat.theory.linear.lowrank import LowRank

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigendecomposition of the input kernel ``C = (g_v / D) X X^T = U diag(lam) U^T``.

    Attributes
    ----------
    lam
        Eigenvalues, ascending, (P,); those below rounding are exactly 0.
    U
        Eigenvectors as columns, (P, P).
    y
        Labels in the eigenbasis, ``U^T y``, (P,).
    to_test
        The map from training outputs in the eigenbasis to test outputs, ``C_*train C^+ U``, (Q, P).
    test_residual
        What of each test point's prior variance lies outside the row space of the training inputs,
        ``diag(C_** - C_*train C^+ C_train*)``, (Q,).
    """

    lam: Array
    U: Array
    y: Array
    to_test: Array
    test_residual: Array

    @property
    def n_train(self) -> int:
        """Number of training samples P."""
        return len(self.lam)


def diagonalise(x_train: Array, y_train: Array, x_test: Array, g_v: float) -> Spectrum:
    """Return the `Spectrum` of a data set for first-layer prior variance ``g_v / D``.

    Costs one P by P eigendecomposition. Eigenvalues below ``max(P, D) eps lam_max`` are set to zero: those
    directions of the training outputs do not exist for a linear network.
    """
    n_train, dimension = x_train.shape
    lam, U = np.linalg.eigh((g_v / dimension) * (x_train @ x_train.T))
    floor = max(n_train, dimension) * np.finfo(np.float64).eps * lam[-1]
    lam = np.where(lam > floor, lam, 0.0)
    pseudo = np.divide(1.0, lam, out=np.zeros_like(lam), where=lam > 0)
    cross = (g_v / dimension) * (x_test @ (x_train.T @ U))
    to_test = cross * pseudo
    prior = (g_v / dimension) * np.sum(x_test**2, axis=1)
    residual = np.maximum(prior - np.sum(to_test * cross, axis=1), 0.0)
    return Spectrum(lam=lam, U=U, y=U.T @ y_train, to_test=to_test, test_residual=residual)


def rotate(spectrum: Spectrum, matrix: LowRank) -> Array:
    """Return a matrix given in the eigenbasis as a full matrix over training points, (P, P)."""
    U = spectrum.U
    rotated = U @ matrix.V
    full = (U * matrix.d) @ U.T
    full += rotated @ (matrix.S @ rotated.T)
    return np.asarray(full)
