"""Convergence and error bars, by arviz-stats on block means.

A block is at least one relaxation time of the prior long, so block means are weakly correlated draws: the
standard error of their mean, which arviz-stats corrects for what correlation is left, is that of the whole run,
and R-hat on them sees differences between chains at the size that matters for the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from arviz_stats.base import array_stats
from numpy.typing import NDArray

Array = NDArray[np.float64]

RHAT_LIMIT = 1.01  # above it chains are said not to have mixed (Vehtari et al. 2021)


def _by_component(blocks: Array) -> Array:
    """Return (chains, blocks, ...) as (components, chains, blocks)."""
    return np.moveaxis(blocks.reshape(*blocks.shape[:2], -1), -1, 0)


def standard_error(blocks: Array) -> Array:
    """Return the Monte Carlo standard error of the mean, from block means (chains, blocks, ...)."""
    if blocks[0, 0].size == 0:
        return np.zeros(blocks.shape[2:])
    error = array_stats.mcse(_by_component(blocks), chain_axis=-2, draw_axis=-1, method="mean")
    return np.asarray(error, dtype=np.float64).reshape(blocks.shape[2:])


def rhat(blocks: Array) -> Array:
    """Return the rank-normalised split R-hat, from block means (chains, blocks, ...)."""
    components = _by_component(blocks)
    value = np.ones(len(components))
    varies = np.ptp(components, axis=(1, 2)) > 0  # an output that is always the same has mixed
    if varies.any():
        value[varies] = array_stats.rhat(components[varies], chain_axis=-2, draw_axis=-1)
    return value.reshape(blocks.shape[2:])


def error_correlation(blocks: Array) -> Array:
    """Return the correlation between the errors of a vector's means, from blocks (chains, blocks, P)."""
    centred = blocks.reshape(-1, blocks.shape[-1])
    centred = centred - centred.mean(axis=0)
    scale = np.sqrt(np.sum(centred**2, axis=0))
    scale[scale == 0] = 1.0
    centred = centred / scale
    return np.asarray(centred.T @ centred)


def error_product(first: Array, second: Array) -> float:
    """Return the correlation between the errors of two means, from their block means (chains, blocks).

    0 where one of them has no error.
    """
    errors = [float(standard_error(blocks)) for blocks in (first, second)]
    if not all(np.isfinite(error) and error > 0 for error in errors):
        return 0.0
    # var(a + b) = 2 + 2 rho for errors of unit size
    together = float(standard_error(first / errors[0] + second / errors[1]))
    return float(np.clip(together**2 / 2 - 1, -1, 1))


def jackknife(
    means: Mapping[str, Array], function: Callable[[Mapping[str, Array]], Mapping[str, Any]]
) -> dict[str, tuple[Array, Array]]:
    """Return ``{name: (value, standard error)}`` of functions of means, by leaving out one chain at a time.

    With B chains, ``t`` the function of all and ``t_j`` that without chain j, the value is
    ``B t - (B - 1) mean(t_j)``, free of the bias of leading order that noise gives a function, and the squared
    error is ``(B - 1)/B sum_j (t_j - mean)^2``. Chains are independent whatever the correlation within each, which
    batches of time would not be; the price is an error known from B numbers only: (value - truth)/error follows
    Student's t with B - 1 degrees of freedom.

    Parameters
    ----------
    means
        For each quantity the means of the single chains, (B, ...).
    function
        Maps means over chains to named numbers or arrays.
    """
    chains = len(next(iter(means.values())))
    totals = {name: values.sum(axis=0) for name, values in means.items()}
    whole = function({name: total / chains for name, total in totals.items()})
    left_out = [
        function({name: (total - means[name][j]) / (chains - 1) for name, total in totals.items()})
        for j in range(chains)
    ]
    result = {}
    for name, value in whole.items():
        parts = np.array([item[name] for item in left_out])
        centre = parts.mean(axis=0)
        error = np.sqrt((chains - 1) / chains * np.sum((parts - centre) ** 2, axis=0))
        result[name] = (np.asarray(chains * value - (chains - 1) * centre), np.asarray(error))
    return result
