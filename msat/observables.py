"""Numbers drawn from means, covariances and kernels: pure functions (docs/theory.md, section 1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def discrepancy(y: Array, mean: Array) -> float:
    """Return ``y.(y - <f>) / P``, the train or test discrepancy; 0 is a perfect fit, |y|^2/P none.

    Parameters
    ----------
    y, mean
        Labels and mean outputs, both (P,).
    """
    _same_shape(y, mean)
    return float(y @ (y - mean) / len(y))


def mean_squared_error(y: Array, mean: Array, covariance: Array) -> float:
    """Return ``|y - <f>|^2/P + Tr Cov/P``, the expected squared error of a network drawn from the posterior.

    Parameters
    ----------
    covariance
        Output covariance (P, P), or its diagonal (P,).
    """
    _same_shape(y, mean)
    variance = covariance if covariance.ndim == 1 else np.diag(covariance)
    _same_shape(y, variance)
    return float(np.sum((y - mean) ** 2) / len(y) + np.sum(variance) / len(y))


def along_target(y: Array, matrix: Array) -> float:
    """Return ``y.M y / |y|^2``: a covariance's or a kernel's component along the target.

    Parameters
    ----------
    y
        Labels, (P,).
    matrix
        Symmetric matrix, (P, P).
    """
    if matrix.shape != (len(y), len(y)):
        raise ValueError(f"matrix has shape {matrix.shape}, expected {(len(y), len(y))}")
    return float(y @ matrix @ y / (y @ y))


def _same_shape(y: Array, other: Array) -> None:
    # (P,) minus (P, 1) would broadcast to (P, P) without a word
    if y.ndim != 1 or y.shape != other.shape:
        raise ValueError(f"shapes {y.shape} and {other.shape}: both must be (P,)")
