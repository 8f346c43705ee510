"""Linear networks with several outputs from scale to scale: one saddle each, from the gain of the one before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from msat.errors import ComputationError
from msat.geometry import Geometry, Spectrum
from msat.network import Network
from msat.theory.action import Saddle, relative
from msat.theory.prediction import Prediction
from msat.theory.several.linear.action import SeveralAction, linear_action, low_rank, scaled_basis
from msat.theory.several.linear.outputs import predict
from msat.theory.several.matrices import exponential
from msat.types import Array

_TOLERANCE = 1e-10  # largest accepted |S'(ft)| / |y|
_MAX_ITERATIONS = 100
_LONGEST = 2.0  # of a step of ln Q
_LAST = 1e-7  # a step this short leaves an error of its square


def climb(
    geometry: Geometry, scales: Sequence[Network], levels: Mapping[str, ModuleType], seed: int
) -> Iterator[tuple[float, str, Prediction]]:
    """Yield (chi, level, prediction) as `msat.theory.anneal.ladder` says; nothing is drawn, and the seed not used."""
    gain = None
    for at in scales:
        found = saddle(geometry.spectrum, at, gain)
        gain = found.action.Q
        for name, level in levels.items():
            yield at.chi, name, predict(geometry, at, level.solve(found))


def saddle(spectrum: Spectrum, network: Network, gain: Array | None = None) -> Saddle[SeveralAction]:
    """Return the only stationary point of the action: the maximum over the gain Q > 0 of the concave eq. (A1).

    Newton's method with ``Q -> R e^X R``, ``R^2 = Q``, and Armijo backtracking. The second derivative in X at a maximum
    is ``-(N/2) M``, the matrix M of the loop's determinant.

    Args:
        gain: A first Q, (m, m), from the previous scale of an anneal; 1 if None.

    Raises:
        ComputationError: If rounding leaves the field outside the domain of W.
    """
    N, g, kappa = network.width, network.g, network.kappa
    lam, Y = spectrum.lam, spectrum.y
    Q = np.eye(Y.shape[1]) if gain is None else gain
    iterations = 0
    while iterations < _MAX_ITERATIONS:
        q, axes = np.linalg.eigh(Q)
        field = (Y @ axes) / (kappa + g * lam[:, None] * q)
        v = lam[:, None] * field
        _, _, M = low_rank(lam, v, q, network)
        F = scaled_basis(q)
        # of the function in X, over N/2
        slope = (g / N) * np.einsum("pab,ab->p", F, field.T @ v) + np.einsum("paa->p", F / q[:, None] - F)
        step = cho_solve(cho_factor(M, lower=True), slope)
        step *= min(1.0, _LONGEST / max(float(np.linalg.norm(step)), 1e-300))
        direction = np.tensordot(step, F / np.sqrt(q[:, None] * q), axes=1)
        root, value, length = axes * np.sqrt(q), _objective(spectrum, network, Q), 1.0
        sufficient, rounding = 0.5e-4 * N * float(slope @ step), 1e-13 * (1 + abs(value))
        while True:
            trial = root @ exponential(length * direction) @ root.T
            if _objective(spectrum, network, trial) >= value + length * sufficient - rounding or length < 1e-8:
                break
            length /= 2
        Q, iterations = 0.5 * (trial + trial.T), iterations + 1
        if np.linalg.norm(step) < _LAST:
            break
    q, axes = np.linalg.eigh(Q)
    field = ((Y @ axes) / (kappa + g * lam[:, None] * q)) @ axes.T
    action = linear_action(spectrum, network, field.reshape(-1))
    if action is None:
        raise ComputationError("tree level: the conjugate field left the domain of W")
    residual = relative(action, action.gradient)  # S'' is positive definite throughout the domain
    return Saddle(action, converged=residual < _TOLERANCE, residual=residual, iterations=iterations)


def _objective(spectrum: Spectrum, network: Network, Q: Array) -> float:
    """Return ``-(1/2) sum_k Y_k.ft_k + (N/2) (ln det Q - tr Q + m)``."""
    q, axes = np.linalg.eigh(Q)
    if not q[0] > 0:
        return -np.inf
    fit = (spectrum.y @ axes) ** 2 / (network.kappa + network.g * spectrum.lam[:, None] * q)
    return -0.5 * float(fit.sum()) + 0.5 * network.width * float(np.sum(np.log(q) - q + 1))
