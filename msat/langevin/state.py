"""Where a run is: all of it, and what there is to show."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch

from msat.langevin.moments import BlockMeans, Sums
from msat.langevin.potential import Weights

BURN_IN_BLOCKS = 32  # of the first burn-in segment; each following segment is twice as long


@dataclass(eq=False)
class State:
    """Everything that determines the rest of a run."""

    weights: Weights  # positions of all chains in whitened coordinates, a tensor a layer
    noise: Weights  # the integrator's buffers
    generator: torch.Generator  # of all randomness, on the device of the chains
    step_size: float
    curvature: float  # the top one, from which the step size was set
    phase: Literal["burn_in", "sampling", "done"] = "burn_in"
    burn_in_steps: int = 0  # per chain, thrown away
    steps: int = 0  # per chain, kept
    segment_blocks: int = BURN_IN_BLOCKS  # blocks of the present burn-in segment
    burn_in_converged: bool = False  # by its R-hat criterion rather than ended by max_burn_in
    relative_error: float = math.nan  # of the train discrepancy, standard error over magnitude, when last looked at
    rhat: float = math.nan  # the largest, when last looked at
    lowest_error: float = math.inf  # smallest relative error at which a larger target would have stopped before
    blocks: BlockMeans = field(default_factory=BlockMeans)  # streaming moments of the present phase
    sums: Sums = field(default_factory=Sums)


class Progress(NamedTuple):
    """Where a run is, for whoever shows it: as in `State`, and the steps expected in the phase by the present error."""

    phase: str
    steps: int
    total: int | None = None  # unknown
    relative_error: float = math.nan
    rhat: float = math.nan
