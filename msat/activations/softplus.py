"""phi(h) = ln(1 + e^h)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from msat.activations.base import is_numpy
from msat.activations.quadrature import by_quadrature


def _softplus(h: Any) -> Any:
    # log(1 + e^h) written so that neither large nor very negative h overflows or cancels
    return np.logaddexp(0.0, h) if is_numpy(h) else h.clamp(min=0) + (-h.abs()).exp().log1p()


def _softplus_derivative(h: Any) -> Any:
    return special.expit(h) if is_numpy(h) else h.sigmoid()


ACTIVATION = by_quadrature("softplus", _softplus, _softplus_derivative)
