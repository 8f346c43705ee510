"""Eigenvalues of diagonal plus low rank, one term of the low rank at a time, in O(P^2) each.

The eigenvalues of ``diag(d) + rho z z^T``, rho > 0, are the roots of the secular equation
``1 + rho sum_j z_j^2 / (d_j - x) = 0``, one in each interval between successive d and one above all (Golub 1973).
LAPACK finds each with its distances from all d, so that none loses digits where it is close to one. The eigenvectors
that carry the other terms along are those of the weights z for which the roots found are exact: they are orthogonal to
rounding (Gu and Eisenstat 1994).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dlasd4

from msat.types import Array

_EPS = float(np.finfo(np.float64).eps)


def eigenvalues(d: Array, V: Array, s: Array) -> Array:
    """Return the eigenvalues of ``diag(d) + V diag(s) V^T``, ascending, (P,), to rounding of the largest.

    Rounding grows where columns of V are nearly parallel: `msat.theory.factored` makes them orthonormal.

    Args:
        d: Diagonal, (P,), in any order; values may repeat.
        V: Vectors of the low-rank part, (P, k).
        s: Their coefficients of either sign, (k,).
    """
    for strength in s:
        sign = 1.0 if strength >= 0 else -1.0
        d, V = _updated(sign * d, abs(float(strength)), V[:, 0], V[:, 1:])
        d = sign * d
    return np.sort(d)


def _updated(d: Array, strength: float, z: Array, V: Array) -> tuple[Array, Array]:
    """Return the eigenvalues of ``diag(d) + strength z z^T``, and V in the basis of its eigenvectors."""
    length = float(np.linalg.norm(z))
    rho = strength * length**2
    if rho == 0:
        return d, V
    order = np.argsort(d, kind="stable")
    d, z, V = d[order], z[order] / length, V[order]
    tolerance = 8 * _EPS * max(float(np.abs(d).max()), rho)
    _merge(d, z, V, tolerance)
    active = rho * np.abs(z) > tolerance
    if not np.any(active):
        return d, V
    lowest, weights = d[active][0], z[active]
    roots = np.sqrt(d[active] - lowest)  # LAPACK's are of singular values
    squares, gaps = _roots(roots, rho * float(weights @ weights), weights / np.linalg.norm(weights))
    found = np.concatenate([lowest + squares, d[~active]])
    if V.shape[1] == 0:
        return found, V
    between = (roots - roots[:, None]) * (roots + roots[:, None])  # d_j - d_i
    np.fill_diagonal(between, 1.0)
    exact = np.sqrt(np.abs(np.prod(gaps / between, axis=0)))  # z up to a factor
    vectors = exact * np.sign(weights) / gaps
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    return found, np.concatenate([vectors @ V[active], V[~active]])


def _merge(d: Array, z: Array, V: Array, tolerance: float) -> None:
    """Make equal d equal and couple only one of them, by a reflection among them: in place, d ascending."""
    start = 0
    while start < len(d):
        stop = start + 1
        while stop < len(d) and d[stop] <= d[start] + tolerance:
            stop += 1
        if stop - start > 1:
            normal = z[start:stop].copy()
            size = float(np.linalg.norm(normal))
            normal[0] -= size  # of the mirror that takes these z to the first axis
            d[start:stop], z[start:stop], z[start] = d[start], 0.0, size
            square = float(normal @ normal)
            if square > 0:
                V[start:stop] -= np.outer(normal, (2 / square) * (normal @ V[start:stop]))
        start = stop


def _roots(d: Array, rho: float, z: Array) -> tuple[Array, Array]:
    """Return the eigenvalues x of ``diag(d^2) + rho z z^T``, ascending, (m,), and ``d_j^2 - x_i``, (i, j).

    Args:
        d: Ascending and different, from 0, (m,).
        z: A unit vector without zeros, (m,).

    Raises:
        numpy.linalg.LinAlgError: If a root is not found.
    """
    if len(d) == 1:  # LAPACK gives no distances
        return np.array([rho]), np.array([[-rho]])
    squares, gaps = np.empty(len(d)), np.empty((len(d), len(d)))
    for i in range(len(d)):
        difference, root, total, failed = dlasd4(i, d, z, rho)
        if failed:
            raise np.linalg.LinAlgError("secular equation: a root was not found")
        squares[i], gaps[i] = root**2, difference * total
    if 0.9 * squares[-1] > d[-1] ** 2:  # well above all d LAPACK's distances lose digits, and differences do not
        for _ in range(2):  # Newton's method
            terms = rho * z**2 / (d**2 - squares[-1])
            squares[-1] -= (1 + float(terms.sum())) / float((terms / (d**2 - squares[-1])).sum())
        gaps[-1] = d**2 - squares[-1]
    return squares, gaps
