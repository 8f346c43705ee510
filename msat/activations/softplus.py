"""phi(h) = ln(1 + e^h)."""

from __future__ import annotations

import numpy as np
from scipy import special

from msat.activations.base import either
from msat.activations.quadrature import by_quadrature

ACTIVATION = by_quadrature(
    "softplus",
    # log(1 + e^h) written so that neither large nor very negative h overflows or cancels
    either(lambda h: np.logaddexp(0.0, h), lambda h: h.clamp(min=0) + (-h.abs()).exp().log1p()),
    either(special.expit, lambda h: h.sigmoid()),
)
