"""Level `laplace`: one loop about the tree level (docs/theory.md, section 3)."""

from __future__ import annotations

from msat.theory.action import Action, Expansion, Saddle, Solution, covariance, fluctuations, joined
from msat.theory.matrices import Matrix, congruence

LEADING_NOTE = "the training covariance is the tree level's, leading order"


def solve(saddle: Saddle[Action]) -> Solution:
    """Return the predictions of ``ln p = S(ft*) - (1/2) ln det(kappa + W'') - (P/2) ln 2 pi``.

    Mean and covariance are its derivatives with respect to y, eq. (2): ``<ft> = ft* + (N/2) G T``, and the
    covariance ``kappa - kappa^2 d<ft>/dy``, or the tree level's where second derivatives cannot be formed.
    """
    action = saddle.action
    loop_covariance = _loop_covariance(action)
    return Solution(
        _expand(action),
        covariance=covariance(action, action.curvature, action.G) + loop_covariance,
        loop_covariance=loop_covariance,
        log_evidence=action.value + fluctuations(action),
        converged=saddle.converged,
        residual=saddle.residual,
        iterations=saddle.iterations,
        note=joined("" if action.has_second_derivative else LEADING_NOTE, action.loop_note, saddle.note),
    )


def again(solution: Solution, action: Action) -> Expansion:
    """Return the level about the saddle of another action: that of a batch of draws."""
    return _expand(action)


def _expand(action: Action) -> Expansion:
    return Expansion(action, action.ft + action.shift, loop=True, shift=action.shift)


def _loop_covariance(action: Action) -> Matrix:
    """Return the loop's part of the covariance, from ``d<ft>/dy = (1 + (N/2) d(G T)/dft) G``."""
    if not action.has_second_derivative:
        return 0.0 * action.identity
    N, part = action.network.width, action.thinned()
    change = part.dT - N * part.third_cumulant(part.G @ part.T)
    correction = 0.5 * N * congruence(action.G, change)
    return -0.5 * action.network.kappa**2 * (correction + correction.T)
