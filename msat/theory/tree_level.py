"""Level `tree_level`: the saddle point ``S'(ft) = 0`` (docs/theory.md, section 3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from msat.errors import ComputationError
from msat.network import Network
from msat.theory.linear.action import LinearAction, LinearSolution, dressed_kernel, linear_action
from msat.theory.linear.lowrank import LowRank
from msat.theory.linear.spectrum import Spectrum

Array = NDArray[np.float64]

TOLERANCE = 1e-10  # largest accepted |S'(ft)| / |y|


def saddle(spectrum: Spectrum, network: Network, gain: float = 1.0) -> tuple[LinearAction, int]:
    """Return the action at its only stationary point, and the number of iterations.

    For a linear network the P equations reduce to one for the gain Q,
    ``1 - 1/Q = (g/N) sum_k lam_k y_k^2 / (Q g lam_k + kappa)^2``: the left side less the right rises
    through a single root Q >= 1, which is bracketed.

    Parameters
    ----------
    gain
        A guess of Q, from the previous scale of an anneal; it only sets the first bracket.

    Raises
    ------
    ComputationError
        If rounding leaves the field outside the domain of W.
    """
    N, g, kappa = network.width, network.g, network.kappa
    signal = (g / N) * spectrum.lam * spectrum.y**2
    lam_g = g * spectrum.lam

    def excess(log_gain: float) -> float:
        Q = np.exp(log_gain)
        return float(-np.expm1(-log_gain) - np.sum(signal / (Q * lam_g + kappa) ** 2))

    low, high = 0.0, max(1.0, 2 * np.log(max(gain, 1.0)))
    while excess(high) <= 0:
        low, high = high, 2 * high
    if excess(low) >= 0:  # no signal: the prior is the solution
        log_gain, iterations = low, 0
    else:
        log_gain, report = brentq(excess, low, high, xtol=1e-15, rtol=1e-15, full_output=True)
        iterations = report.iterations
    ft = spectrum.y / (np.exp(log_gain) * lam_g + kappa)
    action = linear_action(spectrum, network, ft)
    if action is None:
        raise ComputationError("tree level: the conjugate field left the domain of W")
    return action, iterations


def relative_residual(spectrum: Spectrum, gradient: Array) -> float:
    """Return ``|gradient| / |y|``."""
    return float(np.linalg.norm(gradient) / np.linalg.norm(spectrum.y))


def solution(spectrum: Spectrum, network: Network, action: LinearAction, iterations: int) -> LinearSolution:
    """Return the tree-level predictions at the saddle."""
    kappa = network.kappa
    hidden_kernel, readout_norm = dressed_kernel(spectrum, network, action.kernel_derivative(with_loop=False))
    residual = relative_residual(spectrum, action.gradient)
    return LinearSolution(
        mean=spectrum.y - kappa * action.ft,
        covariance=LowRank.diagonal(np.full_like(action.ft, kappa)) - action.G.scaled(kappa**2),
        hidden_kernel=hidden_kernel,
        readout_norm=readout_norm,
        action=action.value,
        converged=residual < TOLERANCE and action.curvature.positive_definite(),
        residual=residual,
        iterations=iterations,
    )
