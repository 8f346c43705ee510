"""phi(h) = h: a deep linear network, for which the theory is closed."""

from __future__ import annotations

import numpy as np

from msat.activations.base import Activation

ACTIVATION = Activation(
    name="linear",
    phi=lambda h: h,
    derivative=lambda h: h * 0 + 1,
    cross_dual_kernel=lambda va, vb, c: np.array(c, dtype=np.float64),
    dual_variance=lambda v: np.array(v, dtype=np.float64),
    smoothed_mean=lambda m, sd: m + 0 * sd,
    smoothed_square=lambda m, sd: m**2 + sd**2,
)
