"""When burn-in ends, when a run is good enough, and which saved states a run passes through."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from msat.langevin import diagnostics
from msat.langevin.moments import CAPACITY
from msat.langevin.potential import Potential
from msat.langevin.state import BURN_IN_BLOCKS, Progress, State
from msat.uncertainty import standard_error

if TYPE_CHECKING:
    from msat.langevin.settings import LangevinSettings

MIN_BLOCKS = 256  # base blocks sampled before a standard error is believed
CHECK_EVERY = 16  # blocks between two looks at the standard error
MONITORS = ("along", "readout_norm", "first_layer_variance")


def largest_rhat(state: State, *others: str) -> float:
    """Return the largest R-hat of the scalar monitors, and others, over the blocks of the present phase."""
    return float(np.max([np.max(diagnostics.rhat(state.blocks.array(name))) for name in (*MONITORS, *others)]))


def block_length(settings: LangevinSettings, state: State, n_train: int) -> int:
    """Return the steps of one base block: one relaxation time of the prior, or 1/256 of a fixed run."""
    # outputs of a block are held twice, in float64 at most: below half a gigabyte
    memory = 2**25 // (len(state.weights[0]) * n_train)
    if state.phase == "burn_in":
        share = settings.max_burn_in // BURN_IN_BLOCKS
    else:
        share = (settings.steps or settings.max_steps) // CAPACITY
    return max(1, min(round(1 / state.step_size), memory, share))


def passes_through(settings: LangevinSettings, state: State, n_train: int) -> bool:
    """Return whether a run of the same trajectory that ends by these settings meets this state on its way.

    It does unless its blocks have another length (a fixed number of steps makes them short), or it would have
    stopped before.
    """
    if state.phase == "burn_in" or not state.steps:
        return True
    base_blocks = state.blocks.merged * len(state.blocks) + len(state.blocks.pending)
    length = state.steps // base_blocks
    # where the block before this one ended; just after a merger it was half as long
    before = state.steps - length * max(1, state.blocks.merged // 2)
    return (
        length == block_length(settings, state, n_train)
        and before < (settings.steps or settings.max_steps)
        and (settings.steps is not None or state.lowest_error >= settings.target_error)
    )


def segment_is_full(state: State) -> bool:
    """Return whether the present segment of burn-in has ended."""
    return len(state.blocks) * state.blocks.merged >= state.segment_blocks


def judge_burn_in(settings: LangevinSettings, state: State, n_train: int) -> None:
    """After a segment: start sampling if its chains agreed, else a segment twice as long, of the new step size."""
    next_segment = 2 * state.segment_blocks * block_length(settings, state, n_train)
    if state.burn_in_converged or state.burn_in_steps + next_segment > settings.max_burn_in:
        state.phase = "sampling"
    else:
        state.segment_blocks *= 2


def judge_sampling(potential: Potential, settings: LangevinSettings, state: State) -> None:
    """Stop at the stated number of steps, or when precise and mixed enough, or at the most steps allowed."""
    if state.blocks.pending:
        return  # only whole blocks are averaged, so that means and error bars use the same draws
    limit = settings.steps or settings.max_steps
    full = state.steps >= limit
    if not full and len(state.blocks) % CHECK_EVERY:
        return
    along = state.blocks.array("along")
    value = abs(float(potential.y.double().norm()) - float(along.mean()))  # P/|y| times the train discrepancy
    state.relative_error = float(standard_error(along)) / value if value else math.inf
    state.rhat = largest_rhat(state, "f_train")
    believed = len(state.blocks) * state.blocks.merged >= MIN_BLOCKS and state.rhat < diagnostics.RHAT_LIMIT
    enough = settings.steps is None and believed and state.relative_error < settings.target_error
    if full or enough:
        state.phase = "done"
    elif believed:
        state.lowest_error = min(state.lowest_error, state.relative_error)


def progress_of(settings: LangevinSettings, state: State) -> Progress:
    """Return where a run is, for whoever shows it."""
    if state.phase == "burn_in":
        return Progress("burn-in", state.burn_in_steps)
    total = settings.steps
    if total is None and math.isfinite(state.relative_error):
        # the error falls with the square root of the steps, and R-hat - 1 in proportion to them
        needed = state.steps * max(
            (state.relative_error / settings.target_error) ** 2, (state.rhat - 1) / (diagnostics.RHAT_LIMIT - 1)
        )
        total = min(settings.max_steps, max(state.steps, math.ceil(needed)))
    return Progress("sampling", state.steps, total, state.relative_error, state.rhat)
