"""Importance sampling of the readout matrix S by randomised quasi-Monte Carlo.

Coordinates are those of ``S = L L^T``, L lower triangular: (ln l_cc, l_cd), in which the invariant measure is
``2^m prod_c l_cc^(1-c)``, c = 1..m, and the prior's off-diagonals are exactly normal. The proposal is normal with the
curvature at the mode, or Student's t where the posterior has heavier tails than that (small N); its points are
several independent scrambles of one Sobol sequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import gammaincinv, gammaln, ndtri
from scipy.stats import qmc

from msat.theory.several.matrices import symmetric
from msat.theory.several.mixture import Local, MatrixMixture, Summit, ascend
from msat.theory.several.points import POINTS, SCRAMBLES
from msat.types import Array

_DEGREES = 6  # of freedom of Student's t
_NARROW = 20  # width below which the proposal is Student's t
_EDGE = 2.0**-33  # points are kept off the edges of the cube, where normal deviates are infinite


class Sampled(NamedTuple):
    """Matrices S of one scramble with what `MatrixMixture.split` gives of them, and log weights, (n,)."""

    s: Array
    axes: Array
    along: Array
    log_weights: Array


def mode(mixture: MatrixMixture, start: Array) -> Summit:
    """Return the maximum over L of the posterior density in these coordinates, from a first S."""
    return ascend(
        lambda L: _height(mixture, L),
        lambda L: _local(mixture, L),
        np.asarray(np.linalg.cholesky(start), dtype=np.float64),
    )


def scrambles(mixture: MatrixMixture, summit: Summit, rng: np.random.Generator) -> Iterator[Sampled]:
    """Yield the points of each scramble; the mean of exp(log weight) is the integral of exp(e) over the measure.

    Raises:
        numpy.linalg.LinAlgError: If the curvature at the mode is not positive definite.
    """
    outputs, width = len(summit.point), mixture.network.width
    rows, columns = np.tril_indices(outputs)
    n, diagonal = len(rows), rows == columns
    lower = np.linalg.cholesky(summit.curvature)
    log_det = float(np.log(np.diag(lower)).sum())
    for _ in range(SCRAMBLES):
        uniform = qmc.Sobol(n + (width < _NARROW), rng=rng).random(POINTS).clip(_EDGE, 1 - _EDGE)
        z = ndtri(uniform[:, :n])
        if width < _NARROW:
            z /= np.sqrt(2 * gammaincinv(_DEGREES / 2, uniform[:, n:]) / _DEGREES)
        log_density = _log_density(np.sum(z**2, axis=1), n, width) + log_det
        steps = np.linalg.solve(lower.T, z.T).T
        L = np.broadcast_to(summit.point, (POINTS, outputs, outputs)).copy()
        L[:, rows[~diagonal], columns[~diagonal]] += steps[:, ~diagonal]
        L[:, rows[diagonal], columns[diagonal]] *= np.exp(steps[:, diagonal])
        s, axes, along = mixture.split(L @ L.transpose(0, 2, 1))
        s = np.maximum(s, np.finfo(np.float64).tiny)
        yield Sampled(s, axes, along, mixture.exponent(s, along) + _log_measure(L) - log_density)


def _log_density(squares: Array, n: int, width: int) -> Array:
    """Return the log density of standardised points from their squared lengths."""
    if width >= _NARROW:
        return np.asarray(-0.5 * squares - n / 2 * np.log(2 * np.pi))
    half = (_DEGREES + n) / 2
    constant = float(gammaln(half) - gammaln(_DEGREES / 2)) - n / 2 * np.log(_DEGREES * np.pi)
    return np.asarray(constant - half * np.log1p(squares / _DEGREES))


def _log_measure(L: Array) -> Array:
    """Return ``ln(2^m prod_c l_cc^(1-c))`` of matrices L, (...)."""
    outputs = L.shape[-1]
    diagonal = np.diagonal(L, axis1=-2, axis2=-1)
    return np.asarray(outputs * np.log(2) - np.log(diagonal) @ np.arange(outputs))


def _height(mixture: MatrixMixture, L: Array) -> float:
    return mixture.value(L @ L.T) + float(_log_measure(L))


def _local(mixture: MatrixMixture, L: Array) -> Local:
    """Return the log posterior density about L in its coordinates."""
    rows, columns = np.tril_indices(len(L))
    n, diagonal = len(rows), rows == columns
    change = np.zeros((n, *L.shape))
    change[np.arange(n), rows, columns] = np.where(diagonal, np.diag(L)[rows], 1.0)
    half = change @ L.T
    directions = half + half.transpose(0, 2, 1)
    at = mixture.derivatives(L @ L.T)
    slopes = np.einsum("ab,pab->p", at.gradient, directions)
    hessian = at.second(directions) + np.diag(np.where(diagonal, slopes, 0.0))
    hessian += 2 * np.einsum("ab,pbc,qac->pq", at.gradient, change, change, optimize=True)

    def moved(step: Array) -> Array:
        there = L.copy()
        there[rows[~diagonal], columns[~diagonal]] += step[~diagonal]
        there[rows[diagonal], columns[diagonal]] *= np.exp(step[diagonal])
        return there

    return Local(slopes - np.where(diagonal, rows, 0), symmetric(hessian), moved)
