"""An ensemble of Langevin chains, advanced in one batch: burn-in, then sampling to a target error.

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
from msat.langevin.integrators import INTEGRATORS
from msat.langevin.moments import BlockMeans, record
from msat.langevin.potential import Potential, top_curvature
from msat.langevin.starts import starting_points
from msat.langevin.state import Progress, State

if TYPE_CHECKING:
    from msat.langevin.settings import LangevinSettings

STABILITY_LIMIT = 1.9  # of step size times curvature; a quadratic diverges at 2


def initial_state(
    potential: Potential, settings: LangevinSettings, seed: int, device: torch.device
) -> tuple[Potential, State]:
    """Return the potential on its device in the precision of the dynamics, and the state of step 0.

    Args:
        seed: Seed of the generator of starts and noise, 64 bits.
    """
    potential = potential.to(getattr(torch, settings.dtype), device)
    generator = torch.Generator(device=device).manual_seed(seed)
    weights = starting_points(potential, settings.chains, generator)
    noise = tuple(torch.empty_like(layer).normal_(generator=generator) for layer in weights)
    state = State(weights, noise, generator, step_size=math.nan, curvature=math.nan)
    _set_step_size(potential, settings, state)
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
        on_block(state, stopping.progress_of(settings, state))
    while state.phase != "done":
        _advance_block(potential, settings, state)
        if state.phase == "sampling":
            stopping.judge_sampling(potential, settings, state)
        elif stopping.segment_is_full(state):
            state.burn_in_converged = stopping.largest_rhat(state) < settings.burn_in_rhat
            state.blocks = BlockMeans()
            # features have been learned since the last measurement, and the curvature moves with them
            _set_step_size(potential, settings, state)
            stopping.judge_burn_in(settings, state, len(potential.y))
        on_block(state, stopping.progress_of(settings, state))
    curvature = top_curvature(potential, state.weights)
    if curvature * state.step_size > STABILITY_LIMIT:
        raise ComputationError(
            f"step size {state.step_size:.3g} is too large for the curvature {curvature:.3g} at the end of the "
            f"run (product above {STABILITY_LIMIT}): the chains cannot be trusted; lower step_safety or step_size"
        )
    state.curvature = max(state.curvature, curvature)


def _set_step_size(potential: Potential, settings: LangevinSettings, state: State) -> None:
    state.curvature = top_curvature(potential, state.weights)
    if not math.isfinite(state.curvature) or state.curvature <= 0:
        raise ComputationError(
            f"the curvature of the potential is {state.curvature:.3g}: g, kappa or the data are outside the "
            "range in which the dynamics can be computed"
        )
    # step_safety keeps the automatic one below the limit
    state.step_size = settings.step_size or min(settings.max_step_size, settings.step_safety / state.curvature)
    if state.step_size * state.curvature > STABILITY_LIMIT:
        raise ComputationError(
            f"step_size = {state.step_size:.3g} times the measured top curvature {state.curvature:.3g} is "
            f"above {STABILITY_LIMIT}: the dynamics would diverge; use at most {1 / state.curvature:.3g}"
        )


def _advance_block(potential: Potential, settings: LangevinSettings, state: State) -> None:
    """Run one block and add its moments. There is no host synchronisation within the block."""
    integrate = INTEGRATORS[settings.integrator]
    first, n_train = state.weights[0], len(potential.y)
    length = stopping.block_length(settings, state, n_train)
    outputs = torch.empty(length, len(first), n_train, dtype=first.dtype, device=first.device)
    for step in range(length):
        gradients, outputs[step] = potential.forces(state.weights)
        integrate(state.weights, gradients, state.noise, state.step_size, state.generator)
    if state.phase == "burn_in":
        state.burn_in_steps += length
    else:
        state.steps += length
    # One look at the chains a block: a diverged one stops the run here. 1e6 times the size of labels and
    # prior outputs is far outside any posterior and far inside float32.
    prior = math.sqrt(potential.network.g * float(potential.Z.double().square().sum(dim=1).max()))
    limit = 1e6 * (float(potential.y.abs().max()) + prior)
    if not bool(torch.isfinite(outputs).all()) or float(outputs.abs().max()) > limit:
        raise ComputationError(
            f"Langevin dynamics diverged in {state.phase} after {state.burn_in_steps + state.steps} steps "
            f"with step size {state.step_size:.3g}: lower step_safety or step_size"
        )
    sums = state.sums if state.phase == "sampling" else None
    record(potential, state.weights, outputs.double(), state.generator, state.blocks, sums)
