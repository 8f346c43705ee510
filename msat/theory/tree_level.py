"""Level `tree_level`: the saddle point ``S'(ft) = 0`` (docs/theory.md, section 3)."""

from __future__ import annotations

from msat.theory.action import Action, Expansion, Saddle, Solution


def solve(saddle: Saddle[Action]) -> Solution:
    """Return the saddle itself: ``<ft> = ft*``, covariance ``kappa - kappa^2 G``; it has no log evidence."""
    action, kappa = saddle.action, saddle.action.network.kappa
    return Solution(
        Expansion(action, action.ft),
        covariance=kappa * (action.identity - kappa * action.G),
        action=action.value,
        converged=saddle.converged,
        residual=saddle.residual,
        iterations=saddle.iterations,
        note=saddle.note,
    )


def again(solution: Solution, action: Action) -> Expansion:
    """Return the level about the saddle of another action: that of a batch of draws."""
    return Expansion(action, action.ft)
