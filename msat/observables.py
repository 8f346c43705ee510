"""Numbers drawn from means, covariances and kernels: pure functions (docs/theory.md, section 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.polynomial import hermite_e
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


COMPONENT_DEGREES = (1, 2, 3)


def component_projection(provenance: Mapping[str, Any], x: Array) -> Array | None:
    """Return the matrix that maps outputs on inputs x to their Hermite components along the teacher, (3, rows).

    The components of f are the least-squares coefficients of He_1, He_2, He_3 of ``u.x``, so that
    correlations of the polynomials on finitely many points do not count. None if the data have no
    single-index teacher, or fewer rows than components.

    Parameters
    ----------
    provenance
        Of the task; ``direction`` is the teacher's u.
    x
        Inputs, (rows, D).
    """
    if "direction" not in provenance or len(x) < len(COMPONENT_DEGREES):
        return None
    design = hermite_e.hermevander(x @ np.asarray(provenance["direction"]), max(COMPONENT_DEGREES))
    return np.asarray(np.linalg.pinv(design[:, list(COMPONENT_DEGREES)]))


def _same_shape(y: Array, other: Array) -> None:
    # (P,) minus (P, 1) would broadcast to (P, P) without a word
    if y.ndim != 1 or y.shape != other.shape:
        raise ValueError(f"shapes {y.shape} and {other.shape}: both must be (P,)")
