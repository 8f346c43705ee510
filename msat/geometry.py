"""The part of the first layer that the training data can see, in whitened coordinates.

A neuron's first-layer weights are ``sqrt(g_v / D) A`` with a standard normal prior on A. Only the part a of
A in the row space of the training inputs, r = rank X numbers, meets the labels; the rest keeps its prior
exactly (docs/theory.md, section 5d).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RowSpace:
    """Pre-activations of one neuron in terms of its row-space coordinates a ~ N(0, I).

    Attributes
    ----------
    train
        (P, r): training pre-activations are ``train @ a``.
    test
        (Q, r): test pre-activations are ``test @ a`` plus an independent normal residual.
    test_residual_sd
        (Q,): standard deviation of that residual.
    """

    train: Array
    test: Array
    test_residual_sd: Array

    @property
    def n_train(self) -> int:
        """Number of training points P."""
        return len(self.train)

    @property
    def rank(self) -> int:
        """Rank r of the training inputs."""
        return int(self.train.shape[1])


def row_space(x_train: Array, x_test: Array, g_v: float) -> RowSpace:
    """Return the `RowSpace` of inputs (P, D) and (Q, D) for first-layer prior variance ``g_v / D``."""
    dimension = x_train.shape[1]
    scale = np.sqrt(g_v / dimension)
    U, singular, rows = np.linalg.svd(x_train, full_matrices=False)
    keep = singular > max(x_train.shape) * np.finfo(np.float64).eps * singular[0]
    rows = rows[keep]
    test = x_test @ rows.T
    outside = np.linalg.norm(x_test - test @ rows, axis=1)
    # rounding of the projection, not a residual
    outside[outside < 1e-12 * np.linalg.norm(x_test, axis=1)] = 0.0
    train = scale * U[:, keep] * singular[keep]
    train[~np.any(x_train, axis=1)] = 0.0  # exactly, so that such an output has no rounding noise
    return RowSpace(train=train, test=scale * test, test_residual_sd=scale * outside)
