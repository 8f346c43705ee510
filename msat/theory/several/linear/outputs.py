"""What follows from a linear network's solution: outputs on all points, hidden kernel, readout weights."""

from __future__ import annotations

import numpy as np

from msat.geometry import Geometry
from msat.network import Network
from msat.theory.action import Expansion, Solution
from msat.theory.prediction import Prediction
from msat.theory.several.linear.action import SeveralAction
from msat.theory.several.matrices import symmetric
from msat.theory.several.outputs import nothing, to_prediction
from msat.types import Array


def predict(geometry: Geometry, network: Network, solution: Solution) -> Prediction:
    """Return the prediction of a level about the closed-form action (docs/theory.md, section 12)."""
    expansion = solution.expansion
    if expansion is None:
        return nothing(geometry, **solution.account())
    hidden_kernel, readout_covariance = weights(expansion)
    delta = network.kappa * expansion.field.reshape(geometry.spectrum.y.shape)
    account = solution.account() | {"delta_train": geometry.spectrum.U @ delta}
    mean = geometry.spectrum.y - delta
    return to_prediction(geometry, mean, solution.covariance, hidden_kernel, readout_covariance, **account)


def weights(expansion: Expansion) -> tuple[Array, Array]:
    """Return the hidden kernel H in the eigenbasis, (P, P), and ``<S>``, (m, m), as derivatives of the log evidence.

    ``H = C + (2/N) C (d ln p / dC) C`` and ``<S> = g + (2 g^2/N) d ln p / dG0``, the readouts' prior being
    ``N(0, G0/N)``. W depends on ft through ``C^(1/2) ft G0^(1/2)`` alone: to change C to ``(1 + X) C (1 + X)^T`` or G0
    to ``g (1 + X)^2`` is to multiply ft, W' and W'' by ``1 + X`` from that side, whatever W is.
    """
    action = expansion.action
    assert isinstance(action, SeveralAction)
    network, lam, (samples, outputs) = action.network, action.spectrum.lam, action.shape
    field, slope = action.field, action.slope.reshape(action.shape)
    # d ln p / dX from the side of samples and of outputs, the latter up to its antisymmetric part
    by_samples, by_outputs = field @ slope.T, field.T @ slope
    if expansion.loop:
        gradient = network.width * action.T.reshape(action.shape)
        G = action.G
        by_samples = by_samples - outputs * np.eye(samples) + network.kappa * G.traced() - 0.5 * field @ gradient.T
        by_outputs = by_outputs - samples * np.eye(outputs) + network.kappa * G.output_blocks().sum(axis=0)
        by_outputs = by_outputs - 0.5 * field.T @ gradient
    if expansion.shift is not None:  # ft is the minimum of S, which moves with C and G0
        shift = expansion.shift.reshape(action.shape)
        response = (action.curvature @ expansion.shift - network.kappa * expansion.shift).reshape(action.shape)
        by_samples = by_samples + shift @ slope.T + field @ response.T
        by_outputs = by_outputs + shift.T @ slope + field.T @ response
    hidden_kernel = np.diag(lam) + symmetric(lam[:, None] * by_samples) / network.width
    return hidden_kernel, network.g * (np.eye(outputs) + symmetric(by_outputs) / network.width)
