"""An ensemble of chains, advanced in one batch: burn-in, sampling to a target error, and what the step size costs.

The run is a sequence of blocks. Between blocks everything that determines the future is in a `State`, so
a run can be saved and resumed at any block with the same result to the last bit. When to stop (`target_error`,
`max_steps`, `steps`) does not move the chains: a finished run that is to go on does so from its last state.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from msat.errors import ComputationError
from msat.langevin import stopping
from msat.langevin.curvature import top_curvature
from msat.langevin.moments import BlockMeans, Sums, record
from msat.langevin.potential import Potential
from msat.langevin.samplers import get_sampler
from msat.langevin.starts import start_names, starting_points
from msat.langevin.state import Progress, State

if TYPE_CHECKING:
    from msat.langevin.settings import LangevinSettings

HALF_SHARE = 0.25  # of the sampled time, run again at half the step: half as many steps
_HALF_BURN_IN = 1 / 8  # of that, thrown away


def initial_state(
    potential: Potential, settings: LangevinSettings, seed: int, device: torch.device, population: torch.Tensor | None
) -> tuple[Potential, State]:
    """Return the potential on its device in the precision of the dynamics, and the state of step 0.

    Args:
        seed: Seed of the generator of starts and noise, 64 bits.
        population: Neurons of a theory to start from, see `starting_points`.
    """
    potential = potential.to(getattr(torch, settings.dtype), device)
    generator = torch.Generator(device=device).manual_seed(seed)
    weights = starting_points(potential, settings.chains, generator, population)
    sampler = get_sampler(settings.sampler)
    memory = sampler.memory(potential, weights, generator)
    state = State(weights, memory, generator, step_size=math.nan, curvature=math.nan)
    sampler.set_step_size(potential, settings, state)
    state.starts = start_names(settings.chains, population is not None)
    state.block = stopping.block_steps(settings, state, potential.y.numel())
    return potential, state


def run(
    potential: Potential, settings: LangevinSettings, state: State, on_block: Callable[[State, Progress], None]
) -> None:
    """Advance a state until the run is done.

    Args:
        state: From `initial_state`, or saved by `on_block`: of this run, or of one with another end that
            `msat.langevin.stopping.passes_through` accepts.
        on_block: Called after every block, with the state (to save it) and the progress (to show it).

    Raises:
        ComputationError: If a chain diverges or the step is too large for the curvature.
    """
    if state.phase != "burn_in" and state.steps:
        # the end may lie further than that of the run that saved the state: judge its last block again
        state.phase = "sampling"
        stopping.judge_sampling(potential, settings, state)
    elif state.phase == "sampling":  # just begun, in blocks as long as another end wanted them
        state.block = stopping.block_steps(settings, state, potential.y.numel())
    while state.phase in ("burn_in", "sampling"):
        state.half = None  # of an end that lay nearer
        _advance_block(potential, settings, state)
        if state.phase == "sampling":
            stopping.judge_sampling(potential, settings, state)
        elif stopping.segment_is_full(state):
            _end_segment(potential, settings, state)
        on_block(state, stopping.progress_of(settings, state))
    sampler = get_sampler(settings.sampler)
    curvature = top_curvature(potential, state.weights)
    if state.step_size > (largest := sampler.largest_step_size(curvature)):
        raise ComputationError(
            f"step size {state.step_size:.3g} is too large for the curvature {curvature:.3g} at the end of the "
            f"run (above {largest:.3g}): the chains cannot be trusted; lower step_safety or step_size"
        )
    state.end_curvature = curvature
    if state.phase == "half_step":
        state.half = state.half or _halved(state, potential.y.numel())
        # of the same time, in blocks that may be shorter
        blocks = math.ceil(HALF_SHARE * state.base_blocks * 2 * state.block / state.half.block)
        while state.half.phase != "done":
            _advance_half(potential, settings, state.half, blocks)
            on_block(state, stopping.progress_of(settings, state))
        state.phase = "done"
    on_block(state, stopping.progress_of(settings, state))


def _end_segment(potential: Potential, settings: LangevinSettings, state: State) -> None:
    """Judge a full segment of burn-in, and set the step of what follows."""
    state.burn_in_converged = stopping.segment_agrees(potential, settings, state)
    state.blocks, state.tallies = BlockMeans(), Sums()
    # features have been learned since the last measurement, and the curvature moves with them
    get_sampler(settings.sampler).set_step_size(potential, settings, state)
    stopping.judge_burn_in(settings, state, potential.y.numel())


def _halved(state: State, n_labels: int) -> State:
    """Return a run at half the step that starts where a finished one stands; the finished one can still go on.

    Its blocks are as long in time, unless the outputs of twice the steps are more than memory may hold.
    """
    weights, memory = (tuple(layer.clone() for layer in layers) for layers in (state.weights, state.memory))
    generator = torch.Generator(device=state.generator.device)
    generator.set_state(state.generator.get_state())
    block = min(2 * state.block, stopping.most_block_steps(state, n_labels))
    return State(weights, memory, generator, state.step_size / 2, state.curvature, block=block)


def _advance_half(potential: Potential, settings: LangevinSettings, half: State, wanted: int) -> None:
    """Run one block at half the step, of so many after burn-in."""
    _advance_block(potential, settings, half)
    if half.phase == "burn_in":
        if half.base_blocks >= _HALF_BURN_IN * wanted:
            half.phase, half.blocks, half.tallies = "sampling", BlockMeans(), Sums()
    elif half.base_blocks >= wanted and not half.blocks.pending:
        half.phase = "done"


def _advance_block(potential: Potential, settings: LangevinSettings, state: State) -> None:
    """Run one block and add its moments."""
    outputs = get_sampler(settings.sampler).advance(potential, settings, state, state.block)
    if state.phase == "burn_in":
        state.burn_in_steps += state.block
    else:
        state.steps += state.block
    # One look at the chains a block: a diverged one stops the run here. 1e6 times the size of labels and
    # prior outputs is far outside any posterior and far inside float32.
    prior = math.sqrt(potential.network.g * float(potential.Z.double().square().sum(dim=1).max()))
    limit = 1e6 * (float(potential.y.abs().max()) + prior)
    if not bool(torch.isfinite(outputs).all()) or float(outputs.abs().max()) > limit:
        raise ComputationError(
            f"the dynamics diverged in {state.phase} after {state.burn_in_steps + state.steps} steps "
            f"with step size {state.step_size:.3g}: lower step_safety or step_size"
        )
    sums = state.sums if state.phase == "sampling" else None
    record(potential, state.weights, outputs, state.generator, state.blocks, sums)
