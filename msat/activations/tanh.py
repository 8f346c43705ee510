"""phi(h) = tanh h."""

from __future__ import annotations

import numpy as np

from msat.activations.base import either
from msat.activations.quadrature import by_quadrature

_tanh = either(np.tanh, lambda h: h.tanh())
ACTIVATION = by_quadrature("tanh", _tanh, lambda h: 1 - _tanh(h) ** 2)
