"""What an anneal is given, and what it may spend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msat.activations.base import Activation
from msat.geometry import RowSpace
from msat.types import Array


@dataclass(frozen=True)
class Effort:
    """How much sampling the neuron levels do.

    Attributes:
        neurons: Size of the population, rounded up to a multiple of 16; None: ``max(4096, 8 P)``. Its finite size
            biases the answer by about (loop correction of a network of that width).
        snapshots, spacing: Number of population states per scale, and sweeps between them.
        settle: Sweeps at a scale before the first snapshot. Settling and collecting are repeated, twice as long each
            time, up to `rounds` times in all, until the sweeps at this scale exceed `relaxations` times the
            autocorrelation time of the neurons' u^2 and the training outputs no longer drift.
        relaxations, rounds: See there.
        tolerance: Relative change of ``y.ft`` that counts as none: between settling and collecting, and between the
            upward and the downward anneal.
        min_ess: Smallest fraction of effective draws in Newton's method on the collected states.
    """

    neurons: int | None = None
    snapshots: int = 3
    spacing: int = 2
    settle: int = 4
    relaxations: float = 3.0
    rounds: int = 7
    tolerance: float = 5e-3
    min_ess: float = 0.3


USUAL = Effort()


@dataclass(frozen=True, eq=False)
class Problem:
    """What stays the same along an anneal: data in row-space coordinates, activation, effort, randomness.

    The labels are (P,), or of m outputs (P m,), sample by sample, as fields are.
    """

    space: RowSpace
    y: Array
    activation: Activation
    effort: Effort
    rng: np.random.Generator
