"""Linear networks from scale to scale: one saddle each, found from the gain of the one before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType

import numpy as np
from scipy.optimize import brentq

from msat.geometry import Geometry, Spectrum
from msat.network import Network
from msat.theory.action import Saddle, relative
from msat.theory.linear.action import LinearAction, linear_action
from msat.theory.linear.outputs import predict
from msat.theory.prediction import Prediction

_TOLERANCE = 1e-10  # largest accepted |S'(ft)| / |y|


def climb(
    geometry: Geometry, scales: Sequence[Network], levels: Mapping[str, ModuleType], seed: int
) -> Iterator[tuple[float, str, Prediction]]:
    """Yield (chi, level, prediction) as `msat.theory.anneal.ladder` says; nothing is drawn, and the seed not used."""
    gain = 1.0
    for at in scales:
        found = saddle(geometry.spectrum, at, gain)
        gain = found.action.Q
        for name, level in levels.items():
            yield at.chi, name, predict(geometry, at, level.solve(found))


def saddle(spectrum: Spectrum, network: Network, gain: float = 1.0) -> Saddle[LinearAction]:
    """Return the only stationary point of the action.

    For a linear network the P equations reduce to one for the gain Q,
    ``1 - 1/Q = (g/N) sum_k lam_k y_k^2 / (Q g lam_k + kappa)^2``: the left side less the right rises
    through a single root Q >= 1, which is bracketed.

    Args:
        gain: A guess of Q, from the previous scale of an anneal; it only sets the first bracket.
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
    Q = float(np.exp(log_gain))
    action = linear_action(spectrum, network, spectrum.y / (Q * lam_g + kappa), Q)
    assert action is not None  # with a gain there is no edge to be beyond
    residual = relative(action, action.gradient)
    converged = residual < _TOLERANCE and action.curvature.positive_definite()
    return Saddle(action, converged=converged, residual=residual, iterations=iterations)
