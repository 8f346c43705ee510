"""The posterior of the readout scale ``s = |w|^2`` given a fixed kernel (docs/theory.md, eq. 4).

With ``t = ln s`` and kernel eigenvalues ``lam`` the unnormalised log posterior is

    e(t) = (N/2) t - N e^t / (2 g) - (1/2) sum_k ln(s lam_k + kappa) - (1/2) sum_k y_k^2 / (s lam_k + kappa).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln

from msat.errors import ComputationError
from msat.network import Network
from msat.types import Array

_DEPTH = 60.0  # the integrand is cut where it is e^-60 of its maximum
_SCAN = 2049
_INTERVALS = [2**k for k in range(6, 15)]
_TOLERANCE = 1e-13
_CELL = 0.05  # of t, in which maxima are looked for
_LONGEST = 5.0  # first step of t from a maximum to where it ends
_LARGEST_ROUNDING = 1e-7  # of the integrand
_CHUNK = 2**22  # numbers held at once in a scan: bounds memory for large P

Exponent = Callable[[Array], Array]  # e(t) at each of the given points


class Quadrature(NamedTuple):
    """Posterior of s as weighted nodes.

    Attributes:
        s, weights: Nodes and normalised weights, (n,).
        log_evidence: ``ln p(y)`` with all constants.
        residual, converged, nodes: Change at the last doubling, whether it met the tolerance, number of nodes.
    """

    s: Array
    weights: Array
    log_evidence: float
    residual: float
    converged: bool
    nodes: int


class ScaleMixture(NamedTuple):
    """The exponent e(t) of kernel eigenvalues and labels in their eigenbasis, (P,), and a network."""

    lam: Array
    y: Array
    network: Network

    @property
    def log_constant(self) -> float:
        """The part of ``ln p(y)`` that does not depend on s."""
        half = self.network.width / 2
        return float(half * np.log(half / self.network.g) - gammaln(half) - len(self.y) / 2 * np.log(2 * np.pi))

    def exponent(self, t: Array) -> Array:
        """Return e(t) at each of the given points."""

        def at(t: Array) -> Array:
            s = np.exp(t)
            d = s[:, None] * self.lam + self.network.kappa
            prior = self.network.width / 2 * (t - s / self.network.g)
            return np.asarray(prior - 0.5 * np.log(d).sum(axis=1) - 0.5 * (self.y**2 / d).sum(axis=1))

        return self._by_chunks(t, at)

    def derivatives(self, t: float) -> tuple[float, float]:
        """Return e'(t) and e''(t)."""
        half, g, kappa, s = self.network.width / 2, self.network.g, self.network.kappa, np.exp(t)
        x = s * self.lam
        d = x + kappa
        slope = half * (1 - s / g) - 0.5 * np.sum(x / d) + 0.5 * np.sum(x * self.y**2 / d**2)
        curvature = -half * s / g - 0.5 * np.sum(kappa * x / d**2) + 0.5 * np.sum(x * self.y**2 * (kappa - x) / d**3)
        return float(slope), float(curvature)

    def slopes(self, t: Array) -> Array:
        """Return e'(t) at each of the given points."""

        def at(t: Array) -> Array:
            s = np.exp(t)
            x = s[:, None] * self.lam
            d = x + self.network.kappa
            signal = np.sum(x / d * (self.y**2 / d - 1), axis=1)
            return np.asarray(self.network.width / 2 * (1 - s / self.network.g) + 0.5 * signal)

        return self._by_chunks(t, at)

    def rise(self, t: Array, start: float) -> Array:
        """Return ``e(t) - e(start)`` at each of the given points, small where they are near, however large e is."""
        half, g, kappa, s = self.network.width / 2, self.network.g, self.network.kappa, np.exp(start)
        x = s * self.lam
        d = x + kappa

        def at(t: Array) -> Array:
            step = t - start
            grown = np.expm1(step)
            change = grown[:, None] * (x / d)
            there = np.exp(step)[:, None] * x + kappa
            logs = np.where(change > -0.5, np.log1p(np.maximum(change, -0.5)), np.log(there / d))
            fit = change / there * self.y**2
            return np.asarray(half * (step - s / g * grown) - 0.5 * logs.sum(axis=1) + 0.5 * fit.sum(axis=1))

        return self._by_chunks(t, at)

    def maxima(self) -> list[float]:
        """Return t of every maximum of e(t), the highest first: roots of its slope, all of which are bracketed.

        The slope is a sum of functions of t that change over a length of 1: a grid finer than that shows all changes of
        sign, where a scan of e itself would miss a narrow maximum. Where the slope turns within a cell towards 0, its
        extremum is looked at as well.
        """
        t = np.linspace(*self._reach(), 2)
        t = np.linspace(t[0], t[1], int(np.ceil((t[1] - t[0]) / _CELL)) + 2)
        slope, bend = self.slopes(t), np.array([self.derivatives(at)[1] for at in t])
        turning = (
            (np.sign(slope[:-1]) == np.sign(slope[1:])) & (slope[:-1] * bend[:-1] < 0) & (slope[1:] * bend[1:] > 0)
        )
        more = [brentq(lambda t: self.derivatives(t)[1], t[i], t[i + 1]) for i in np.flatnonzero(turning)]
        t = np.sort(np.concatenate([t, more]))
        slope = self.slopes(t) if more else slope
        tops = np.flatnonzero((slope[:-1] > 0) & (slope[1:] <= 0))
        precision = {"xtol": 1e-14, "rtol": 4 * np.finfo(np.float64).eps}
        found = [
            float(brentq(lambda t: float(self.slopes(np.array([t]))[0]), t[i], t[i + 1], **precision)) for i in tops
        ]
        return sorted(found, key=lambda at: -float(self.rise(np.array([at]), found[0])[0]))

    def mode(self) -> float:
        """Return the t of the global maximum of e(t)."""
        return self.maxima()[0]

    def quadrature(self) -> Quadrature:
        """Return nodes and weights for posterior expectations over s, and ln p(y)."""
        maxima = self.maxima()
        top = maxima[0]

        def exponent(t: Array) -> Array:
            return self.rise(t, top)

        parts = [integrated(exponent, *piece, rounding=self._rounding(top)) for piece in self._pieces(maxima, exponent)]
        logs = np.array([part[2] for part in parts])
        log_integral = float(np.logaddexp.reduce(logs))
        return Quadrature(
            s=np.exp(np.concatenate([part[0] for part in parts])),
            weights=np.concatenate(
                [share * part[1] for share, part in zip(np.exp(logs - log_integral), parts, strict=True)]
            ),
            log_evidence=self.log_constant + float(self.exponent(np.array([top]))[0]) + log_integral,
            residual=max(part[3] for part in parts),
            converged=all(part[4] for part in parts) and self._rounding(top) < _LARGEST_ROUNDING,
            nodes=sum(part[5] for part in parts),
        )

    def _reach(self) -> tuple[float, float]:
        """Return an interval of t below which the slope is positive, and above which it is negative.

        ``2 e' = N (1 - s/g) + sum_k u_k (1 - u_k) y_k^2 / kappa - sum_k u_k`` with shares u between 0 and 1, at most
        ``s lam / kappa``.
        """
        N, g, kappa = self.network.width, self.network.g, self.network.kappa
        low, trace = 0.5 * g, float(self.lam.sum())
        if np.count_nonzero(self.lam) > N / 2:
            low = min(low, 0.5 * N * kappa / trace)
        reached = float(np.sum(self.y[self.lam > 0] ** 2))
        return float(np.log(low)) - 1e-3, float(np.log(g) + np.log1p(reached / (4 * kappa * N))) + 1e-3

    def _pieces(self, maxima: list[float], exponent: Exponent) -> list[tuple[float, float]]:
        """Return disjoint intervals, ascending, that hold all of e(t) within `_DEPTH` of its maximum."""
        pieces: list[tuple[float, float]] = []
        for t in maxima:
            if float(exponent(np.array([t]))[0]) < -_DEPTH:
                continue
            width = float(-self.derivatives(t)[1]) ** -0.5
            ends = []
            for sign in (-1.0, 1.0):
                step = sign * min(width * float(np.sqrt(2 * _DEPTH)), _LONGEST)
                while float(exponent(np.array([t + step]))[0]) > -_DEPTH:
                    step *= 1.2
                ends.append(float(t + step))
            pieces.append((ends[0], ends[1]))
        joined: list[tuple[float, float]] = []
        for low, high in sorted(pieces):
            if joined and low <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(high, joined[-1][1])
            else:
                joined.append((low, high))
        return joined

    def _rounding(self, t: float) -> float:
        """Return the rounding of `rise` within a few widths of a maximum, whose terms cancel to first order."""
        x = np.exp(t) * self.lam
        d = x + self.network.kappa
        terms = self.network.width / 2 * (1 + np.exp(t) / self.network.g) + 0.5 * float(
            np.sum(x / d * (1 + self.y**2 / d))
        )
        return float(np.finfo(np.float64).eps * terms * 8 * abs(self.derivatives(t)[1]) ** -0.5)

    def _by_chunks(self, t: Array, function: Exponent) -> Array:
        rows = max(1, _CHUNK // max(1, len(self.lam)))
        return np.concatenate([function(t[start : start + rows]) for start in range(0, len(t), rows)])


def located(exponent: Exponent, low: float, high: float, points: int = _SCAN) -> tuple[float, float]:
    """Return the part of an interval of t that holds all of e(t) within 60 of its maximum, by scans that shrink it.

    A coarse scan errs on the safe side: it finds a lower maximum, and keeps more.
    """
    for _ in range(60):
        t = np.linspace(low, high, points)
        e = exponent(t)
        inside = np.flatnonzero(e > e.max() - _DEPTH)
        first, last = max(inside[0] - 1, 0), min(inside[-1] + 1, points - 1)
        shrunk = (t[last] - t[first]) / (high - low)
        low, high = float(t[first]), float(t[last])
        if shrunk > 0.8:
            return low, high
    raise ComputationError("the posterior of the readout scale could not be located")


def integrated(
    exponent: Exponent, low: float, high: float, rounding: float = 0.0
) -> tuple[Array, Array, float, float, bool, int]:
    """Return nodes t with normalised weights, ``ln int dt e^e(t)``, and residual, converged, nodes of `Quadrature`.

    The trapezoid rule on a smooth integrand that vanishes at both ends converges faster than any power; nodes are
    doubled until log evidence, mean and variance of t change by less than the tolerance.

    Args:
        rounding: Of e(t), where that is above the rounding of its size.
    """
    current = np.full(3, np.inf)
    for intervals in _INTERVALS:
        t, h = np.linspace(low, high, intervals + 1, retstep=True)
        e = exponent(t)
        top = e.max()
        weights = np.exp(e - top)
        total = float(weights.sum())
        weights /= total
        center = float(weights @ t)
        previous = current
        current = np.array([top + np.log(total * h), center, weights @ (t - center) ** 2])
        residual = float(np.max(np.abs(current - previous) / np.maximum(1.0, np.abs(current))))
        # e(t) is a sum of large terms: below its rounding no change means anything
        noise = max(rounding, 8 * np.finfo(np.float64).eps * float(np.abs(e[e > top - 1]).max()))
        converged = residual < max(_TOLERANCE, noise)
        if converged:
            break
    keep = weights > 1e-25
    return t[keep], weights[keep], float(current[0]), residual, converged, intervals + 1
