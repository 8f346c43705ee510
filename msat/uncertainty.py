"""Standard errors of means of correlated series, by arviz-stats on block means (chains, blocks, ...).

A block is at least one relaxation time of the prior long, so block means are weakly correlated draws: the standard
error of their mean, which arviz-stats corrects for what correlation is left, is that of the whole run.
"""

from __future__ import annotations

import numpy as np
from arviz_stats.base import array_stats

from msat.types import Array


def by_component(blocks: Array) -> Array:
    """Return (chains, blocks, ...) as (components, chains, blocks)."""
    return np.moveaxis(blocks.reshape(*blocks.shape[:2], -1), -1, 0)


def standard_error(blocks: Array) -> Array:
    """Return the Monte Carlo standard error of the mean, from block means (chains, blocks, ...)."""
    if blocks[0, 0].size == 0:
        return np.zeros(blocks.shape[2:])
    error = array_stats.mcse(by_component(blocks), chain_axis=-2, draw_axis=-1, method="mean")
    return np.asarray(error, dtype=np.float64).reshape(blocks.shape[2:])


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
