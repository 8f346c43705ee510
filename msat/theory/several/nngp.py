"""Level `nngp` for several outputs: independent Gaussian processes (docs/theory.md, sections 3 and 12)."""

from __future__ import annotations

import numpy as np

from msat.geometry import Geometry
from msat.network import Network
from msat.theory.prediction import Prediction
from msat.theory.several.process import process


def predict(geometry: Geometry, network: Network, seed: int = 0) -> Prediction:
    """Return ``<f> = g K (g K + kappa)^-1 y`` for each output: closed form; the seed is not used.

    Kernel and first layer stay at their prior, and ``<S> = g``.
    """
    spectrum, outputs = geometry.spectrum, geometry.y_train.shape[1]
    d = network.g * spectrum.lam + network.kappa
    log_evidence = -0.5 * float(np.sum(outputs * np.log(2 * np.pi * d) + np.sum(spectrum.y**2, axis=1) / d))
    prior = np.diag(spectrum.lam)
    return process(
        geometry, network, network.g * np.eye(outputs), prior, lambda u: float(u @ u), log_evidence=log_evidence
    )
