"""Level `rescaling` of deep networks: the most probable gains of the layers, eq. (13.3) with the determinant."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import gammaln

from msat.geometry import Geometry
from msat.network import Network
from msat.theory.deep.likelihood import likelihood
from msat.theory.deep.outputs import before, in_samples, recursion
from msat.theory.deep.saddle import saddle
from msat.theory.gaussian_process import process
from msat.theory.matrices import LowRank
from msat.theory.prediction import Prediction
from msat.theory.rescaling import ANSATZ_NOTE


def predict(geometry: Geometry, network: Network) -> Prediction:
    """Return the Gaussian process at that scale s; for non-linear networks an ansatz, of which only K^L is rescaled.

    ``ln p`` is the exponent with the constants of the chi^2 laws and ``-(1/2) ln det`` of its curvature in ln r_l.
    """
    lam, y, widths = geometry.spectrum.lam, geometry.spectrum.y, np.array(network.widths)
    of_labels = likelihood(lam, y, network)
    found = saddle(of_labels, network, with_determinant=True)
    s, u = float(np.exp(found.t)), of_labels.shares(found.t)
    mean = u * y
    moments = [LowRank.of(rho / s * network.kappa * u, (rho / s, mean, mean)) for rho in before(found.r)]
    layers = in_samples(geometry, recursion(network, lam, moments))
    linear = network.activation == "linear"
    slope = float(np.sum(y**2 / network.kappa * u * (1 - u) * (1 - 2 * u))) - float(np.sum(u * (1 - u)))
    gains = widths * found.r / 2
    curved = 1 - slope * float(np.sum(1 / (2 * gains)))
    # the normalised law of ln r_l is (N/2)^(N/2) / Gamma(N/2) exp[(N/2)(ln r - r)], and value has + N/2
    constants = float(np.sum(widths / 2 * (np.log(widths / 2) - 1) - gammaln(widths / 2)))
    peak = 0.5 * float(np.sum(np.log(2 * np.pi / gains)) - np.log(curved)) if curved > 0 else float("nan")
    result = process(
        geometry,
        network,
        s,
        layers[-1],
        geometry.first_layer(layers[0]),
        log_evidence=found.value + constants + peak,
        converged=curved > 0,
        residual=found.residual,
        iterations=found.iterations,
        note="; ".join(note for note in ("" if linear else ANSATZ_NOTE, found.note) if note),
    )
    missing = np.full((len(lam), len(lam)), np.nan)  # the ansatz says nothing of the layers below
    below = layers[:-1] if linear else [missing] * (len(layers) - 1)
    return replace(result, readout_norm=network.g * float(found.r[-1]), hidden_kernels=[*below, layers[-1]])
