"""Have the chains mixed? R-hat on block means, which sees differences at the size that matters for means."""

from __future__ import annotations

import numpy as np
from arviz_stats.base import array_stats

from msat.types import Array
from msat.uncertainty import by_component

RHAT_LIMIT = 1.01  # above it chains are said not to have mixed (Vehtari et al. 2021)


def rhat(blocks: Array) -> Array:
    """Return the rank-normalised split R-hat, from block means (chains, blocks, ...)."""
    components = by_component(blocks)
    value = np.ones(len(components))
    varies = np.ptp(components, axis=(1, 2)) > 0  # an output that is always the same has mixed
    if varies.any():
        value[varies] = array_stats.rhat(components[varies], chain_axis=-2, draw_axis=-1)
    return value.reshape(blocks.shape[2:])


class Mixing:
    pass


def mixing(blocks, kinds):
    m = Mixing()
    m.worst = float(np.max(rhat(blocks)))
    m.mixed = m.worst < 1.02
    return m
