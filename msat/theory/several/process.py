"""The Gaussian process with covariance ``S (x) K``, S a matrix over outputs: what nngp and rescaling share."""

from __future__ import annotations

from typing import Any

import numpy as np

from msat.geometry import Geometry
from msat.network import Network
from msat.theory.prediction import FirstLayer, Prediction
from msat.theory.several.matrices import Blocks, over_outputs
from msat.theory.several.outputs import covariance_of_samples, over_samples
from msat.types import Array


def process(
    geometry: Geometry, network: Network, S: Array, hidden_kernel: Array, first_layer: FirstLayer | None, **account: Any
) -> Prediction:
    """Return ``f ~ GP(0, S (x) K)`` given y: ``<f> = (S (x) K) A y``, ``Cov kappa (S (x) K) A``, ``<S> = S``.

    Args:
        S: (m, m).
        hidden_kernel: In the eigenbasis of K, (P, P).
        **account: Further fields of the prediction.
    """
    spectrum, kappa = geometry.spectrum, network.kappa
    lam, cross, (s, axes) = spectrum.lam[:, None], spectrum.cross, np.linalg.eigh(S)
    d = lam * s + kappa
    solved = (spectrum.y @ axes) / d
    covariance = over_outputs(kappa * lam * s / d, axes)
    if spectrum.to_test is None or spectrum.test_residual is None:
        explained = np.einsum("kcc->kc", over_outputs(s**2 / d, axes))
        variance = np.maximum(np.outer(spectrum.test_variance, np.diag(S)) - cross**2 @ explained, 0.0)
    else:  # what is left, where the null space is known exactly
        variance = spectrum.to_test**2 @ np.einsum("kcc->kc", covariance)
        variance += np.outer(spectrum.test_residual, np.diag(S))
    return Prediction(
        delta_train=kappa * (spectrum.U @ solved) @ axes.T,
        response=float(np.sum((spectrum.y @ axes) * solved)),
        mean_train=geometry.y_train - kappa * (spectrum.U @ solved) @ axes.T,
        mean_test=cross @ ((solved * s) @ axes.T),
        covariance_train=covariance_of_samples(spectrum, Blocks.diagonal(covariance)),
        variance_test=variance,
        hidden_kernel=over_samples(spectrum.U, hidden_kernel),
        first_layer=first_layer,
        readout_covariance=S,
        readout_norm=float(np.trace(S)),
        **account,
    )
