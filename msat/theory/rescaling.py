"""Level `rescaling`: a kernel multiplied by one number (Li and Sompolinsky 2021; Pacelli et al. 2023)."""

from __future__ import annotations

import numpy as np

from msat.network import Network
from msat.theory.linear.action import LinearSolution
from msat.theory.linear.lowrank import LowRank
from msat.theory.linear.spectrum import Spectrum
from msat.theory.scale_mixture import ScaleMixture


def solve(spectrum: Spectrum, network: Network) -> LinearSolution:
    """Return the predictions at the most probable readout scale ``s`` (docs/theory.md, section 3)."""
    lam, y, kappa = spectrum.lam, spectrum.y, network.kappa
    mixture = ScaleMixture(lam=lam, y=y, width=network.width, g=network.g, kappa=kappa)
    t = mixture.mode()
    s = float(np.exp(t))
    curvature = mixture.curvature(t)
    d = s * lam + kappa
    adapted = lam * y / d
    exponent = float(mixture.exponent(np.array([t]))[0])
    return LinearSolution(
        mean=s * lam / d * y,
        covariance=LowRank.diagonal(kappa * s * lam / d),
        hidden_kernel=LowRank.of(lam - s / network.width * lam**2 / d, (s / network.width, adapted, adapted)),
        readout_norm=s,
        log_evidence=mixture.log_constant + exponent + 0.5 * np.log(2 * np.pi / -curvature),
        converged=curvature < 0,
        residual=abs(mixture.slope(t)) / network.width,
    )
