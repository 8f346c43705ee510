"""The array alias, and the one rule by which outputs take their shape.

Outputs are (P,), or (P, m) where a network has m outputs, and never (P, 1): code that only stores, names or passes
outputs on asks here and does not look at shapes itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


def output_dimensions(dimensions: tuple[str, ...], array: Array) -> tuple[str, ...]:
    """Return the names of an array's dimensions: those declared, and "output" where it has m > 1 outputs at its end."""
    return (*dimensions, "output") if array.ndim > len(dimensions) else dimensions
