"""Level `exact`: the scale mixture of Gaussian processes that a linear network is (docs/theory.md, eq. 4)."""

from __future__ import annotations

import numpy as np

from msat.geometry import Geometry
from msat.network import Network
from msat.theory.linear.outputs import to_prediction
from msat.theory.matrices import LowRank
from msat.theory.prediction import Prediction
from msat.theory.scale_mixture import ScaleMixture


def predict(geometry: Geometry, network: Network) -> Prediction:
    """Return the exact posterior predictions, by quadrature over ``t = ln |w|^2``."""
    lam, y, kappa = geometry.spectrum.lam, geometry.spectrum.y, network.kappa
    s, weights, log_evidence, residual, converged, nodes = ScaleMixture(lam, y, network).quadrature()
    x = s[:, None] * lam
    d = x + kappa
    means = x / d * y
    mean = weights @ means
    fluctuations = ((means - mean) * np.sqrt(weights)[:, None]).T
    adapted = (lam * y / d * np.sqrt(weights * s / network.width)[:, None]).T
    identity = np.eye(len(s))
    return to_prediction(
        geometry,
        mean,
        covariance=LowRank(weights @ (kappa * x / d), fluctuations, identity),
        hidden_kernel=LowRank(lam - weights @ (x * lam / d) / network.width, adapted, identity),
        readout_norm=float(weights @ s),
        log_evidence=log_evidence,
        converged=converged,
        residual=residual,
        iterations=nodes,
    )
