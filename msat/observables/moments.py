"""The averages that every observable is a function of, the same for a level of theory and for training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from msat.observables.functions import LARGEST_SPECTRUM, outlier, spectrum
from msat.types import Array


@dataclass(frozen=True, eq=False)
class Frame:
    """What observables of one data set at one scale are taken against.

    Attributes:
        y_train, y_test: Labels, (P,) and (Q,).
        kappa: Label-noise variance at the scale.
        prior_kernel: The prior hidden kernel ``K = E_prior[phi phi^T]`` on the training points, (P, P).
        direction: Row-space coordinates of the unit vector along which weights are looked at, (r,).
        projection: Maps test outputs to their components along the teacher, (3, Q): see `component_projection`.
    """

    y_train: Array
    y_test: Array
    kappa: float
    prior_kernel: Array
    direction: Array
    projection: Array | None = None


@dataclass(frozen=True, eq=False)
class Moments:
    """Posterior averages: of a level or one of its batches of draws, of all chains or of all but one.

    Attributes:
        frame: What they are taken against.
        mean_train, mean_test: Mean outputs, (P,) and (Q,).
        covariance_train: Output covariance without label noise, (P, P).
        hidden_kernel: ``E[(1/N) sum_i phi_i phi_i^T]`` on the training points, (P, P).
        first_layer: Maps row-space coordinates u, (r,), to ``E[(1/N) sum_i (a_i.u)^2]``; None where it is not known.
        readout_norm: ``<|w|^2>``.
        mean_train_rb, first_layer_variance: Of training only: Rao-Blackwell mean outputs, (P,), and the mean square of
            whitened first-layer weights.
        averages: Of training only: the mean of everything that it records, by name (`msat.langevin.moments`).
    """

    frame: Frame
    mean_train: Array
    mean_test: Array
    covariance_train: Array
    hidden_kernel: Array
    first_layer: Callable[[Array], float] | None = None
    readout_norm: float = float("nan")
    mean_train_rb: Array | None = None
    first_layer_variance: float = float("nan")
    averages: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def covariance_spectrum(self) -> Array:
        """Eigenvalues of the covariance, (P,), as `msat.observables.functions.spectrum` gives them."""
        return spectrum(self.covariance_train)

    @cached_property
    def hidden_spectrum(self) -> Array:
        """Eigenvalues of the hidden kernel, (P,)."""
        return spectrum(self.hidden_kernel)

    @cached_property
    def covariance_outlier(self) -> float:
        """Largest eigenvalue of the covariance."""
        return _largest(self.covariance_train, self.covariance_spectrum)

    @cached_property
    def hidden_outlier(self) -> float:
        """Largest eigenvalue of the hidden kernel."""
        return _largest(self.hidden_kernel, self.hidden_spectrum)


def _largest(matrix: Array, known: Array) -> float:
    return float(known[0]) if len(matrix) <= LARGEST_SPECTRUM else outlier(matrix)
