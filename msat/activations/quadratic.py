"""phi(h) = h^2: grows faster than linearly, so that the adaptive levels do not exist."""

from __future__ import annotations

from msat.activations.base import Activation

ACTIVATION = Activation(
    name="quadratic",
    phi=lambda h: h * h,
    derivative=lambda h: 2 * h,
    cross_dual_kernel=lambda va, vb, c: va[:, None] * vb[None, :] + 2 * c**2,
    dual_variance=lambda v: 3 * v**2,
    smoothed_mean=lambda m, sd: m**2 + sd**2,
    smoothed_square=lambda m, sd: m**4 + 6 * m**2 * sd**2 + 3 * sd**4,
    linear_growth=False,
)
