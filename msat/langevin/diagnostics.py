"""Convergence and error bars, by arviz-stats on block means.

A block is at least one relaxation time of the prior long, so block means are weakly correlated draws: the
standard error of their mean, which arviz-stats corrects for what correlation is left, is that of the whole run,
and R-hat on them sees differences between chains at the size that matters for the mean.
"""

from __future__ import annotations

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
