"""phi(h) = h Phi(h), the Gaussian error linear unit."""

from __future__ import annotations

from typing import Any

import numpy as np

from msat.activations.base import erf, exp
from msat.activations.quadrature import by_quadrature


def _derivative(h: Any) -> Any:
    return 0.5 * (1 + erf(h / np.sqrt(2))) + h * exp(-0.5 * (h * h)) / np.sqrt(2 * np.pi)


ACTIVATION = by_quadrature("gelu", lambda h: 0.5 * h * (1 + erf(h / np.sqrt(2))), _derivative)
