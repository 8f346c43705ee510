"""Level `nngp`: the infinite-width Gaussian process (docs/theory.md, section 3)."""

from __future__ import annotations

import numpy as np

from msat.geometry import Geometry
from msat.network import Network
from msat.theory.factored import factored
from msat.theory.gaussian_process import process
from msat.theory.matrices import LowRank
from msat.theory.prediction import Prediction


def predict(geometry: Geometry, network: Network) -> Prediction:
    """Return ``<f> = g K (g K + kappa)^-1 y``: closed form, independent of chi in the mean.

    Kernel and first layer stay at their prior.
    """
    d = network.g * geometry.spectrum.lam + network.kappa
    log_evidence = -0.5 * float(np.sum(np.log(2 * np.pi * d) + geometry.spectrum.y**2 / d))
    prior = factored(LowRank.diagonal(geometry.spectrum.lam), geometry.spectrum.U)
    return process(geometry, network, network.g, prior, lambda u: float(u @ u), log_evidence=log_evidence)
