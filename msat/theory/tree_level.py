"""Level `tree_level`: the saddle point ``S'(ft) = 0`` (docs/theory.md, section 3)."""

from __future__ import annotations

from msat.theory.action import Action, Expansion, Saddle, Solution, covariance


def solve(saddle: Saddle[Action]) -> Solution:
    """Return the saddle itself: ``<ft> = ft*``, covariance ``kappa - kappa^2 G``; it has no log evidence."""
    action = saddle.action
    return Solution(
        Expansion(action, action.ft),
        covariance=covariance(action, action.curvature, action.G),
        action=action.value,
        converged=saddle.converged,
        residual=saddle.residual,
        iterations=saddle.iterations,
        note=saddle.note,
    )


def again(solution: Solution, action: Action) -> Expansion:
    """Return the level about the saddle of another action: that of a batch of draws."""
    return Expansion(action, action.ft)
