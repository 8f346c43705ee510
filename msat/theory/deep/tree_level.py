"""Level `tree_level` of deep linear networks: the saddle in the field and the layers' gains (13.3)."""

from __future__ import annotations

import numpy as np

from msat.geometry import Geometry
from msat.network import Network
from msat.theory.deep.likelihood import likelihood
from msat.theory.deep.outputs import before, recursion
from msat.theory.deep.outputs import predict as prediction
from msat.theory.deep.saddle import saddle
from msat.theory.linear.outputs import Left
from msat.theory.matrices import LowRank
from msat.theory.prediction import Prediction

_TOLERANCE = 1e-10


def predict(geometry: Geometry, network: Network) -> Prediction:
    """Return mean outputs at the saddle, and the covariance by which they respond to the labels, eq. (2).

    ``dft/dy = A - beta/(1 + beta b) p p^T``, ``p = s lam y / (s lam + kappa)^2``; it has no log evidence.
    """
    lam, y, kappa = geometry.spectrum.lam, geometry.spectrum.y, network.kappa
    found = saddle(likelihood(lam, y, network), network, with_determinant=False)
    s, widths = float(np.exp(found.t)), np.array(network.widths)
    x = s * lam
    u, d = x / (x + kappa), x + kappa
    mean, p = u * y, x * y / d**2
    half_beta = float(np.sum(1 / (widths + found.eta)))
    stable = 1 - half_beta * float(np.sum(y**2 * x / d**2 * (kappa - x) / d))
    response = 2 * half_beta / stable
    left = Left(kappa, s, y / d, float(y**2 @ (1 / d)) - response * float(p @ y) ** 2)
    moments = [LowRank.of(0 * lam, (rho / s, mean, mean)) for rho in before(found.r)]
    return prediction(
        geometry,
        network,
        mean,
        LowRank.of(kappa * u, (kappa**2 * response, p, p)),
        recursion(network, lam, moments, saddle_only=True),
        scale=s,
        readout_norm=network.g * float(found.r[-1]),
        left=left,
        action=found.value,
        converged=found.residual < _TOLERANCE and stable > 0,
        residual=found.residual,
        iterations=found.iterations,
        note=found.note,
    )
