"""How files hold the symmetric matrices of every chain: what trains packs them, what reads unpacks them."""

from __future__ import annotations

import numpy as np

from msat.types import Array


def triangle(matrices: Array) -> Array:
    """Return the lower triangles of symmetric matrices, (chains, P, P), row by row, (chains, P (P + 1)/2)."""
    rows, columns = np.tril_indices(matrices.shape[1])
    return matrices[:, rows, columns]


def full(triangles: Array) -> Array:
    """Return the symmetric matrices of lower triangles: the inverse of `triangle`."""
    size = (int(np.sqrt(8 * triangles.shape[1] + 1)) - 1) // 2
    rows, columns = np.tril_indices(size)
    matrices = np.empty((len(triangles), size, size))
    matrices[:, rows, columns] = triangles
    matrices[:, columns, rows] = triangles
    return matrices
