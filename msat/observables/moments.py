"""The averages that every observable is a function of, the same for a level of theory and for training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from msat.observables.functions import LARGEST_SPECTRUM, Symmetric, directions, outlier, spectrum
from msat.types import Array


@dataclass(frozen=True, eq=False)
class Frame:
    """What observables of one data set at one scale are taken against."""

    y_train: Array  # labels, (P,), or (P, m) of m > 1 outputs
    y_test: Array  # (Q,) or (Q, m)
    kappa: float  # label-noise variance at the scale
    prior_kernel: Array  # the prior hidden kernel K = E_prior[phi phi^T] on the training points, (P, P)
    direction: Array  # row-space coordinates of the unit vector along which weights are looked at, (r,)
    projection: Array | None = None  # maps test outputs to their components along the teacher, (3, Q), if there is one
    g: float = float("nan")  # scale of the readout's prior there: of several outputs only
    layers: int = 1  # hidden layers of the network


@dataclass(frozen=True, eq=False)
class Moments:
    """Posterior averages: of a level or one of its batches of draws, of all chains or of all but one.

    `first_layer` maps row-space coordinates u, (r,), to ``E[(1/N) sum_i (a_i.u)^2]``; None where it is not known.
    """

    frame: Frame
    mean_train: Array  # mean outputs, (P,) or (P, m)
    mean_test: Array  # (Q,) or (Q, m)
    covariance_train: Symmetric  # of outputs, without label noise, (P, P) or (P m, P m)
    hidden_kernel: Symmetric  # E[(1/N) sum_i phi_i phi_i^T] on the training points, (P, P)
    first_layer: Callable[[Array], float] | None = None
    readout_covariance: Array | None = None  # <S>, S = sum_i w_i w_i^T, (m, m); None for one output
    readout_norm: float = float("nan")  # <|w|^2>
    hidden_kernels: Sequence[Symmetric] = ()  # the same of all hidden layers, where there are several
    delta_train: Array | None = None  # y - <f>, where it is known better than by the difference
    response: float | None = None  # (kappa |y|^2 - y.Cov y)/kappa^2, likewise
    # of training only
    first_layer_variance: float = float("nan")  # mean square of whitened first-layer weights
    averages: Mapping[str, Any] = field(default_factory=dict)  # of all that `msat.langevin.moments` records, by name

    @cached_property
    def covariance_spectrum(self) -> Array:
        """Eigenvalues of the covariance, (P,) or (P m,), as `msat.observables.functions.spectrum` gives them."""
        return spectrum(self.covariance_train)

    @cached_property
    def hidden_spectrum(self) -> Array:
        """Eigenvalues of the hidden kernel, (P,)."""
        return spectrum(self.hidden_kernel)

    @cached_property
    def covariance_directions(self) -> Array:
        """Eigenvectors of the covariance, an array, as `msat.observables.functions.directions` gives them."""
        return directions(np.asarray(self.covariance_train))

    @cached_property
    def hidden_directions(self) -> Array:
        """Eigenvectors of the hidden kernel."""
        return directions(np.asarray(self.hidden_kernel))

    @cached_property
    def covariance_outlier(self) -> float:
        """Largest eigenvalue of the covariance."""
        return _largest(self.covariance_train, self.covariance_spectrum)

    @cached_property
    def hidden_outlier(self) -> float:
        """Largest eigenvalue of the hidden kernel."""
        return _largest(self.hidden_kernel, self.hidden_spectrum)

    @cached_property
    def readout_spectrum(self) -> Array:
        """Eigenvalues of <S> over g, descending, (m,); NaN where it is not known."""
        if self.readout_covariance is None:
            return np.full(self.frame.y_train.shape[1], np.nan)
        return spectrum(self.readout_covariance) / self.frame.g


def _largest(matrix: Symmetric, known: Array) -> float:
    return float(known[0]) if len(matrix) <= LARGEST_SPECTRUM else outlier(matrix)
