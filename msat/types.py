"""The array alias, and the one rule by which outputs take their shape.

Outputs are (P,), or (P, m) where a network has m outputs, and never (P, 1): code that only stores, names or passes
outputs on asks here and does not look at shapes itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


def output_dimensions(samples: str, y: Array) -> tuple[str, ...]:
    """Return the names of the dimensions of outputs like y on samples: "output" only where m > 1."""
    return (samples,) if y.ndim == 1 else (samples, "output")
