"""Level `rescaling`: a kernel multiplied by one number (Li and Sompolinsky 2021; Pacelli et al. 2023)."""

from __future__ import annotations

import numpy as np

from msat.geometry import Geometry
from msat.network import Network
from msat.theory.factored import factored
from msat.theory.gaussian_process import process
from msat.theory.matrices import LowRank
from msat.theory.prediction import Prediction
from msat.theory.scale_mixture import ScaleMixture

ANSATZ_NOTE = "for a non-linear activation rescaling is an ansatz: one number for all directions of the outputs"


def predict(geometry: Geometry, network: Network) -> Prediction:
    """Return the Gaussian process at the most probable readout scale s, the maximum of eq. (4)'s exponent.

    Hidden kernel ``K + (s/N)(K A y y^T A K - K A K)``; for non-linear networks an ansatz (section 3).
    """
    spectrum = geometry.spectrum
    lam = spectrum.lam
    mixture = ScaleMixture(lam, spectrum.y, network)
    t = mixture.mode()
    s, (slope, curvature) = float(np.exp(t)), mixture.derivatives(t)
    d = s * lam + network.kappa
    rate, adapted = s / network.width, lam * spectrum.y / d
    hidden_kernel = factored(
        LowRank.of(lam * (1 - 1 / network.width + network.kappa / (network.width * d)), (rate, adapted, adapted)),
        spectrum.U,
    )
    width_of_peak = 0.5 * float(np.log(2 * np.pi / -curvature)) if curvature < 0 else float("nan")
    return process(
        geometry,
        network,
        s,
        hidden_kernel,
        geometry.first_layer(hidden_kernel),
        log_evidence=mixture.log_constant + float(mixture.exponent(np.array([t]))[0]) + width_of_peak,
        converged=curvature < 0,
        residual=abs(slope) / max(network.width, abs(curvature)),
        note="" if network.activation == "linear" else ANSATZ_NOTE,
    )
