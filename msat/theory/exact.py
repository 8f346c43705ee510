"""Level `exact`: the scale mixture of Gaussian processes that a linear network is (docs/theory.md, eq. 4)."""

from __future__ import annotations

import numpy as np

from msat.geometry import Geometry
from msat.network import Network
from msat.theory.linear.outputs import Left, to_prediction
from msat.theory.matrices import LowRank
from msat.theory.prediction import Prediction
from msat.theory.scale_mixture import ScaleMixture


def predict(geometry: Geometry, network: Network) -> Prediction:
    """Return the exact posterior predictions, by quadrature over ``t = ln |w|^2``."""
    lam, y, kappa = geometry.spectrum.lam, geometry.spectrum.y, network.kappa
    s, weights, log_evidence, residual, converged, nodes = ScaleMixture(lam, y, network).quadrature()
    x = s[:, None] * lam
    d = x + kappa
    fields, means = y / d, x / d * y
    mean, field = weights @ means, weights @ fields
    moving = (fields - field) @ y
    response = float(y**2 @ (weights @ (1 / d)) - weights @ moving**2)
    # of a good fit the outputs move less than they round, and the field does not
    deviations = np.where(mean * kappa * field > kappa**2 * field**2, kappa * (field - fields), means - mean)
    fluctuations = (deviations * np.sqrt(weights)[:, None]).T
    adapted = (lam * y / d * np.sqrt(weights * s / network.width)[:, None]).T
    identity, norm = np.eye(len(s)), float(weights @ s)
    return to_prediction(
        geometry,
        mean,
        covariance=LowRank(weights @ (kappa * x / d), fluctuations, identity),
        hidden_kernel=LowRank(lam * (1 - 1 / network.width + weights @ (kappa / d) / network.width), adapted, identity),
        readout_norm=norm,
        left=Left(kappa, norm, field, response),
        log_evidence=log_evidence,
        converged=converged,
        residual=residual,
        iterations=nodes,
    )
