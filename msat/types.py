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
    """Return the names of an array's dimensions: those declared, and those of m > 1 outputs where it has them.

    "output" at the end; of a matrix over samples "output" and "output_" after the names of its two sides.
    """
    if array.ndim == len(dimensions) + 2:
        *leading, row, column = dimensions
        return (*leading, row, "output", column, "output_")
    return (*dimensions, "output") if array.ndim > len(dimensions) else dimensions


def by_output(matrix: Array, labels: Array) -> Array:
    """Return a matrix as files have it: one over all outputs, (P m, P m), as (P, m, P, m), any other as it is.

    Args:
        labels: (P, m), or (P,), of which every matrix is over samples.
    """
    return matrix if len(matrix) == len(labels) else matrix.reshape(*labels.shape, *labels.shape)


def flat(matrix: Array) -> Array:
    """Return a matrix as files have it over all outputs, (P m, P m), the inverse of `by_output`."""
    return matrix if matrix.ndim == 2 else matrix.reshape(matrix.shape[0] * matrix.shape[1], -1)
