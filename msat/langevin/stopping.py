"""When burn-in ends, when a run is good enough, and which saved states a run passes through (docs/theory.md, 7c)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from msat.langevin import diagnostics
from msat.langevin.chain_scalars import relative_errors
from msat.langevin.diagnostics import MIN_CHAINS
from msat.langevin.moments import CAPACITY
from msat.langevin.potential import Potential
from msat.langevin.samplers import get_sampler
from msat.langevin.state import BURN_IN_BLOCKS, Look, Progress, State
from msat.types import Array
from msat.uncertainty import standard_error

if TYPE_CHECKING:
    from msat.langevin.settings import LangevinSettings

FIRST_LOOK = 32  # base blocks, and
FEWEST_STEPS = 80  # kept: of hmc as many trajectories, from fewer of which an error is itself noisy
BURN_IN_ESS = 8  # effective draws of a chain in the last segment of burn-in, at least
_GROWTH = 1.25  # each look comes a quarter later than the one before
# what is looked at, and how many times the target error of the train discrepancy is its own: the relative error of
# a variance from n independent draws is sqrt(2/n), whatever its size
SHARES = {
    "train_discrepancy": 1,
    "test_discrepancy": 4,
    "readout_norm": 10,
    "hidden_along": 10,
    "hidden_trace": 10,
    "first_layer_variance": 10,
    "weights_along": 10,
    "variance_along": 40,
    "variance": 40,
    "variance_across_target": 40,
    "covariance_outlier": 80,
    "readout_gap": 40,  # relative to the discrepancy
    "readout_norm_gap": 40,
    "readout_outlier": 40,
    "hidden_kernel_outlier": 10,
    "hidden_kernel_bulk": 10,
    "hidden_kernel_effective_rank": 10,
    "hidden_kernel_alignment": 10,
}


def quantities(potential: Potential, state: State) -> dict[str, Array]:
    """Return block series (chains, blocks) whose means are what is looked at, to first order in the noise."""
    blocks = {name: state.blocks.array(name) for name in state.blocks.blocks}
    y, y_test = (labels.flatten() for labels in (potential.wide.y, potential.wide.y_test))
    along, f = blocks["along"], _components(blocks["f_train"])
    centre, centre_f = along.mean(), f.mean(axis=(0, 1))
    found = {
        "train_discrepancy": float(y.norm()) - along,
        "test_discrepancy": float(y_test @ y_test) - blocks["along_test"],
        "variance_along": blocks["along_squared"] - 2 * centre * along + centre**2,
        "variance": blocks["squared"] - 2 * (f @ centre_f) / len(y) + centre_f @ centre_f / len(y),
    }
    # some are not there on some data: no test points, labels without a direction
    named = found | {name: blocks[name] for name in SHARES if name in blocks}
    return {name: series for name, series in named.items() if np.all(np.isfinite(series)) and np.ptp(series) > 0}


def look(potential: Potential, state: State) -> Look:
    """Return the errors of all quantities over their shares of the target, and whether chains have mixed in them."""
    found = quantities(potential, state)
    errors = {name: _relative(series) for name, series in found.items()}
    errors |= _of_gaps(potential, state) | relative_errors(potential, state.sums)
    scaled = {name: error / SHARES[name] for name, error in errors.items()}
    slowest = max(scaled, key=lambda name: scaled[name], default="")
    mixing = _mixing(state, found)
    first = errors.get("train_discrepancy", math.inf)
    return Look(
        relative_error=first,
        error=scaled.get(slowest, math.inf),
        slowest=slowest,
        rhat=float(np.max(mixing.rhat, initial=1.0)),
        excess=mixing.worst,
        ess=float(np.min(mixing.ess, initial=math.inf)),
        mixed=mixing.mixed,
    )


def _of_gaps(potential: Potential, state: State) -> dict[str, float]:
    """Return errors of what draws show beyond averages over the readout, 0 in the mean: relative to these averages."""
    along, draws, norm, norm_draws = (
        state.blocks.array(name) for name in ("along", "along_draws", "readout_norm", "readout_norm_draws")
    )
    length = float(potential.wide.y.norm())
    errors = {"readout_gap": (along - draws, length - along), "readout_norm_gap": (norm_draws - norm, norm)}
    return {name: float(standard_error(gap)) / abs(float(of.mean())) for name, (gap, of) in errors.items()}


def _relative(series: Array) -> float:
    value = abs(float(series.mean()))
    return float(standard_error(series)) / value if value else math.inf


def _components(f: Array) -> Array:
    """Return block series of outputs, (chains, blocks, P) or (chains, blocks, P, m), as (chains, blocks, P m)."""
    return f.reshape(*f.shape[:2], -1)


def _mixing(state: State, found: dict[str, Array]) -> diagnostics.Mixing:
    scalars = [series[:, :, None] for series in found.values()]
    components = np.concatenate([*scalars, _components(state.blocks.array("f_train"))], axis=-1)
    return diagnostics.mixing(components, state.starts)


def block_steps(settings: LangevinSettings, state: State, n_labels: int) -> int:
    """Return the steps of one base block of the present phase: the sampler's, or 1/256 of a fixed run.

    Args:
        n_labels: Training points times outputs.
    """
    if state.phase == "burn_in":
        share = settings.max_burn_in // BURN_IN_BLOCKS
    else:
        share = (settings.steps or settings.max_steps) // CAPACITY
    own = get_sampler(settings.sampler).block_steps(settings, state.step_size)
    return max(1, min(own, most_block_steps(state, n_labels), share))


def most_block_steps(state: State, n_labels: int) -> int:
    """Return the most steps whose outputs may be held: twice, in float64 at most, below half a gigabyte."""
    return max(1, 2**25 // (len(state.weights[0]) * n_labels))


def passes_through(settings: LangevinSettings, state: State, n_labels: int) -> bool:
    """Return whether a run of the same trajectory that ends by these settings meets this state on its way.

    It does unless its blocks have another length (a fixed number of steps makes them short), or it would have
    stopped before.
    """
    if state.phase == "burn_in" or not state.steps:
        return True
    # where the block before this one ended; just after a merger it was half as long
    before = state.steps - state.block * max(1, state.blocks.merged // 2)
    return (
        state.block == block_steps(settings, state, n_labels)
        and before < (settings.steps or settings.max_steps)
        and (settings.steps is not None or state.lowest_error >= settings.target_error)
    )


def segment_is_full(state: State) -> bool:
    """Return whether the present segment of burn-in has ended."""
    return not state.blocks.pending and state.base_blocks >= state.segment_blocks


def segment_agrees(potential: Potential, settings: LangevinSettings, state: State) -> bool:
    """Return whether the chains of a full segment of burn-in agree, and drift no more.

    A drift is an autocorrelation as long as the segment: it leaves few effective draws.
    """
    found = _mixing(state, quantities(potential, state))
    chains = len(state.weights[0])
    # of fewer chains the draws are not counted: R-hat alone decides
    settled = chains < MIN_CHAINS or float(np.min(found.ess, initial=np.inf)) >= BURN_IN_ESS * chains
    return settled and found.worst < settings.burn_in_rhat


def judge_burn_in(settings: LangevinSettings, state: State, n_labels: int) -> None:
    """After a segment: start sampling if its chains agreed, else a segment twice as long, of the new step size."""
    state.block = block_steps(settings, state, n_labels)
    next_segment = 2 * state.segment_blocks * state.block
    if state.burn_in_converged or state.burn_in_steps + next_segment > settings.max_burn_in:
        state.phase = "sampling"
        state.block = block_steps(settings, state, n_labels)
    else:
        state.segment_blocks *= 2


def judge_sampling(potential: Potential, settings: LangevinSettings, state: State) -> None:
    """Stop at the stated number of steps, or when precise and mixed enough, or at the most steps allowed.

    Looks come at growing intervals, at the same blocks wherever the run is to end: a run that goes on from a finished
    one must not look where one in one go would not.
    """
    if state.blocks.pending:
        return  # only whole blocks are averaged, so that means and error bars use the same draws
    blocks = state.base_blocks
    full = state.steps >= (settings.steps or settings.max_steps)
    first = max(FIRST_LOOK, math.ceil(FEWEST_STEPS / state.block))
    due = blocks >= max(first, math.ceil(_GROWTH * state.looked)) or blocks == state.looked
    if not (due or full):
        return
    if due:
        state.looked = blocks
    state.look = look(potential, state)
    enough = settings.steps is None and state.look.mixed and state.look.error < settings.target_error
    if full or enough:
        state.phase = "half_step" if get_sampler(settings.sampler).MEASURES_BIAS else "done"
    elif state.look.mixed:
        state.lowest_error = min(state.lowest_error, state.look.error)


def steps_needed(settings: LangevinSettings, state: State) -> int:
    """Return the steps after which the errors found would have met their targets: they fall as the root of steps."""
    if not math.isfinite(state.look.error):
        return 0
    return math.ceil(state.steps * (state.look.error / settings.target_error) ** 2)


def progress_of(settings: LangevinSettings, state: State) -> Progress:
    """Return where a run is, for whoever shows it."""
    if state.phase == "burn_in":
        return Progress("burn-in", state.burn_in_steps)
    if state.half is not None:
        return Progress("half step", state.half.burn_in_steps + state.half.steps)
    total, found = settings.steps, state.look
    if total is None and math.isfinite(found.error):
        total = min(settings.max_steps, max(state.steps, steps_needed(settings, state)))
    return Progress("sampling", state.steps, total, found.relative_error, found.rhat)
