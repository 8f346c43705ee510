"""phi(h) = ln(1 + e^h)."""

from __future__ import annotations

import numpy as np
import scipy

from msat.activations.base import either
from msat.activations.quadrature import by_quadrature

ACTIVATION = by_quadrature(
    "softplus",
    # log(1 + e^h) written so that neither large nor very negative h overflows or cancels
    either(lambda h: np.logaddexp(0.0, h), lambda h: h.clamp(min=0) + (-h.abs()).exp().log1p()),
    either(lambda h: scipy.special.expit(h), lambda h: h.sigmoid()),
)
