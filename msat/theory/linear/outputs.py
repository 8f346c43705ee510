"""What follows from a linear network's solution in the eigenbasis: outputs on all points, kernel, weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from msat.geometry import Geometry
from msat.network import Network
from msat.theory.accuracy import believed, beyond_data, beyond_loop
from msat.theory.action import Solution
from msat.theory.factored import factored
from msat.theory.linear.action import LinearAction
from msat.theory.matrices import LowRank, inverse
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
    kernel, N = C + (2 / network.width) * C.congruence(derivative), network.width
    norm = network.g * (1 + 2 / N * derivative.trace_with(spectrum.lam))
    if expansion.loop:
        # the derivative's diagonal part is -(1/2) (1 - kappa/d)/lam: at N = 1, and at N = rank, nearly all is taken
        rest = network.kappa / action.curvature.diagonal_part
        kernel = replace(kernel, d=spectrum.lam * (1 - 1 / N + rest / N))
        beyond = replace(derivative, d=np.zeros_like(rest)).trace_with(spectrum.lam)
        left_over = N - np.count_nonzero(spectrum.lam) + float(rest[spectrum.lam > 0].sum())
        norm = network.g / N * (left_over + 2 * beyond)
    mean = action.slope  # with the loop's part y - kappa <ft>, of which a poor fit leaves nothing but rounding
    response = action.G if solution.jacobian is None else inverse(solution.jacobian)
    if expansion.shift is not None:
        mean = mean - network.kappa * expansion.shift
        response = response - network.kappa**-2 * solution.loop_covariance
    elif expansion.loop:
        mean = mean - 0.5 * network.width * action.T
    else:  # of a level whose field is not where its measure is; 0 for the tree level
        mean = mean - network.kappa * (expansion.field - action.ft)
    along = float(spectrum.y @ (response @ spectrum.y))
    account = believed(solution.account(), beyond_loop(action) if expansion.loop else "")
    left = Left(network.kappa, network.g * action.Q, expansion.field, along)
    return to_prediction(geometry, mean, solution.covariance, kernel, norm, left, **account)


class Left(NamedTuple):
    """What a level leaves of the labels.

    Attributes:
        kappa: Label noise.
        gain: The number s with which the answer is nearly that of the kernel s C.
        field: ``<ft> = (y - <f>)/kappa`` in the eigenbasis, (P,), not taken as that difference.
        response: ``y.(d<ft>/dy) y``.
    """

    kappa: float
    gain: float
    field: Array
    response: float


def to_prediction(
    geometry: Geometry,
    mean: Array,
    covariance: LowRank,
    hidden_kernel: LowRank,
    readout_norm: float,
    left: Left,
    **account: Any,
) -> Prediction:
    """Return a solution in the basis of samples, test points included: ``<f_*> = B <f>``, ``B = C_*train C^+``.

    Where the data do not fix the answer `converged` is False, and the note says so.

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
        delta_train=left.kappa * (spectrum.U @ left.field),
        response=left.response,
        mean_test=B @ mean,
        covariance_train=factored(covariance, spectrum.U),
        variance_test=variance + readout_norm * residual,
        hidden_kernel=kernel,
        first_layer=geometry.first_layer(kernel),
        readout_norm=readout_norm,
        **believed(
            account, beyond_data(geometry, left.kappa, left.gain, left.field, account.get("log_evidence", np.nan))
        ),
    )
