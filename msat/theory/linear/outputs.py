"""What follows from a linear network's solution in the eigenbasis: outputs on all points, kernel, weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from msat.geometry import Geometry, Spectrum
from msat.network import Network
from msat.theory.action import Solution
from msat.theory.linear.action import LinearAction
from msat.theory.linear.lowrank import LowRank
from msat.theory.prediction import Prediction
from msat.types import Array


def predict(geometry: Geometry, network: Network, solution: Solution) -> Prediction:
    """Return the prediction of a level about the closed-form action (docs/theory.md, section 3)."""
    spectrum, expansion = geometry.spectrum, solution.expansion
    if expansion is None:
        nothing = np.full(len(spectrum.lam), np.nan)
        none = LowRank.diagonal(nothing)
        return to_prediction(geometry, nothing, none, none, float("nan"), **solution.account())
    action = expansion.action
    assert isinstance(action, LinearAction)
    kernel, norm = _dressed_kernel(spectrum, network, action.kernel_derivative(expansion.loop, expansion.shift))
    mean = spectrum.y - network.kappa * expansion.field
    return to_prediction(geometry, mean, solution.covariance, kernel, norm, **solution.account())


def to_prediction(
    geometry: Geometry, mean: Array, covariance: LowRank, hidden_kernel: LowRank, readout_norm: float, **account: Any
) -> Prediction:
    """Return a solution in the basis of samples, test points included: ``<f_*> = B <f>``, ``B = C_*train C^+``.

    Args:
        mean, covariance, hidden_kernel: In the eigenbasis, (P,) and (P, P).
        readout_norm: ``<|w|^2>``, which scales what lies outside the row space.
        **account: Further fields of the prediction.
    """
    spectrum = geometry.spectrum
    B, residual = spectrum.to_test, spectrum.test_residual
    assert B is not None
    assert residual is not None
    variance = (B**2) @ covariance.d
    half = B @ covariance.V
    variance += np.sum((half @ covariance.S) * half, axis=1)
    kernel = _rotated(spectrum, hidden_kernel)
    return Prediction(
        mean_train=spectrum.U @ mean,
        mean_test=B @ mean,
        covariance_train=_rotated(spectrum, covariance),
        variance_test=variance + readout_norm * residual,
        hidden_kernel=kernel,
        first_layer=geometry.first_layer(kernel),
        readout_norm=readout_norm,
        **account,
    )


def _rotated(spectrum: Spectrum, matrix: LowRank) -> Array:
    """Return a matrix given in the eigenbasis as a full matrix over training points, (P, P)."""
    U = spectrum.U
    rotated = U @ matrix.V
    full = (U * matrix.d) @ U.T
    full += rotated @ (matrix.S @ rotated.T)
    return np.asarray(full)


def _dressed_kernel(spectrum: Spectrum, network: Network, kernel_derivative: LowRank) -> tuple[LowRank, float]:
    """Return the hidden kernel and the readout norm that a log evidence implies.

    Uses ``H = C + (2/N) C (d ln p / dC) C`` and, since W depends on the product ``g C`` alone,
    ``<|w|^2> = g + (2 g / N) tr(C d ln p / dC)`` (docs/theory.md, section 3).
    """
    lam = spectrum.lam
    V, S = kernel_derivative.V, kernel_derivative.S
    scaled = (2 / network.width) * LowRank(lam**2 * kernel_derivative.d, lam[:, None] * V, S)
    trace = float(lam @ kernel_derivative.d) + float(np.sum(S * (V.T @ (lam[:, None] * V))))
    return LowRank.diagonal(lam) + scaled, network.g * (1 + 2 / network.width * trace)
