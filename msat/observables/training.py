"""What training measures of observables beyond functions of means: block series, and eigenvalues held in directions.

A function of `Series` and `Moments` returns the series whose mean an observable is to first order in the noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from msat.observables.functions import along, directions, discrepancy
from msat.observables.moments import Moments
from msat.types import Array

Series = Mapping[str, Array]  # block series of training by name, (chains, blocks, ...)


def train_discrepancy(series: Series, m: Moments) -> Array:
    """Return the train discrepancy of every block."""
    return np.asarray(along_to_discrepancy(m, series["along"]))


def whole_discrepancy(m: Moments) -> float:
    """Return the train discrepancy of moments."""
    return discrepancy(m.frame.y_train, m.mean_train, m.delta_train)


def along_to_discrepancy(m: Moments, along: Any) -> Any:
    """Return the train discrepancy where the outputs' component along the target, y.f/|y|, is known."""
    y = m.frame.y_train
    length = np.linalg.norm(y)
    return (length**2 - length * along) / y.size


def gap(means: Mapping[str, Any], m: Moments) -> Any:
    """Return the train discrepancy of the draws less that with the readout averaged, from means or series of both."""
    return np.linalg.norm(m.frame.y_train) * (means["along"] - means["along_draws"]) / m.frame.y_train.size


def norm_gap(means: Mapping[str, Any], m: Moments) -> Any:
    """Return the mean of |w|^2 over draws less that with the readout averaged, over the latter."""
    return (means["readout_norm_draws"] - means["readout_norm"]) / m.readout_norm


def variance_along(series: Series, m: Moments) -> Array:
    """Return the series of the variance along the target, about the mean over all blocks."""
    along = series["along"]
    return np.asarray(series["along_squared"] - 2 * along.mean() * along + along.mean() ** 2)


def bend(series: Series, m: Moments) -> Array:
    """Return the series of `msat.observables.functions.evidence_bend`."""
    y, kappa = m.frame.y_train, m.frame.kappa
    spread = (variance_along(series, m) - kappa) * (np.linalg.norm(y) / kappa) ** 2
    return np.asarray(0.25 * (spread - y.size * train_discrepancy(series, m) / kappa))


def test_discrepancy(series: Series, m: Moments) -> Array:
    """Return the test discrepancy of every block."""
    y = m.frame.y_test.ravel()
    return np.asarray((y @ y - series["along_test"]) / y.size)


def weights_along(m: Moments) -> float:
    """Return ``E[(1/N) sum_i (a_i.u)^2]`` along the direction: measured, or of a level; NaN where that has none."""
    if "weights_along" in m.averages:  # training measures it as a series
        return float(m.averages["weights_along"])
    return m.first_layer(m.frame.direction) if m.first_layer else float("nan")


def bulk(m: Moments, largest: float) -> float:
    """Return the mean of the hidden kernel's eigenvalues but its largest; NaN if it has no other."""
    others = len(m.hidden_kernel) - 1
    return float(m.hidden_kernel.trace() - largest) / others if others else float("nan")


def held_covariance(m: Moments, other: Moments) -> Array:
    """Return the variances along the eigenvectors that the other moments' covariance has."""
    return along(np.asarray(m.covariance_train), other.covariance_directions)


def held_readout(m: Moments, other: Moments) -> Array:
    """Return ``v.<S> v / g`` along the eigenvectors v that the other moments' <S> has, (m,)."""
    if m.readout_covariance is None or other.readout_covariance is None:
        return m.readout_spectrum  # NaN
    return along(m.readout_covariance, directions(other.readout_covariance)) / m.frame.g


def held_kernel(m: Moments, other: Moments) -> Array:
    """Return the hidden kernel along the eigenvectors that the other moments' kernel has."""
    return along(np.asarray(m.hidden_kernel), other.hidden_directions)
