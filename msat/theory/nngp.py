"""Level `nngp`: the infinite-width Gaussian process (docs/theory.md, section 3)."""

from __future__ import annotations

import numpy as np

from msat.network import Network
from msat.theory.linear.action import LinearSolution
from msat.theory.linear.lowrank import LowRank
from msat.theory.linear.spectrum import Spectrum


def solve(spectrum: Spectrum, network: Network) -> LinearSolution:
    """Return ``<f> = g K A y``, ``A = (g K + kappa)^-1``: closed form, independent of chi in the mean."""
    x = network.g * spectrum.lam
    d = x + network.kappa
    log_evidence = -0.5 * float(np.sum(np.log(2 * np.pi * d) + spectrum.y**2 / d))
    return LinearSolution(
        mean=x / d * spectrum.y,
        covariance=LowRank.diagonal(network.kappa * x / d),
        hidden_kernel=LowRank.diagonal(spectrum.lam),
        readout_norm=network.g,
        log_evidence=log_evidence,
    )
