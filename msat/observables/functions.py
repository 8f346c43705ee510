"""Numbers drawn from means, covariances and kernels: pure functions (docs/theory.md, sections 1 and 10).

Throughout, `y` are labels and `mean` the mean outputs on the same points, both (P,); `matrix` is symmetric, (P, P), and
so are `covariance`, of the outputs without label noise, the hidden kernel `kernel`, H, and its prior, K.
"""

from __future__ import annotations

import numpy as np

from msat.types import Array


def discrepancy(y: Array, mean: Array) -> float:
    """Return ``y.(y - <f>) / P``, the train or test discrepancy; 0 is a perfect fit, |y|^2/P none."""
    _same_shape(y, mean)
    return float(y @ (y - mean) / len(y))


def mean_squared_error(y: Array, mean: Array, covariance: Array) -> float:
    """Return ``|y - <f>|^2/P + Tr Cov/P``, the expected squared error of a network drawn from the posterior.

    Args:
        covariance: (P, P), or its diagonal (P,).
    """
    variance = covariance if covariance.ndim == 1 else np.diag(covariance)
    _same_shape(y, mean)
    _same_shape(y, variance)
    return float(np.sum((y - mean) ** 2) / len(y) + np.sum(variance) / len(y))


def along_target(y: Array, matrix: Array) -> float:
    """Return ``y.M y / |y|^2``: a covariance's or a kernel's component along the target."""
    _square(y, matrix)
    return float(y @ matrix @ y / (y @ y))


def across_target(y: Array, matrix: Array) -> float:
    """Return ``(tr M - y.M y/|y|^2) / (P - 1)``: the mean over directions orthogonal to the target; NaN for P = 1."""
    along = along_target(y, matrix)
    return (float(np.trace(matrix)) - along) / (len(y) - 1) if len(y) > 1 else float("nan")


LARGEST_SPECTRUM = 500  # samples up to which whole spectra are given: a diagonalisation costs P^3


def spectrum(matrix: Array) -> Array:
    """Return the eigenvalues in descending order, (P,); all NaN if an entry is NaN or P > 500."""
    if len(matrix) > LARGEST_SPECTRUM or not np.all(np.isfinite(matrix)):
        return np.full(len(matrix), np.nan)
    return np.asarray(np.linalg.eigvalsh(matrix)[::-1])


def outlier(matrix: Array) -> float:
    """Return the largest eigenvalue by Lanczos' method; NaN if an entry is NaN."""
    from scipy.sparse.linalg import ArpackNoConvergence, eigsh  # slow to load, and used only here

    if not np.all(np.isfinite(matrix)):
        return float("nan")
    start = np.random.default_rng(0).standard_normal(len(matrix))  # a fixed start gives the same bits
    try:
        return float(eigsh(matrix, k=1, which="LA", v0=start, tol=1e-12, return_eigenvectors=False)[0])
    except ArpackNoConvergence:  # many eigenvalues nearly as large
        return float(np.linalg.eigvalsh(matrix)[-1])


def effective_rank(matrix: Array) -> float:
    """Return the participation ratio ``(tr M)^2 / tr M^2``: P if all eigenvalues are equal, 1 if one counts."""
    return float(np.trace(matrix) ** 2 / np.sum(matrix**2))


def gain(y: Array, kernel: Array, prior: Array) -> float:
    """Return ``y.H y / y.K y``: how much larger a kernel is along the target than the prior one."""
    return along_target(y, kernel) / along_target(y, prior)


def centred_alignment(y: Array, kernel: Array) -> float:
    """Return the centred kernel alignment of H with ``y y^T``, a cosine between 0 and 1.

    ``yc.H yc / (|yc|^2 |Z H Z|_F)`` with ``Z = 1 - 11^T/P`` and ``yc = Z y`` (Cortes, Mohri & Rostamizadeh 2012).
    NaN where the labels are all the same.
    """
    _square(y, kernel)
    yc = y - y.mean()
    if np.linalg.norm(yc) <= 1e-12 * np.linalg.norm(y):
        return float("nan")
    centred = kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean()
    return float(yc @ kernel @ yc / (yc @ yc * np.linalg.norm(centred)))


def weight_alignment(along: float, direction: Array) -> float:
    """Return ``E[(1/N) sum_i (V_i.u)^2] D / g_v``, the first layer's weight along a direction; 1 under the prior.

    Training moves only the part of V in the row space of the training inputs; what of u lies outside keeps its
    prior share ``1 - |u_r|^2``.

    Args:
        along: ``E[(1/N) sum_i (a_i.u_r)^2]`` of the whitened row-space coordinates.
        direction: The row-space coordinates u_r of a unit vector u, (r,).
    """
    return along + (1 - float(direction @ direction))


def evidence_slope(y: Array, mean: Array, kappa: float) -> float:
    """Return ``d ln p(y) / d ln chi = P/2 - y.(y - <f>) / (2 kappa)``, kappa the label-noise variance at the scale.

    Exact for every activation, since ``p(y | chi) = chi^(P/2) p(sqrt(chi) y | 1)`` (docs/theory.md, section 10):
    the preferred scale is where the train discrepancy equals kappa.
    """
    return len(y) / 2 * (1 - discrepancy(y, mean) / kappa)


def evidence_bend(y: Array, mean: Array, covariance: Array, kappa: float) -> float:
    """Return ``d^2 ln p(y) / d(ln chi)^2 = (1/4) [(y.Cov y - kappa |y|^2)/kappa^2 - y.(y - <f>)/kappa]``."""
    spread = (along_target(y, covariance) - kappa) * float(y @ y) / kappa**2
    return 0.25 * (spread - len(y) * discrepancy(y, mean) / kappa)


def _same_shape(y: Array, other: Array) -> None:
    # (P,) minus (P, 1) would broadcast to (P, P) without a word
    if y.ndim != 1 or y.shape != other.shape:
        raise ValueError(f"shapes {y.shape} and {other.shape}: both must be (P,)")


def _square(y: Array, matrix: Array) -> None:
    if matrix.shape != (len(y), len(y)):
        raise ValueError(f"matrix has shape {matrix.shape}, expected {(len(y), len(y))}")
