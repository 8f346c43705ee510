"""What follows from a linear network's solution in the eigenbasis: outputs on all points, kernel, weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from msat.geometry import Geometry
from msat.network import Network
from msat.theory.action import Solution
from msat.theory.factored import factored
from msat.theory.linear.action import LinearAction
from msat.theory.matrices import LowRank
from msat.theory.prediction import Prediction, nothing
from msat.types import Array


def predict(geometry: Geometry, network: Network, solution: Solution) -> Prediction:
    """Return the prediction of a level about the closed-form action (docs/theory.md, section 3).

    A log evidence implies ``H = C + (2/N) C (d ln p / dC) C`` and, since W depends on the product ``g C`` alone,
    ``<|w|^2> = g + (2 g / N) tr(C d ln p / dC)``.
    """
    spectrum, expansion = geometry.spectrum, solution.expansion
    if expansion is None:
        return nothing(len(geometry.y_train), len(geometry.x_test), **solution.account())
    action = expansion.action
    assert isinstance(action, LinearAction)
    derivative, C = action.kernel_derivative(expansion.loop, expansion.shift), LowRank.diagonal(spectrum.lam)
    kernel = C + (2 / network.width) * C.congruence(derivative)
    norm = network.g * (1 + 2 / network.width * derivative.trace_with(spectrum.lam))
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
    kernel = factored(hidden_kernel, spectrum.U)
    return Prediction(
        mean_train=spectrum.U @ mean,
        mean_test=B @ mean,
        covariance_train=factored(covariance, spectrum.U),
        variance_test=variance + readout_norm * residual,
        hidden_kernel=kernel,
        first_layer=geometry.first_layer(kernel),
        readout_norm=readout_norm,
        **account,
    )
