"""Importance sampling of the readout matrix S by randomised quasi-Monte Carlo.

Coordinates are those of ``S = L L^T``, L lower triangular: (ln l_cc, l_cd), in which the invariant measure is
``2^m prod_c l_cc^(1-c)``, c = 1..m, and the prior's off-diagonals are exactly normal. The proposal is normal with the
curvature at the mode, or Student's t where the posterior has heavier tails than that (small N), and a mixture of these
where there are several modes; its points are several independent scrambles of one Sobol sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
_SAME = 1e-4  # relative distance below which two modes are one
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


def modes(mixture: MatrixMixture, first: Array, others: Iterable[Array]) -> list[Summit]:
    """Return the maximum that is reached from a first S, and those different from it reached from others."""
    found = [mode(mixture, first)]
    for start in others:
        at = mode(mixture, start)
        regular = np.linalg.eigvalsh(at.curvature)[0] > 0
        if regular and all(_apart(at.point, known.point) for known in found):
            found.append(at)
    return found


def _apart(L: Array, other: Array) -> bool:
    return bool(np.linalg.norm(L - other) > _SAME * np.linalg.norm(L + other))


class _Proposal:
    """The law of L about one mode, from standardised coordinates z, (points, n)."""

    def __init__(self, summit: Summit) -> None:
        self.summit = summit
        self.rows, self.columns = np.tril_indices(len(summit.point))
        self.lower = np.linalg.cholesky(summit.curvature)
        self.log_det = float(np.log(np.diag(self.lower)).sum())

    def placed(self, z: Array) -> Array:
        """Return L at points z, (points, m, m)."""
        rows, columns, diagonal = self.rows, self.columns, self.rows == self.columns
        steps = np.linalg.solve(self.lower.T, z.T).T
        L = np.broadcast_to(self.summit.point, (len(z), *self.summit.point.shape)).copy()
        L[:, rows[~diagonal], columns[~diagonal]] += steps[:, ~diagonal]
        L[:, rows[diagonal], columns[diagonal]] *= np.exp(steps[:, diagonal])
        return L

    def standardised(self, L: Array) -> Array:
        """Return z of points L, the inverse of `placed`."""
        here, there = (np.asarray(at[..., self.rows, self.columns]) for at in (self.summit.point, L))
        diagonal = self.rows == self.columns
        steps = there - here
        steps[:, diagonal] = np.log(there[:, diagonal] / here[diagonal])
        return np.asarray(steps @ self.lower)


def _shares(summits: Sequence[Summit]) -> list[int]:
    """Return the numbers of points about each mode: by what Laplace's method has there, a tenth of them at least."""
    heights = np.array([at.value - 0.5 * float(np.linalg.slogdet(at.curvature)[1]) for at in summits])
    shares = np.exp(heights - heights.max())
    shares = 0.1 / len(shares) + 0.9 * shares / shares.sum()
    ends = np.round(np.cumsum(shares) * POINTS).astype(int)
    return [int(count) for count in np.diff([0, *ends])]


def scrambles(mixture: MatrixMixture, summits: Sequence[Summit], rng: np.random.Generator) -> Iterator[Sampled]:
    """Yield the points of each scramble; the mean of exp(log weight) is the integral of exp(e) over the measure.

    About several modes the points are shared out, and each counts by the density of all proposals together.

    Raises:
        numpy.linalg.LinAlgError: If the curvature at a mode is not positive definite.
    """
    outputs, width = len(summits[0].point), mixture.network.width
    n, proposals, counts = outputs * (outputs + 1) // 2, [_Proposal(at) for at in summits], _shares(summits)
    blocks = [slice(end - count, end) for end, count in zip(np.cumsum(counts), counts, strict=True)]
    for _ in range(SCRAMBLES):
        uniform = qmc.Sobol(n + (width < _NARROW), rng=rng).random(POINTS).clip(_EDGE, 1 - _EDGE)
        z = ndtri(uniform[:, :n])
        if width < _NARROW:
            z /= np.sqrt(2 * gammaincinv(_DEGREES / 2, uniform[:, n:]) / _DEGREES)
        L = np.concatenate([each.placed(z[block]) for each, block in zip(proposals, blocks, strict=True)])
        densities = []
        for each, block, count in zip(proposals, blocks, counts, strict=True):
            own = z if len(proposals) == 1 else each.standardised(L)
            own[block] = z[block]
            density = _log_density(np.sum(own**2, axis=1), n, width) + each.log_det
            densities.append(density + np.log(count / POINTS))
        log_density = np.logaddexp.reduce(densities)
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
