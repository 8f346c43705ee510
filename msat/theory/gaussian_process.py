"""The Gaussian process whose kernel is the prior one times a number s: what nngp and rescaling share."""

from __future__ import annotations

from typing import Any

import numpy as np

from msat.geometry import Geometry
from msat.network import Network
from msat.theory.accuracy import believed, beyond_data
from msat.theory.factored import Factored, factored
from msat.theory.matrices import LowRank
from msat.theory.prediction import FirstLayer, Prediction


def process(
    geometry: Geometry,
    network: Network,
    s: float,
    hidden_kernel: Factored,
    first_layer: FirstLayer | None,
    **account: Any,
) -> Prediction:
    """Return ``f ~ GP(0, s K)`` given y: ``<f> = s K A y``, ``Cov kappa s K A``, ``A = (s K + kappa)^-1``.

    s is the readout norm; `account` holds further fields of the prediction.
    """
    spectrum, kappa = geometry.spectrum, network.kappa
    lam, U, cross = spectrum.lam, spectrum.U, spectrum.cross
    d = s * lam + kappa
    solved, reason = spectrum.y / d, ""
    if spectrum.to_test is None or spectrum.test_residual is None:
        variance = np.maximum(s * spectrum.test_variance - s**2 * np.sum(cross**2 / d, axis=1), 0.0)
    else:  # what is left, where the null space is known exactly
        variance = (spectrum.to_test**2) @ (kappa * s * lam / d) + s * spectrum.test_residual
        reason = beyond_data(geometry, kappa, s, solved, account["log_evidence"])
    return Prediction(
        mean_train=U @ (s * lam * solved),
        delta_train=kappa * (U @ solved),
        response=float(spectrum.y @ solved),
        mean_test=s * (cross @ solved),
        covariance_train=factored(LowRank.diagonal(kappa * s * lam / d), U),
        variance_test=variance,
        hidden_kernel=hidden_kernel,
        first_layer=first_layer,
        readout_norm=s,
        **believed(account, reason),
    )
