"""Level `laplace`: one loop about the tree level (docs/theory.md, section 3)."""

from __future__ import annotations

import numpy as np

from msat.network import Network
from msat.theory.linear.action import LinearAction, LinearSolution, dressed_kernel
from msat.theory.linear.lowrank import LowRank
from msat.theory.linear.spectrum import Spectrum
from msat.theory.tree_level import TOLERANCE, relative_residual


def solution(spectrum: Spectrum, network: Network, action: LinearAction, iterations: int) -> LinearSolution:
    """Return the predictions of ``ln p = S(ft*) - (1/2) ln det(kappa + W'') - (P/2) ln 2 pi``.

    Mean and covariance are its exact derivatives with respect to y (docs/theory.md, eq. 2), the hidden
    kernel and the readout norm those with respect to C, at the tree-level saddle ``action``.
    """
    kappa, G = network.kappa, action.G
    shift = G @ action.loop_gradient
    mean_field = action.ft + shift
    response = G + G.congruence(action.loop_hessian - action.third_derivative(shift))
    hidden_kernel, readout_norm = dressed_kernel(
        spectrum, network, action.kernel_derivative(with_loop=True, shift=shift)
    )
    residual = relative_residual(spectrum, action.gradient)
    return LinearSolution(
        mean=spectrum.y - kappa * mean_field,
        covariance=LowRank.diagonal(np.full_like(shift, kappa)) - response.scaled(kappa**2),
        hidden_kernel=hidden_kernel,
        readout_norm=readout_norm,
        log_evidence=action.value - action.loop - spectrum.n_train / 2 * np.log(2 * np.pi),
        converged=residual < TOLERANCE and action.curvature.positive_definite(),
        residual=residual,
        iterations=iterations,
    )
