"""The posterior of the readout scale ``s = |w|^2`` given a fixed kernel (docs/theory.md, eq. 4).

With ``t = ln s`` and kernel eigenvalues ``lam`` the unnormalised log posterior is

    e(t) = (N/2) t - N e^t / (2 g) - (1/2) sum_k ln(s lam_k + kappa) - (1/2) sum_k y_k^2 / (s lam_k + kappa).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln

from msat.errors import ComputationError
from msat.types import Array

_DEPTH = 60.0  # the integrand is cut where it is e^-60 of its maximum
_SCAN = 2049
_CHUNK = 2**22  # numbers held at once in a scan: bounds memory for large P


@dataclass(frozen=True, eq=False)
class ScaleMixture:
    """The exponent e(t) of one data set and network.

    Attributes:
        lam, y: Kernel eigenvalues and labels in its eigenbasis, (P,).
        width, g, kappa: N, readout prior scale, label-noise variance.
    """

    lam: Array
    y: Array
    width: int
    g: float
    kappa: float

    @property
    def log_constant(self) -> float:
        """The part of ``ln p(y)`` that does not depend on s."""
        half = self.width / 2
        return float(half * np.log(half / self.g) - gammaln(half) - len(self.y) / 2 * np.log(2 * np.pi))

    def exponent(self, t: Array) -> Array:
        """Return e(t) at each of the given points."""
        result = np.empty_like(t)
        rows = max(1, _CHUNK // max(1, len(self.lam)))
        for start in range(0, len(t), rows):
            part = slice(start, start + rows)
            s = np.exp(t[part])
            d = s[:, None] * self.lam + self.kappa
            result[part] = (
                self.width / 2 * (t[part] - s / self.g)
                - 0.5 * np.log(d).sum(axis=1)
                - 0.5 * (self.y**2 / d).sum(axis=1)
            )
        return result

    def slope(self, t: float) -> float:
        """Return e'(t)."""
        x = np.exp(t) * self.lam
        d = x + self.kappa
        return float(
            self.width / 2 * (1 - np.exp(t) / self.g) - 0.5 * np.sum(x / d) + 0.5 * np.sum(x * self.y**2 / d**2)
        )

    def curvature(self, t: float) -> float:
        """Return e''(t)."""
        x = np.exp(t) * self.lam
        d = x + self.kappa
        return float(
            -self.width / 2 * np.exp(t) / self.g
            - 0.5 * np.sum(self.kappa * x / d**2)
            + 0.5 * np.sum(x * self.y**2 * (self.kappa - x) / d**3)
        )

    def support(self) -> tuple[float, float]:
        """Return an interval of t that holds all of e(t) within 60 of its global maximum.

        The first interval follows from the bound ``e(t) <= (N/2)(t - e^t/g) - (P/2) ln kappa``, so no mode
        can lie outside (for N below the rank of the kernel there can be two); scans then shrink it.
        """
        reference = float(np.max(self.exponent(np.log(self.g) + np.linspace(-3, 3, 25))))
        deficit = reference - _DEPTH + len(self.y) / 2 * np.log(self.kappa)
        half, log_g = self.width / 2, np.log(self.g)
        low = min(log_g - 3, deficit / half)
        high = log_g + 3
        while half * (high - np.exp(high) / self.g) > deficit:
            high += 1
        for _ in range(60):
            t = np.linspace(low, high, _SCAN)
            e = self.exponent(t)
            inside = np.flatnonzero(e > e.max() - _DEPTH)
            first, last = max(inside[0] - 1, 0), min(inside[-1] + 1, _SCAN - 1)
            shrunk = (t[last] - t[first]) / (high - low)
            low, high = float(t[first]), float(t[last])
            if shrunk > 0.8:
                return low, high
        raise ComputationError("the posterior of the readout scale could not be located")

    def mode(self) -> float:
        """Return the t of the global maximum of e(t)."""
        low, high = self.support()
        t = np.linspace(low, high, _SCAN)
        top = int(np.argmax(self.exponent(t)))
        a, b = t[max(top - 1, 0)], t[min(top + 1, _SCAN - 1)]
        if self.slope(a) <= 0 or self.slope(b) >= 0:
            raise ComputationError("the maximum over the readout scale is not bracketed")
        return float(brentq(self.slope, a, b, xtol=1e-14, rtol=4 * np.finfo(np.float64).eps))

    def quadrature(self, tolerance: float = 1e-13, max_nodes: int = 2**14) -> Quadrature:
        """Return nodes and weights for posterior expectations over s, and ln p(y).

        The trapezoid rule on a smooth integrand that vanishes at both ends converges faster than any
        power; nodes are doubled until log evidence, mean and variance of t change by less than `tolerance`.
        """
        low, high = self.support()
        previous: tuple[float, float, float] | None = None
        n, residual, converged = 64, np.inf, False
        while True:
            t, h = np.linspace(low, high, n + 1, retstep=True)
            e = self.exponent(t)
            top = e.max()
            weights = np.exp(e - top)
            total = float(weights.sum())
            weights /= total
            log_integral = float(top + np.log(total * h))
            center = float(weights @ t)
            current = (log_integral, center, float(weights @ (t - center) ** 2))
            if previous is not None:
                residual = max(abs(a - b) / max(1.0, abs(a)) for a, b in zip(current, previous, strict=True))
                # e(t) is a sum of large terms: below its rounding no change means anything
                rounding = 8 * np.finfo(np.float64).eps * float(np.abs(e[e > top - 1]).max())
                converged = residual < max(tolerance, rounding)
            previous = current
            if converged or n == max_nodes:
                break
            n *= 2
        keep = weights > 1e-25
        return Quadrature(
            s=np.exp(t[keep]),
            weights=weights[keep],
            log_evidence=self.log_constant + log_integral,
            residual=residual,
            converged=converged,
            nodes=n + 1,
        )


@dataclass(frozen=True, eq=False)
class Quadrature:
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
