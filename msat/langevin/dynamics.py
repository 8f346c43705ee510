"""An ensemble of Langevin chains, advanced in one batch: burn-in, then sampling to a target error.

The run is a sequence of blocks. Between blocks everything that determines the future is in a `State`, so
a run can be saved and resumed at any block with the same result to the last bit. When to stop (`target_error`,
`max_steps`, `steps`) does not move the chains: a finished run that is to go on does so from its last state.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from msat.errors import ComputationError
from msat.langevin import diagnostics
from msat.langevin.integrators import INTEGRATORS
from msat.langevin.moments import CAPACITY, BlockMeans, Sums
from msat.langevin.potential import Potential, readout_posterior_mean, top_curvature
from msat.langevin.settings import LangevinSettings
from msat.langevin.starts import starting_points

BURN_IN_BLOCKS = 32  # of the first burn-in segment; each following segment is twice as long
MIN_BLOCKS = 256  # base blocks sampled before a standard error is believed
CHECK_EVERY = 16  # blocks between two looks at the standard error
STABILITY_LIMIT = 1.9  # of step size times curvature; a quadratic diverges at 2


@dataclass(eq=False)
class State:
    """Everything that determines the rest of a run.

    Attributes
    ----------
    A, b, noise_A, noise_b
        Positions of all chains in whitened coordinates and the integrator's noise buffers.
    generator
        Source of all randomness, on the device of the chains.
    step_size, curvature
        Step size in use and the top curvature from which it was set.
    phase
        "burn_in", "sampling" or "done".
    burn_in_steps, steps
        Steps per chain thrown away and kept.
    segment_blocks
        Blocks of the present burn-in segment.
    burn_in_converged
        Whether burn-in ended by its R-hat criterion rather than by `max_burn_in`.
    relative_error
        Standard error of the train discrepancy over its magnitude, when last looked at.
    rhat
        Largest R-hat, when last looked at.
    lowest_error
        Smallest relative error at which a run with a larger target would have stopped before this state.
    blocks, sums
        Streaming moments of the present phase.
    """

    A: Tensor
    b: Tensor
    noise_A: Tensor
    noise_b: Tensor
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


@dataclass(frozen=True)
class Progress:
    """Where a run is, for whoever shows it.

    Attributes
    ----------
    phase, steps, total
        Phase, steps done in it, and the steps that are expected in it by the present error (None: unknown).
    relative_error
        Standard error of the train discrepancy over its value; NaN during burn-in.
    rhat
        Largest R-hat, when last looked at; NaN during burn-in.
    """

    phase: str
    steps: int
    total: int | None
    relative_error: float
    rhat: float


def initial_state(
    potential: Potential, settings: LangevinSettings, seed: int, device: torch.device
) -> tuple[Potential, State]:
    """Return the potential on its device in the precision of the dynamics, and the state of step 0.

    Parameters
    ----------
    potential
        As `msat.langevin.potential.make_potential` returns it.
    seed
        Seed of the generator of starts and noise, 64 bits.
    """
    potential = potential.to(getattr(torch, settings.dtype), device)
    generator = torch.Generator(device=device)
    generator.manual_seed(seed)
    A, b = starting_points(potential, settings.chains, generator)
    noise_A, noise_b = (
        torch.empty_like(A).normal_(generator=generator),
        torch.empty_like(b).normal_(generator=generator),
    )
    state = State(A, b, noise_A, noise_b, generator, step_size=math.nan, curvature=math.nan)
    _set_step_size(potential, settings, state)
    return potential, state


def run(
    potential: Potential,
    settings: LangevinSettings,
    state: State,
    on_block: Callable[[State, Progress], None] = lambda state, progress: None,
) -> State:
    """Advance a state until the run is done, and return it.

    Parameters
    ----------
    potential, state
        From `initial_state`, or a state saved by `on_block`: of this run, or of one with another end that
        `passes_through` accepts.
    on_block
        Called after every block, with the state (to save it) and the progress (to show it).

    Raises
    ------
    ComputationError
        If a chain diverges or the step is too large for the curvature.
    """
    if state.phase != "burn_in" and state.steps:
        # the end may lie further than that of the run that saved the state: judge its last block again
        state.phase = "sampling"
        _judge_sampling(potential, settings, state)
        on_block(state, _progress(settings, state))
    while state.phase != "done":
        _advance_block(potential, settings, state)
        if state.phase == "burn_in":
            _judge_burn_in(potential, settings, state)
        else:
            _judge_sampling(potential, settings, state)
        on_block(state, _progress(settings, state))
    curvature = top_curvature(potential, state.A, state.b)
    if curvature * state.step_size > STABILITY_LIMIT:
        raise ComputationError(
            f"step size {state.step_size:.3g} is too large for the curvature {curvature:.3g} at the end of the "
            f"run (product above {STABILITY_LIMIT}): the chains cannot be trusted; lower step_safety or step_size"
        )
    state.curvature = max(state.curvature, curvature)
    return state


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


def block_length(settings: LangevinSettings, state: State, n_train: int) -> int:
    """Return the steps of one base block: one relaxation time of the prior, or 1/256 of a fixed run."""
    # outputs of a block are held twice, in float64 at most: below half a gigabyte
    chains, _, _ = state.A.shape
    memory = max(1, 2**25 // (chains * n_train))
    length = max(1, min(round(1 / state.step_size), memory))
    if state.phase == "burn_in":
        return min(length, max(1, settings.max_burn_in // BURN_IN_BLOCKS))
    return min(length, max(1, (settings.steps or settings.max_steps) // CAPACITY))


def _set_step_size(potential: Potential, settings: LangevinSettings, state: State) -> None:
    state.curvature = top_curvature(potential, state.A, state.b)
    if not math.isfinite(state.curvature) or state.curvature <= 0:
        raise ComputationError(
            f"the curvature of the potential is {state.curvature:.3g}: g, kappa or the data are outside the "
            "range in which the dynamics can be computed"
        )
    if settings.step_size is not None:
        state.step_size = settings.step_size
        if state.step_size * state.curvature > STABILITY_LIMIT:
            raise ComputationError(
                f"step_size = {state.step_size:.3g} times the measured top curvature {state.curvature:.3g} is "
                f"above {STABILITY_LIMIT}: the dynamics would diverge; use at most {1 / state.curvature:.3g}"
            )
    else:
        state.step_size = min(settings.max_step_size, settings.step_safety / state.curvature)


def _advance_block(potential: Potential, settings: LangevinSettings, state: State) -> None:
    """Run one block and add its moments. There is no host synchronisation within the block."""
    integrate = INTEGRATORS[settings.integrator]
    chains, n_train = len(state.A), len(potential.y)
    length = block_length(settings, state, n_train)
    outputs = torch.empty(length, chains, n_train, dtype=state.A.dtype, device=state.A.device)
    for step in range(length):
        grad_A, grad_b, outputs[step] = potential.forces(state.A, state.b)
        integrate(
            (state.A, state.b),
            (grad_A, grad_b),
            (state.noise_A, state.noise_b),
            state.step_size,
            state.generator,
        )
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
    _record(potential, state, outputs.double())


def _record(potential: Potential, state: State, outputs: Tensor) -> None:
    """Add the moments of one block of training outputs, (steps, chains, P) in float64, and of its last state."""
    y = potential.y.double()
    along = outputs @ y / y.norm()  # component of f along the target, (steps, chains)
    values = {
        "f_train": outputs.mean(dim=0),
        "along": along.mean(dim=0),
        "along_squared": along.square().mean(dim=0),
        "readout_norm": potential.network.tau * state.b.double().square().sum(dim=1),
        "first_layer_variance": state.A.double().square().mean(dim=(1, 2)),
    }
    if state.phase == "sampling":
        hidden = potential.hidden(state.A)
        values["hidden_along"] = (hidden.double() @ y).square().mean(dim=1) / y.square().sum()
        mean = potential.test_means(state.A, state.b)
        turn = len(state.blocks) % len(state.A)  # one chain a block, in turn: this part varies little
        variance = potential.test_residual_variance(state.A[turn], state.b[turn], state.generator)
        values["f_test"] = mean.double()
        rao_blackwell, conditional = readout_posterior_mean(potential, hidden)
        values["f_train_rb"] = rao_blackwell
        chains = len(state.A)
        # Matrices are summed chain by chain, since chains are independent: functions of them get their errors from
        # leaving one out. In all 2 P^2 + r^2 numbers a chain, less than the Rao-Blackwell step holds for a moment.
        by_chain = outputs.transpose(0, 1)
        state.sums.add("f_train", outputs.sum(dim=0), len(outputs))
        state.sums.add("ff_train", by_chain.mT @ by_chain, len(outputs))
        state.sums.add("f_test", mean.double().sum(dim=0), chains)
        state.sums.add("f_test_squared", mean.double().square().sum(dim=0), chains)
        state.sums.add("test_residual_variance", variance.double(), 1)
        state.sums.add("rb_covariance", conditional.sum(dim=0), chains)
        state.sums.add("rb_outer", rao_blackwell.T @ rao_blackwell, chains)
        wide, first_layer = hidden.double(), state.A.double()
        state.sums.add("hidden_kernel", wide.mT @ wide, wide.shape[1])
        state.sums.add("first_layer", first_layer.mT @ first_layer, wide.shape[1])
    state.blocks.append(values)


MONITORS = ("along", "readout_norm", "first_layer_variance")


def monitor_rhat(state: State) -> float:
    """Return the largest R-hat of the scalar monitors over the blocks of the present phase."""
    return float(np.max([diagnostics.rhat(state.blocks.array(name)) for name in MONITORS]))


def largest_rhat(state: State) -> float:
    """Return the largest R-hat of the monitors and of all training outputs."""
    return max(monitor_rhat(state), float(np.max(diagnostics.rhat(state.blocks.array("f_train")))))


def _judge_burn_in(potential: Potential, settings: LangevinSettings, state: State) -> None:
    """End the segment when it is full; start sampling if its chains agree, else a segment twice as long."""
    if len(state.blocks) * state.blocks.merged < state.segment_blocks:
        return
    state.burn_in_converged = monitor_rhat(state) < settings.burn_in_rhat
    state.blocks = BlockMeans()
    # features have been learned since the last measurement, and the curvature moves with them
    _set_step_size(potential, settings, state)
    next_segment = 2 * state.segment_blocks * block_length(settings, state, len(potential.y))
    if state.burn_in_converged or state.burn_in_steps + next_segment > settings.max_burn_in:
        state.phase = "sampling"
    else:
        state.segment_blocks *= 2


def _judge_sampling(potential: Potential, settings: LangevinSettings, state: State) -> None:
    """Stop at the stated number of steps, or when precise and mixed enough, or at the most steps allowed."""
    if state.blocks.pending:
        return  # only whole blocks are averaged, so that means and error bars use the same draws
    limit = settings.steps or settings.max_steps
    full = state.steps >= limit
    if not full and len(state.blocks) % CHECK_EVERY:
        return
    state.relative_error = relative_error(state, potential)
    state.rhat = largest_rhat(state)
    believed = len(state.blocks) * state.blocks.merged >= MIN_BLOCKS and state.rhat < diagnostics.RHAT_LIMIT
    enough = settings.steps is None and believed and state.relative_error < settings.target_error
    if full or enough:
        state.phase = "done"
    elif believed:
        state.lowest_error = min(state.lowest_error, state.relative_error)


def relative_error(state: State, potential: Potential) -> float:
    """Return the standard error of the train discrepancy ``y.(y - <f>)/P`` over its magnitude."""
    length = float(potential.y.double().norm())
    along = state.blocks.array("along")
    value = abs(length - float(along.mean()))
    return float(diagnostics.standard_error(along)) / value if value else math.inf


def _progress(settings: LangevinSettings, state: State) -> Progress:
    if state.phase == "burn_in":
        return Progress("burn-in", state.burn_in_steps, None, math.nan, math.nan)
    total = settings.steps
    if total is None and math.isfinite(state.relative_error):
        # the error falls with the square root of the steps, and R-hat - 1 in proportion to them
        needed = state.steps * max(
            (state.relative_error / settings.target_error) ** 2,
            (state.rhat - 1) / (diagnostics.RHAT_LIMIT - 1),
        )
        total = min(settings.max_steps, max(state.steps, math.ceil(needed)))
    return Progress("sampling", state.steps, total, state.relative_error, state.rhat)
