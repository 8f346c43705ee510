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
    """Everything that determines the rest of a run.

    Attributes:
        weights, noise: Positions of all chains in whitened coordinates and the integrator's noise buffers, a tensor a
            layer.
        generator: Source of all randomness, on the device of the chains.
        step_size, curvature: Step size in use and the top curvature from which it was set.
        phase: "burn_in", "sampling" or "done".
        burn_in_steps, steps: Steps per chain thrown away and kept.
        segment_blocks: Blocks of the present burn-in segment.
        burn_in_converged: Whether burn-in ended by its R-hat criterion rather than by `max_burn_in`.
        relative_error: Standard error of the train discrepancy over its magnitude, when last looked at.
        rhat: Largest R-hat, when last looked at.
        lowest_error: Smallest relative error at which a run with a larger target would have stopped before this state.
        blocks, sums: Streaming moments of the present phase.
    """

    weights: Weights
    noise: Weights
    generator: torch.Generator
    step_size: float
    curvature: float
    phase: Literal["burn_in", "sampling", "done"] = "burn_in"
    burn_in_steps: int = 0
    steps: int = 0
    segment_blocks: int = BURN_IN_BLOCKS
    burn_in_converged: bool = False
    relative_error: float = math.nan
    rhat: float = math.nan
    lowest_error: float = math.inf
    blocks: BlockMeans = field(default_factory=BlockMeans)
    sums: Sums = field(default_factory=Sums)


class Progress(NamedTuple):
    """Where a run is, for whoever shows it: as in `State`, and the steps expected in the phase by the present error."""

    phase: str
    steps: int
    total: int | None = None  # unknown
    relative_error: float = math.nan
    rhat: float = math.nan
