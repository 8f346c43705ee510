"""Centring, scaling and whitening of inputs, with statistics of the training split only."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from msat.errors import InputError
from msat.types import Array


def centred_and_scaled(x_train: Array, x_test: Array) -> tuple[Array, Array]:
    """Return the inputs minus the train mean of each column, times one number: mean |x_train|^2 is D.

    Raises:
        InputError: If the training inputs do not vary.
    """
    mean = x_train.mean(axis=0)
    x_train, x_test = x_train - mean, x_test - mean
    size = float(np.mean(np.sum(x_train**2, axis=1)))
    if size == 0:
        raise InputError("the training inputs are all the same: they cannot be scaled")
    factor = math.sqrt(x_train.shape[1] / size)
    return factor * x_train, factor * x_test


def whitened(x_train: Array, x_test: Array, components: int) -> tuple[Array, Array]:
    """Return the leading principal components of the training inputs, each of variance 1 there.

    ``X_train^T X_train / P`` is the identity, so that mean |x_train|^2 is D, now the number of components.
    A component's sign is such that its entry of largest size is positive.

    Raises:
        InputError: If the centred training inputs have fewer components.
    """
    mean = x_train.mean(axis=0)
    _, singular, axes = np.linalg.svd(x_train - mean, full_matrices=False)
    rank = int(np.sum(singular > singular[0] * max(x_train.shape) * np.finfo(np.float64).eps))
    if components > rank:
        raise InputError(
            f"whiten = {components}: the {len(x_train)} centred training inputs have {rank} components; "
            f"must be at most {rank}"
        )
    axes, singular = axes[:components], singular[:components]
    largest = np.argmax(np.abs(axes), axis=1)
    axes = axes * np.sign(axes[np.arange(components), largest])[:, None]
    projection = axes.T / singular * math.sqrt(len(x_train))
    return (x_train - mean) @ projection, (x_test - mean) @ projection


def standardised(x_train: Array, x_test: Array, names: Sequence[str]) -> tuple[Array, Array]:
    """Return each column minus its train mean over its train standard deviation: mean |x_train|^2 is D.

    Raises:
        InputError: If a column, called by its name, does not vary over the training split.
    """
    mean = x_train.mean(axis=0)
    constant = np.ptp(x_train, axis=0) == 0
    if np.any(constant):
        name = names[int(np.argmax(constant))]
        raise InputError(f"column {name!r} is constant over the train split and cannot be standardised: leave it out")
    sd = x_train.std(axis=0)
    return (x_train - mean) / sd, (x_test - mean) / sd
