"""Level `toy_level`: half way from the tree level to one loop about it."""

from __future__ import annotations

from msat.theory.action import Action, Expansion, Saddle, Solution


def solve(saddle: Saddle) -> Solution:
    """Return ``<ft> = ft* + (N/4) G T``, with the covariance of the tree level."""
    action, kappa = saddle.action, saddle.action.network.kappa
    return Solution(
        _expand(action),
        covariance=kappa * (action.identity - kappa * action.G),
        converged=saddle.converged,
        residual=saddle.residual,
        iterations=saddle.iterations,
    )


def again(solution: Solution, action: Action) -> Expansion:
    """Return the level about the saddle of another action: that of a batch of draws."""
    return _expand(action)


def _expand(action: Action) -> Expansion:
    return Expansion(action, action.ft + 0.25 * action.network.width * (action.G @ action.T))
