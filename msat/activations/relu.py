"""phi(h) = max(h, 0)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from msat.activations.base import Activation, exp, is_numpy
from msat.types import Array


def _relu(h: Any) -> Any:
    return np.maximum(h, 0.0) if is_numpy(h) else h.clamp(min=0)


def _derivative(h: Any) -> Any:
    return (np.asarray(h) > 0).astype(np.float64) if is_numpy(h) else (h > 0).to(h.dtype)


def _dual(va: Array, vb: Array, c: Array) -> Array:
    scale = np.sqrt(va)[:, None] * np.sqrt(vb)[None, :]
    cosine = np.clip(np.divide(c, scale, out=np.zeros_like(scale), where=scale > 0), -1.0, 1.0)
    sine = np.sqrt((1 - cosine) * (1 + cosine))
    return np.asarray(scale * (sine + (np.pi - np.arccos(cosine)) * cosine) / (2 * np.pi))


def _smoothed_mean(m: Any, sd: Any) -> Any:
    ratio = _standardised(m, sd)
    return m * _normal_cdf(ratio) + sd * _normal_density(ratio)


def _smoothed_square(m: Any, sd: Any) -> Any:
    ratio = _standardised(m, sd)
    return (m**2 + sd**2) * _normal_cdf(ratio) + m * sd * _normal_density(ratio)


def _standardised(m: Any, sd: Any) -> Any:
    # the floor gives the limit sd = 0: the distribution function becomes a step, the density is multiplied by sd
    return (m / (sd + 1e-30)).clip(-40.0, 40.0)


def _normal_cdf(t: Any) -> Any:
    return special.ndtr(t) if is_numpy(t) else 0.5 * (1 + (t / np.sqrt(2)).erf())


def _normal_density(t: Any) -> Any:
    return exp(-0.5 * t**2) / np.sqrt(2 * np.pi)


ACTIVATION = Activation(
    name="relu",
    phi=_relu,
    derivative=_derivative,
    cross_dual_kernel=_dual,
    dual_variance=lambda v: np.asarray(0.5 * v),
    smoothed_mean=_smoothed_mean,
    smoothed_square=_smoothed_square,
)
