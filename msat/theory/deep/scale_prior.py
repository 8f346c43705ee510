"""The prior of the output scale of a deep network (docs/theory.md, eq. 13.1), by saddle contours.

``s = g prod_l r_l`` with independent ``r_l = chi^2_(N_l) / N_l``, so that t = ln s has the cumulant generating function

    Lam(z) = ln E s^z = z ln g + sum_l [lnGamma(N_l/2 + z) - lnGamma(N_l/2) - z ln(N_l/2)]

and the density ``p(t) = (1/2 pi i) int dz exp(Lam(z) - z t)``. The contour runs through the saddle ``Lam'(theta) = t``
along the parabola of steepest descent: the integrand is a bump of width ``Lam''^(-1/2)`` for every t, and the RELATIVE
accuracy of p(t) is kept in the tails, which a likelihood can reach.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, loggamma, polygamma, psi

from msat.types import Array

_STEP = 0.15  # along the contour, in units of the width of the bump: the nearest pole is about as far, e^(-2 pi/0.15)
_HALF = 70  # nodes on either side: 10.5 widths
_BISECTIONS = 60
_CHUNK = 2**14  # points of t that are evaluated at once


class ScalePrior(NamedTuple):
    """The law of t = ln s for widths ``N_l``, bottom to top, and the readout's prior scale g."""

    widths: tuple[int, ...]
    g: float

    def log_density(self, t: Array) -> Array:
        """Return ln p(t), like t."""
        return self._evaluated(t, ())[0]

    def averages(self, t: Array, powers: Array) -> Array:
        """Return ``E[prod_l r_l^powers | t]`` for rows of powers 0 or 1, (rows, like t).

        Under the contour integral ``r_l`` becomes the factor ``1 + 2 z / N_l``.
        """
        return self._evaluated(t, powers)[1]

    @property
    def rounding(self) -> float:
        """Rounding of ln p(t): that of the largest terms of which it is the difference."""
        largest = max(abs(float(gammaln(width / 2))) for width in self.widths)
        return 8 * float(np.finfo(np.float64).eps) * largest

    def _evaluated(self, t: Array, powers: Array | tuple[()]) -> tuple[Array, Array]:
        parts = [self._chunk(t[start : start + _CHUNK], powers) for start in range(0, len(t), _CHUNK)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts], axis=1)

    def _chunk(self, t: Array, powers: Array | tuple[()]) -> tuple[Array, Array]:
        theta = self._saddles(t)
        width = self._derivative(2, theta) ** -0.5
        v = width[:, None] * (_STEP * np.arange(_HALF + 1))
        # steepest descent to third order: Re z = theta + Lam''' v^2 / (6 Lam''), away from the saddle on the left
        bend = (self._derivative(3, theta) * width**2 / 6)[:, None]
        z = theta[:, None] + bend * v**2 + 1j * v
        height = self._generating(theta) - theta * t
        exponent = self._generating(z) - z * t[:, None] - height[:, None]
        # dz = (2 bend v + i) dv, and the other half of the contour is the complex conjugate
        integrand = np.exp(exponent) * (1 - 2j * bend * v)
        integrand[:, 0] *= 0.5
        integral = integrand.real.sum(axis=1)
        log_density = height + np.log(integral * width * _STEP / np.pi)
        found = np.empty((len(powers), len(t)))
        for row, power in enumerate(powers):
            factor = np.ones_like(z)
            for count, layer in zip(power, self.widths, strict=True):
                if count:
                    factor = factor * (1 + 2 * z / layer)
            found[row] = (integrand * factor).real.sum(axis=1) / integral
        return log_density, found

    def _saddles(self, t: Array) -> Array:
        """Return theta with ``Lam'(theta) = t`` to the digits that a contour needs, by bisection in its logarithm."""
        edge = min(self.widths) / 2  # the nearest pole is at -edge
        # ln x - 1/x < psi(x) < ln x - 1/(2 x)
        from_mean, most = t - np.log(self.g), 2 * len(self.widths) / min(self.widths)
        low = np.log(edge) - np.log(np.maximum(1.0, 2 * edge * -from_mean))
        high = np.log(edge + max(self.widths) / 2 * np.exp(np.maximum(from_mean, 0.0) + most))
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            above = self._derivative(1, np.exp(middle) - edge) > t
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return np.asarray(np.exp(0.5 * (low + high)) - edge)

    def _generating(self, z: Array) -> Array:
        logs = gammaln if z.dtype == np.float64 else loggamma
        total = z * np.log(self.g)
        for layer in self.widths:
            total = total + logs(layer / 2 + z) - gammaln(layer / 2) - z * np.log(layer / 2)
        return np.asarray(total)

    def _derivative(self, order: int, theta: Array) -> Array:
        """Return the first, second or third derivative of Lam at real points."""
        if order == 1:
            total = np.log(self.g) + sum(psi(layer / 2 + theta) - np.log(layer / 2) for layer in self.widths)
        else:
            total = sum(polygamma(order - 1, layer / 2 + theta) for layer in self.widths)
        return np.asarray(total)
