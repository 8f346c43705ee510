"""Level `one_loop`: the self-consistent loop equation of the paper's Algorithm 1 (docs/theory.md, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from msat.network import Network
from msat.theory.linear.action import LinearAction, LinearSolution, dressed_kernel, linear_action
from msat.theory.linear.lowrank import LowRank
from msat.theory.linear.spectrum import Spectrum
from msat.theory.tree_level import TOLERANCE, relative_residual

Array = NDArray[np.float64]

_LARGEST_MOVE = 0.1  # of |ft| in one continuation step: a jump to another branch is not continuous
_SMALLEST_STEP = 1e-4  # in the loop strength: below it the branch is taken to end in a fold
_MAX_NEWTON = 30


@dataclass(frozen=True, eq=False)
class _Root:
    action: LinearAction
    curvature: LowRank
    iterations: int


def solution(spectrum: Spectrum, network: Network, tree: LinearAction) -> LinearSolution:
    """Return the predictions at the stationary point of ``L = S - (1/2) ln det(kappa + W'')``.

    The equation has spurious roots, and its true root can cease to exist (small N / P). A root is
    accepted only if it is reached from the tree level continuously in the loop strength eps,
    ``L_eps = S - (eps/2) ln det``, eps from 0 to 1, with positive definite curvature all the way.
    Otherwise every prediction is NaN, `converged` is False and `loop_strength` is the largest eps reached.
    """
    root = _Root(tree, tree.curvature, 0)
    strength, step, iterations = 0.0, 0.25, 0
    while strength < 1:
        target = min(1.0, strength + step)
        following = _follow(spectrum, root, strength, target)
        iterations += following.iterations if following else _MAX_NEWTON
        if following is not None:
            root, strength = following, target
            step *= 1.5
            continue
        step /= 2
        if step < _SMALLEST_STEP:
            return _refused(spectrum, strength, iterations)
    action, kappa = root.action, network.kappa
    response = root.curvature.solver()
    hidden_kernel, readout_norm = dressed_kernel(spectrum, network, action.kernel_derivative(with_loop=True))
    residual = relative_residual(spectrum, action.gradient - action.loop_gradient)
    return LinearSolution(
        mean=spectrum.y - kappa * action.ft,
        covariance=LowRank.diagonal(np.full_like(action.ft, kappa)) - response.scaled(kappa**2),
        hidden_kernel=hidden_kernel,
        readout_norm=readout_norm,
        log_evidence=action.value - action.loop - spectrum.n_train / 2 * np.log(2 * np.pi),
        converged=residual < TOLERANCE,
        residual=residual,
        iterations=iterations,
        loop_strength=1.0,
    )


def _follow(spectrum: Spectrum, root: _Root, strength: float, target: float) -> _Root | None:
    """Return the root at loop strength `target` next to the one at `strength`, or None if there is none."""
    start = root.action.ft
    scale = float(np.linalg.norm(start))
    # the implicit function theorem gives the tangent: J dft/deps = F'
    ft = start + (target - strength) * (root.curvature.solver() @ root.action.loop_gradient)
    for iteration in range(1, _MAX_NEWTON + 1):
        if np.linalg.norm(ft - start) > _LARGEST_MOVE * scale:
            return None
        action = linear_action(spectrum, root.action.network, ft)
        if action is None:
            return None
        curvature = action.curvature - action.loop_hessian.scaled(target)
        if not curvature.positive_definite():
            return None
        gradient = action.gradient - target * action.loop_gradient
        if relative_residual(spectrum, gradient) < TOLERANCE / 100:
            return _Root(action, curvature, iteration)
        ft = ft - curvature.solver() @ gradient
    return None


def _refused(spectrum: Spectrum, strength: float, iterations: int) -> LinearSolution:
    nothing = np.full(spectrum.n_train, np.nan)
    return LinearSolution(
        mean=nothing,
        covariance=LowRank.diagonal(nothing),
        hidden_kernel=LowRank.diagonal(nothing),
        readout_norm=float("nan"),
        converged=False,
        residual=float("nan"),
        iterations=iterations,
        loop_strength=strength,
    )
