"""Numbers drawn from means, covariances and kernels: pure functions (docs/theory.md, sections 1 and 10).

Throughout, `y` are labels and `mean` the mean outputs on the same points, both (P,), or (P, m) of m > 1 outputs;
`matrix` is symmetric, (P, P), and so are the hidden kernel `kernel`, H, and its prior, K, and `covariance`, of the
outputs without label noise: of several it is over all of them, (P m, P m), and so then are labels beside it, (P m,).
A matrix is an array, or `Factored`: known by factors, and never formed here.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np

from msat.types import Array


class Factored(Protocol):
    """A symmetric matrix (P, P) that gives what is asked of it from factors. NumPy's functions take it as an array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(P, P)."""

    @property
    def eigenvalues(self) -> Array:
        """All, ascending, (P,)."""

    def __len__(self) -> int: ...
    def __matmul__(self, x: Array, /) -> Array: ...
    def __array__(self) -> Array: ...
    def finite(self) -> bool:
        """Return whether every entry is."""

    def trace(self) -> float:
        """Return the trace."""

    def squares(self) -> float:
        """Return the sum of all squared entries."""

    def centred(self) -> Factored:
        """Return ``Z M Z`` with ``Z = 1 - 11^T/P``."""

    def largest(self, start: Array) -> float:
        """Return the largest eigenvalue, by Lanczos' method from a vector (P,)."""


Symmetric: TypeAlias = Array | Factored


def discrepancy(y: Array, mean: Array, delta: Array | None = None) -> float:
    """Return ``y.(y - <f>) / (P m)``, the train or test discrepancy; 0 is a perfect fit, |y|^2/(P m) none.

    Args:
        delta: ``y - <f>`` where it is known by itself: of a good fit the difference has only rounding.
    """
    _same_shape(y, mean)
    return float(y.ravel() @ (y - mean if delta is None else delta).ravel() / y.size)


def accuracy(y: Array, mean: Array) -> float:
    """Return the share of points whose largest mean output is that of the largest label, of several outputs."""
    _same_shape(y, mean)
    return float(np.mean(np.argmax(y, axis=1) == np.argmax(mean, axis=1))) if np.all(np.isfinite(mean)) else np.nan


def mean_squared_error(y: Array, mean: Array, variance: Array | float) -> float:
    """Return ``(|y - <f>|^2 + Tr Cov)/(P m)``, the expected squared error of a network drawn from the posterior.

    Args:
        variance: The diagonal of Cov, shaped like the labels, or its mean.
    """
    _same_shape(y, mean)
    if isinstance(variance, np.ndarray):
        _same_shape(y, variance)
    return float(np.sum((y - mean) ** 2) / y.size + np.mean(variance))


def along_target(y: Array, matrix: Symmetric) -> float:
    """Return ``y.M y / |y|^2``: a covariance's or a kernel's component along the target; ``tr y^T M y / |y|^2``."""
    _square(y, matrix)
    if y.ndim == 2:
        return float(sum(column @ (matrix @ column) for column in y.T) / np.sum(y**2))
    return float(y @ (matrix @ y) / (y @ y))


def across_target(y: Array, matrix: Symmetric) -> float:
    """Return ``(tr M - y.M y/|y|^2) / (P - 1)``: the mean over directions orthogonal to the target; NaN for P = 1."""
    along = along_target(y, matrix)
    return (float(matrix.trace()) - along) / (len(y) - 1) if len(y) > 1 else float("nan")


def mean_variance(along: float, across: float, n_train: int) -> float:
    """Return ``Tr Cov / P`` from the variances along and across the target; the latter is not defined for P = 1."""
    return (along + (n_train - 1) * across) / n_train if n_train > 1 else along


LARGEST_SPECTRUM = 500  # samples up to which whole spectra are given: a diagonalisation of an array costs P^3


def spectrum(matrix: Symmetric) -> Array:
    """Return the eigenvalues in descending order, (P,); all NaN if an entry is NaN or P > 500."""
    if len(matrix) > LARGEST_SPECTRUM or not _finite(matrix):
        return np.full(len(matrix), np.nan)
    return np.asarray((np.linalg.eigvalsh(matrix) if isinstance(matrix, np.ndarray) else matrix.eigenvalues)[::-1])


def outlier(matrix: Symmetric) -> float:
    """Return the largest eigenvalue by Lanczos' method; NaN if an entry is NaN."""
    if not _finite(matrix):
        return float("nan")
    return _leading(matrix)[0] if isinstance(matrix, np.ndarray) else matrix.largest(_start(len(matrix)))


def directions(matrix: Array) -> Array:
    """Return the eigenvectors of `spectrum`'s eigenvalues as columns, (P, P), of the largest alone, (P, 1), if P > 500.

    All NaN if an entry is NaN.
    """
    whole = len(matrix) <= LARGEST_SPECTRUM
    if not _finite(matrix):
        return np.full((len(matrix), len(matrix) if whole else 1), np.nan)
    return np.asarray(np.linalg.eigh(matrix)[1][:, ::-1] if whole else _leading(matrix)[1])


def along(matrix: Array, columns: Array) -> Array:
    """Return ``v.M v`` for each unit vector v among the columns."""
    return np.asarray(np.einsum("pk,pk->k", columns, matrix @ columns))


def _start(size: int) -> Array:
    return np.random.default_rng(0).standard_normal(size)  # a fixed start gives the same bits


def _leading(matrix: Array) -> tuple[float, Array]:
    from scipy.sparse.linalg import ArpackNoConvergence, eigsh  # slow to load, and used only here

    try:
        values, vectors = eigsh(matrix, k=1, which="LA", v0=_start(len(matrix)), tol=1e-12)
    except ArpackNoConvergence:  # many eigenvalues nearly as large
        values, vectors = np.linalg.eigh(matrix)
    return float(values[-1]), vectors[:, -1:]


def effective_rank(matrix: Symmetric) -> float:
    """Return the participation ratio ``(tr M)^2 / tr M^2``: P if all eigenvalues are equal, 1 if one counts."""
    squares = np.sum(matrix**2) if isinstance(matrix, np.ndarray) else matrix.squares()
    return float(matrix.trace() ** 2 / squares)


def gain(y: Array, kernel: Symmetric, prior: Symmetric) -> float:
    """Return ``y.H y / y.K y``: how much larger a kernel is along the target than the prior one."""
    return along_target(y, kernel) / along_target(y, prior)


def centred_alignment(y: Array, kernel: Symmetric) -> float:
    """Return the centred kernel alignment of H with ``y y^T``, a cosine between 0 and 1.

    ``yc.H yc / (|yc|^2 |Z H Z|_F)`` with ``Z = 1 - 11^T/P`` and ``yc = Z y`` (Cortes, Mohri & Rostamizadeh 2012);
    of several outputs ``tr yc^T H yc / (|yc^T yc|_F |Z H Z|_F)``. NaN where the labels are all the same.
    """
    _square(y, kernel)
    yc = y - y.mean(axis=0)
    if np.linalg.norm(yc) <= 1e-12 * np.linalg.norm(y):
        return float("nan")
    if isinstance(kernel, np.ndarray):
        size = float(np.linalg.norm(kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean()))
    else:
        size = kernel.centred().squares() ** 0.5
    if y.ndim == 2:
        return float(sum(column @ (kernel @ column) for column in yc.T) / (np.linalg.norm(yc.T @ yc) * size))
    return float(yc @ (kernel @ yc) / (yc @ yc * size))


def weight_alignment(along: float, direction: Array) -> float:
    """Return ``E[(1/N) sum_i (V_i.u)^2] D / g_v``, the first layer's weight along a direction; 1 under the prior.

    Training moves only the part of V in the row space of the training inputs; what of u lies outside keeps its
    prior share ``1 - |u_r|^2``.

    Args:
        along: ``E[(1/N) sum_i (a_i.u_r)^2]`` of the whitened row-space coordinates.
        direction: The row-space coordinates u_r of a unit vector u, (r,).
    """
    return along + (1 - float(direction @ direction))


def evidence_slope(y: Array, mean: Array, kappa: float, delta: Array | None = None) -> float:
    """Return ``d ln p(y) / d ln chi = P m/2 - y.(y - <f>) / (2 kappa)``, kappa the label-noise variance at the scale.

    Exact for every activation, since ``p(y | chi) = chi^(P m/2) p(sqrt(chi) y | 1)`` (docs/theory.md, section 10):
    the preferred scale is where the train discrepancy equals kappa.
    """
    return y.size / 2 * (1 - discrepancy(y, mean, delta) / kappa)


def evidence_bend(
    y: Array,
    mean: Array,
    covariance: Symmetric,
    kappa: float,
    delta: Array | None = None,
    response: float | None = None,
) -> float:
    """Return ``d^2 ln p(y) / d(ln chi)^2 = (1/4) [(y.Cov y - kappa |y|^2)/kappa^2 - y.(y - <f>)/kappa]``.

    Args:
        delta: As of `discrepancy`.
        response: ``(kappa |y|^2 - y.Cov y)/kappa^2``, y times d<ft>/dy times y, where it is known by itself.
    """
    flat = y.ravel()
    if response is None:
        response = (kappa - along_target(flat, covariance)) * float(flat @ flat) / kappa**2
    return -0.25 * (response + y.size * discrepancy(y, mean, delta) / kappa)


def _same_shape(y: Array, other: Array) -> None:
    # (P,) minus (P, 1) would broadcast to (P, P) without a word
    if y.shape != other.shape or not (y.ndim == 1 or (y.ndim == 2 and y.shape[1] > 1)):
        raise ValueError(f"shapes {y.shape} and {other.shape}: both must be (P,), or (P, m) of m > 1 outputs")


def _finite(matrix: Symmetric) -> bool:
    return bool(np.all(np.isfinite(matrix))) if isinstance(matrix, np.ndarray) else matrix.finite()


def _square(y: Array, matrix: Symmetric) -> None:
    if matrix.shape != (len(y), len(y)):
        raise ValueError(f"matrix has shape {matrix.shape}, expected {(len(y), len(y))}")
