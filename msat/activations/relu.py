"""phi(h) = max(h, 0)."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy

from msat.activations.base import Activation, correlation, either, exp
from msat.types import Array

_normal_cdf = either(lambda t: scipy.special.ndtr(t), lambda t: 0.5 * (1 + (t / np.sqrt(2)).erf()))


def _dual(va: Array, vb: Array, c: Array) -> Array:
    scale, cosine = correlation(va, vb, c)
    sine = np.sqrt((1 - cosine) * (1 + cosine))
    return np.asarray(scale * (sine + (np.pi - np.arccos(cosine)) * cosine) / (2 * np.pi))


def _cdf_and_density(m: Any, sd: Any) -> tuple[Any, Any]:
    """Return distribution function and density of a standard normal at m / sd."""
    # the floor gives the limit sd = 0: the distribution function becomes a step, the density is multiplied by sd
    ratio = (m / (sd + 1e-30)).clip(-40.0, 40.0)
    return _normal_cdf(ratio), exp(-0.5 * ratio**2) / np.sqrt(2 * np.pi)


def _smoothed_mean(m: Any, sd: Any) -> Any:
    cdf, density = _cdf_and_density(m, sd)
    return m * cdf + sd * density


def _smoothed_square(m: Any, sd: Any) -> Any:
    cdf, density = _cdf_and_density(m, sd)
    return (m**2 + sd**2) * cdf + m * sd * density


ACTIVATION = Activation(
    name="relu",
    phi=either(lambda h: np.maximum(h, 0.0), lambda h: h.clamp(min=0)),
    derivative=either(lambda h: np.heaviside(h, 0.0), lambda h: (h > 0).to(h.dtype)),
    cross_dual_kernel=_dual,
    dual_variance=lambda v: 0.5 * v,
    smoothed_mean=_smoothed_mean,
    smoothed_square=_smoothed_square,
)
