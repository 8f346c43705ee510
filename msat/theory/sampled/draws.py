"""The tilted measure of one neuron on a fixed set of draws, and the tree level solved on it.

The measure is ``q(a) ~ N(a; 0, I) exp(tau u^2 / 2)`` with ``u = ft.phi(h)``, ``h = Z a``; the readout weight
is normal given a, with mean ``m = tau u`` and variance tau (docs/theory.md, sections 2 and 4). On draws from
any other measure, with ``log_base = ln prior - ln sampling density``, the action

    S(ft) = -ft.y + (kappa/2) ft.ft + N ln mean(exp(log_base + tau u^2 / 2))

is strictly convex and smooth, so that Newton's method with line search finds the tree level from anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from msat.network import Network
from msat.types import Array

_MAX_ITERATIONS = 60
_TOLERANCE = 1e-10  # of the gradient, relative to |y|


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws of one neuron's training features.

    Attributes:
        features: ``phi(h)``, (n, P).
        log_base: ``ln prior - ln sampling density`` of each draw, (n,), up to one constant.
    """

    features: Array
    log_base: Array


@dataclass(frozen=True, eq=False)
class Tilt:
    """Weights and readout means of the draws at one conjugate field.

    Attributes:
        weights: Normalised weights, (n,).
        readout: ``m = tau u``, the mean readout weight of each draw, (n,).
        log_mean: ``ln mean(exp(log_base + tau u^2 / 2))``.
        ess_fraction: ``(sum w)^2 / (n sum w^2)``.
    """

    weights: Array
    readout: Array
    log_mean: float
    ess_fraction: float


@dataclass(frozen=True, eq=False)
class TreeSolution:
    """The minimum of S on fixed draws.

    Attributes:
        conjugate: ``ft*``, (P,).
        tilt: The weights there.
        mean_feature: ``mu = E_q[z]``, (P,).
        curvature: ``W'' = N Cov_q(z, z)``, (P, P).
        propagator: ``G = (kappa + W'')^-1``, (P, P).
        action: ``S(ft*)``, up to N times the constant in `Draws.log_base`.
        residual, iterations, converged: Gradient norm relative to ``|y|``, Newton steps, whether the gradient met its
            tolerance without the effective sample size falling below its floor.
    """

    conjugate: Array
    tilt: Tilt
    mean_feature: Array
    curvature: Array
    propagator: Array
    action: float
    residual: float
    iterations: int
    converged: bool


def tilt(draws: Draws, conjugate: Array, tau: float) -> Tilt:
    """Return the `Tilt` of the draws at conjugate field ft, (P,)."""
    u = draws.features @ conjugate
    exponent = draws.log_base + 0.5 * tau * u**2
    top = float(exponent.max())
    weights = np.exp(exponent - top)
    total = float(weights.sum())
    weights /= total
    return Tilt(
        weights=weights,
        readout=tau * u,
        log_mean=top + float(np.log(total / len(u))),
        ess_fraction=1.0 / (len(u) * float(weights @ weights)),
    )


def action(draws: Draws, at: Tilt, conjugate: Array, y: Array, network: Network) -> float:
    """Return S(ft), up to N times the constant in `Draws.log_base`."""
    quadratic = 0.5 * network.kappa * float(conjugate @ conjugate) - float(conjugate @ y)
    return quadratic + network.width * at.log_mean


def gradient(draws: Draws, at: Tilt, conjugate: Array, y: Array, network: Network) -> Array:
    """Return ``S'(ft) = kappa ft + N E_q[z] - y``, (P,)."""
    mean = (at.weights * at.readout) @ draws.features
    return np.asarray(network.kappa * conjugate + network.width * mean - y)


def curvature(draws: Draws, at: Tilt, network: Network) -> Array:
    """Return ``W''(ft) = N Cov_q(z, z)``, (P, P)."""
    mean = (at.weights * at.readout) @ draws.features
    # symmetric by construction: the square root of the weight goes on both sides
    root = np.sqrt(at.weights * (at.readout**2 + network.tau))
    scaled = root[:, None] * draws.features
    return np.asarray(network.width * (scaled.T @ scaled - np.outer(mean, mean)))


def solve_tree(draws: Draws, y: Array, network: Network, start: Array, min_ess: float) -> TreeSolution:
    """Return the minimum of S on fixed draws: Newton with Armijo backtracking.

    Args:
        draws: The draws.
        y: Labels, (P,).
        network: Network at its scale.
        start: First ft, (P,).
        min_ess: Floor of the effective sample size as a fraction of the draws. A step that would fall below it is
            shortened, because there the finite sum hides the divergence of W; if no step is left, the solver stops with
            converged = False.
    """
    ft, norm = start, float(np.linalg.norm(y))
    identity = np.eye(len(y))
    now = tilt(draws, ft, network.tau)
    value = action(draws, now, ft, y, network)
    iterations = 0
    while True:
        slope = gradient(draws, now, ft, y, network)
        residual = float(np.linalg.norm(slope)) / norm
        bend = curvature(draws, now, network)
        factor = cho_factor(bend + network.kappa * identity, lower=True)
        if residual < _TOLERANCE or iterations == _MAX_ITERATIONS:
            break
        direction = -cho_solve(factor, slope)
        decrease = float(slope @ direction)
        length = 1.0
        while length > 1e-8:
            trial = ft + length * direction
            then = tilt(draws, trial, network.tau)
            new = action(draws, then, trial, y, network)
            # the last term forgives rounding in S once the decrease is below it
            sufficient = new <= value + 1e-4 * length * decrease + 1e-13 * (1 + abs(value))
            # a start below the floor may move as long as it does not get worse
            if sufficient and then.ess_fraction >= min(min_ess, now.ess_fraction):
                break
            length /= 2
        else:
            break
        ft, now, value = trial, then, new
        iterations += 1
    return TreeSolution(
        conjugate=ft,
        tilt=now,
        mean_feature=np.asarray((now.weights * now.readout) @ draws.features),
        curvature=bend,
        propagator=cho_solve(factor, identity),
        action=value,
        residual=residual,
        iterations=iterations,
        converged=residual < _TOLERANCE and now.ess_fraction >= min_ess,
    )
