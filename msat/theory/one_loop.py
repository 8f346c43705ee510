"""Level `one_loop`: the self-consistent loop equation of the paper's Algorithm 1 (docs/theory.md, section 3)."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from msat.theory.action import Action, Expansion, Saddle, Solution, covariance, fluctuations, joined, relative
from msat.theory.matrices import Matrix, inverse, positive_definite
from msat.theory.matrices import solve as linear_solve
from msat.types import Array

_FIRST_STEP = 0.5  # of the loop strength
_LARGEST_BEND = 0.25  # of the path: distance of a root from its tangent, relative to the step
_MAX_CORRECTIONS = 25


def solve(saddle: Saddle[Action]) -> Solution:
    """Return the predictions at the stationary point of ``L = S - F``: ``S'(ft) = (N/2) T(ft)``.

    The equation has spurious roots, and its true root can cease to exist (small N / P). The root is followed from
    the tree level along ``S' = eps F'``, eps from 0 to 1, in steps that stay near the tangent: one far from it may
    lie on another branch, beyond a fold. It is kept only while the curvature J of ``S - eps F`` is positive
    definite, by the margin that the noise of the action demands. If the path ends before eps = 1, converged is
    False, loop_strength is the largest eps reached, and there is no expansion.
    """
    found = _follow(saddle)
    if found.expansion is None:
        return found
    root, response = found.expansion.action, inverse(found.jacobian)
    kappa = root.network.kappa
    return replace(
        found,
        covariance=covariance(root, found.jacobian, response),
        loop_covariance=kappa**2 * (root.G - response),
        log_evidence=root.value + fluctuations(root),
        note=joined(root.loop_note, saddle.note),
    )


def again(solution: Solution, action: Action) -> Expansion:
    """Return the level on another action, of a batch of draws: one Newton step from the root of all of them."""
    assert solution.expansion is not None
    there = cast(Action, action.at(solution.expansion.field))
    there = cast(Action, action.at(there.ft - linear_solve(solution.jacobian, _slope(there, 1.0), definite=True)))
    return Expansion(there, there.ft, loop=True)


def _slope(action: Action, strength: float) -> Array:
    """Return ``S' - eps F'``, (P,)."""
    return action.gradient - 0.5 * strength * action.network.width * action.T


def _jacobian(action: Action, dT: Matrix, strength: float) -> Matrix:
    """Return the curvature of ``S - eps F``, (P, P)."""
    J = action.curvature - 0.5 * strength * action.network.width * dT
    return 0.5 * (J + J.T)


def _follow(saddle: Saddle[Action]) -> Solution:
    """Follow the root from the saddle to eps = 1: where it is, or why it ends before, and the account of the way."""
    root, strength, step, iterations, residual = saddle.action, 0.0, _FIRST_STEP, 0, saddle.residual
    if not root.has_second_derivative:
        note = f"one_loop is not implemented for {len(root.y)} training samples of a sampled network"
        return Solution(None, converged=False, residual=float("nan"), loop_strength=0.0, note=note)
    dT = root.thinned().dT
    J = _jacobian(root, dT, strength)
    while strength < 1.0:
        target = min(1.0, strength + step)
        tangent = (target - strength) * linear_solve(J, 0.5 * root.network.width * root.T)
        predicted = root.ft + tangent
        trial, residual, corrections = _correct(root, tangent, dT, target)
        iterations += corrections
        if trial is None:
            reason = "no root was found beyond"
        elif _distance(trial.ft - predicted, root) > _LARGEST_BEND * _distance(trial.ft - root.ft, root):
            reason = "the root turns away from its tangent, as at a fold"
        else:
            new_dT = trial.thinned().dT
            candidate = _jacobian(trial, new_dT, target)
            if positive_definite(candidate - root.noise_margin * trial.curvature):
                root, strength, dT, J = trial, target, new_dT, candidate
                continue
            reason = "its curvature is about to lose its sign"
        step /= 2
        if step < root.smallest_step:
            note = f"the one-loop root ends at loop strength {strength:.2f}: {reason}"
            return Solution(
                None, converged=False, residual=residual, iterations=iterations, loop_strength=strength, note=note
            )
    return Solution(
        Expansion(root, root.ft, loop=True),
        jacobian=J,
        converged=saddle.converged,
        residual=residual,
        iterations=iterations,
        loop_strength=strength,
    )


def _distance(step: Array, action: Action) -> float:
    """Return the length of a step of ft in the metric S''."""
    return float(np.sqrt(step @ (action.curvature @ step)))


def _correct(root: Action, tangent: Array, dT: Matrix, strength: float) -> tuple[Action | None, float, int]:
    """Return the root of ``S' = eps F'`` near a root moved by a step, its residual, and the number of steps to it.

    Newton's or Broyden's method, as the action corrects J. The first curvature takes dT from the root before; the
    residual, of the action itself, decides.
    """
    action = root.stepped(tangent)
    if action is None:
        return None, float("nan"), 0
    tolerance = root.root_tolerance if strength == 1.0 else root.path_tolerance
    J, residual = _jacobian(action, dT, strength), _slope(action, strength)
    first = size = relative(action, residual)
    for iteration in range(1, _MAX_CORRECTIONS + 1):
        try:
            step = -linear_solve(J, residual)
        except np.linalg.LinAlgError:  # singular: the path turns here
            break
        moved = action.stepped(step)
        if moved is None:
            break
        action, residual = moved, _slope(moved, strength)
        size = relative(action, residual)
        if size < tolerance:
            return action, size, iteration
        if not size < 2 * first:
            break
        J = action.corrected(J, step, residual, strength)
    return None, size, iteration
