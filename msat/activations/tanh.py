"""phi(h) = tanh h."""

from __future__ import annotations

from typing import Any

import numpy as np

from msat.activations.base import is_numpy
from msat.activations.quadrature import by_quadrature


def _tanh(h: Any) -> Any:
    return np.tanh(h) if is_numpy(h) else h.tanh()


def _tanh_derivative(h: Any) -> Any:
    return 1 - _tanh(h) ** 2


ACTIVATION = by_quadrature("tanh", _tanh, _tanh_derivative)
