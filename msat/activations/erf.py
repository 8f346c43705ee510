"""phi(h) = erf(h), not erf(h / sqrt 2)."""

from __future__ import annotations

import numpy as np
import scipy

from msat.activations.base import Activation, erf, exp
from msat.types import Array


def _dual(va: Array, vb: Array, c: Array) -> Array:
    outer = (1 + 2 * va)[:, None] * (1 + 2 * vb)[None, :]
    # arctan2 keeps full accuracy where the arcsine form loses half the digits (|correlation| near 1)
    return np.asarray(2 / np.pi * np.arctan2(2 * c, np.sqrt(np.maximum(outer - 4 * c**2, 0))))


def _smoothed_square(m: Array, sd: Array) -> Array:
    # erf(h) = 2 Phi(sqrt2 h) - 1, and E Phi(a + b xi)^2 = Phi(k) - 2 T(k, 1/sqrt(1 + 2 b^2)) with
    # k = a/sqrt(1 + b^2) and Owen's T, the probability of a quadrant of two correlated normals
    k = np.sqrt(2) * m / np.sqrt(1 + 2 * sd**2)
    return np.asarray(1 - 8 * scipy.special.owens_t(k, 1 / np.sqrt(1 + 4 * sd**2)))


ACTIVATION = Activation(
    name="erf",
    phi=erf,
    derivative=lambda h: (2 / np.sqrt(np.pi)) * exp(-(h * h)),
    cross_dual_kernel=_dual,
    dual_variance=lambda v: 2 / np.pi * np.arctan2(2 * v, np.sqrt(1 + 4 * v)),
    smoothed_mean=lambda m, sd: erf(m / (1 + 2 * sd**2) ** 0.5),
    smoothed_square=_smoothed_square,
)
