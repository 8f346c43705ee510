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
class Tuning:
    """Dual averaging of the logarithm of a step size, begun anew by every segment of burn-in."""

    centre: float = 0.0
    trials: int = 0
    shortfall: float = 0.0  # mean of acceptance wanted minus acceptance found
    log_mean: float = 0.0


@dataclass(eq=False)
class Look:
    """What the last look at errors and mixing found."""

    relative_error: float = math.nan  # of the train discrepancy, standard error over magnitude
    error: float = math.nan  # largest of all quantities looked at, each over its share of the target error
    slowest: str = ""  # that quantity
    rhat: float = math.nan  # the largest
    excess: float = math.nan  # the largest of those that noise does not explain
    ess: float = math.nan  # effective draws of all chains in the slowest quantity
    mixed: bool = False


@dataclass(eq=False)
class State:
    """Everything that determines the rest of a run."""

    weights: Weights  # positions of all chains in whitened coordinates, a tensor a layer
    memory: Weights  # what the sampler keeps beside them
    generator: torch.Generator  # of all randomness, on the device of the chains
    step_size: float
    curvature: float  # the top one, from which step sizes are set
    end_curvature: float = 0.0  # that at the end of the run, which another end has elsewhere
    phase: Literal["burn_in", "sampling", "half_step", "done"] = "burn_in"
    burn_in_steps: int = 0  # per chain, thrown away
    steps: int = 0  # per chain, kept
    segment_blocks: int = BURN_IN_BLOCKS  # blocks of the present burn-in segment
    burn_in_converged: bool = False  # by its criterion rather than ended by max_burn_in
    starts: list[str] = field(default_factory=list)  # kind of start of each chain
    block: int = 0  # steps of one base block of the present phase
    looked: int = 0  # base blocks of sampling at the last look that was due
    look: Look = field(default_factory=Look)
    lowest_error: float = math.inf  # smallest `error` of a look at which a larger target would have stopped
    blocks: BlockMeans = field(default_factory=BlockMeans)  # streaming moments of the present phase
    sums: Sums = field(default_factory=Sums)
    tuning: Tuning = field(default_factory=Tuning)
    tallies: Sums = field(default_factory=Sums)  # the sampler's own account of the present phase, by chain
    half: State | None = None  # the run at half the step that follows one of a sampler which measures its bias

    @property
    def base_blocks(self) -> int:
        """Number of base blocks recorded in the present phase."""
        return self.blocks.merged * len(self.blocks) + len(self.blocks.pending)


class Progress(NamedTuple):
    """Where a run is, for whoever shows it: as in `State`, and the steps expected in the phase by the present error."""

    phase: str
    steps: int
    total: int | None = None  # unknown
    relative_error: float = math.nan
    rhat: float = math.nan
