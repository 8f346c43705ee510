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

        rows = max(1, _CHUNK // max(1, len(self.lam)))
        return np.concatenate([at(t[start : start + rows]) for start in range(0, len(t), rows)])

    def derivatives(self, t: float) -> tuple[float, float]:
        """Return e'(t) and e''(t)."""
        half, g, kappa, s = self.network.width / 2, self.network.g, self.network.kappa, np.exp(t)
        x = s * self.lam
        d = x + kappa
        slope = half * (1 - s / g) - 0.5 * np.sum(x / d) + 0.5 * np.sum(x * self.y**2 / d**2)
        curvature = -half * s / g - 0.5 * np.sum(kappa * x / d**2) + 0.5 * np.sum(x * self.y**2 * (kappa - x) / d**3)
        return float(slope), float(curvature)

    def support(self) -> tuple[float, float]:
        """Return an interval of t that holds all of e(t) within 60 of its global maximum.

        The first interval follows from the bound ``e(t) <= (N/2)(t - e^t/g) - (P/2) ln kappa``, so no mode
        can lie outside (for N below the rank of the kernel there can be two); scans then shrink it.
        """
        half, g, log_g = self.network.width / 2, self.network.g, np.log(self.network.g)
        reference = float(np.max(self.exponent(log_g + np.linspace(-3, 3, 25))))
        deficit = reference - _DEPTH + len(self.y) / 2 * np.log(self.network.kappa)
        low, high = min(log_g - 3, deficit / half), log_g + 3
        while half * (high - np.exp(high) / g) > deficit:
            high += 1
        return located(self.exponent, low, high)

    def mode(self) -> float:
        """Return the t of the global maximum of e(t)."""
        t = np.linspace(*self.support(), _SCAN)
        return self._refined(t, int(np.argmax(self.exponent(t))))

    def maxima(self) -> list[tuple[float, float]]:
        """Return t and e(t) of all maxima that are within 60 of the global one, this one first."""
        t = np.linspace(*self.support(), _SCAN)
        e = self.exponent(t)
        tops = np.flatnonzero((e[1:-1] > e[:-2]) & (e[1:-1] >= e[2:])) + 1
        return [(self._refined(t, int(top)), float(e[top])) for top in tops[np.argsort(-e[tops], kind="stable")]]

    def _refined(self, t: Array, top: int) -> float:
        """Return the maximum of e(t) next to one of the points of a scan."""
        a, b = t[max(top - 1, 0)], t[min(top + 1, _SCAN - 1)]
        if self.derivatives(a)[0] <= 0 or self.derivatives(b)[0] >= 0:
            raise ComputationError("the maximum over the readout scale is not bracketed")
        return float(brentq(lambda t: self.derivatives(t)[0], a, b, xtol=1e-14, rtol=4 * np.finfo(np.float64).eps))

    def quadrature(self) -> Quadrature:
        """Return nodes and weights for posterior expectations over s, and ln p(y)."""
        t, weights, log_integral, residual, converged, nodes = integrated(self.exponent, *self.support())
        return Quadrature(np.exp(t), weights, self.log_constant + log_integral, residual, converged, nodes)


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
