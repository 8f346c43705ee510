"""What a finished run has measured: means with errors, the moments of every chain, and block series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from msat.langevin import diagnostics
from msat.langevin.moments import BY_CHAIN, SEVERAL, BlockMeans
from msat.langevin.packing import triangle
from msat.langevin.state import State
from msat.langevin.stopping import steps_needed
from msat.types import Array, by_output
from msat.uncertainty import error_correlation, standard_error

if TYPE_CHECKING:
    from msat.langevin.settings import LangevinSettings


class Measurement(NamedTuple):
    """The result of a run, in float64."""

    variables: dict[str, Any]  # means, covariances, kernels and diagnostics by their names in langevin.nc
    by_chain: dict[str, Array]  # means of every chain by the names of moments.BY_CHAIN, (chains, ...); matrices packed
    series: dict[str, Array]  # block means, (chains, blocks, ...)
    half_series: dict[str, Array]  # the same at half the step; empty where the sampler does not measure its bias
    account: dict[str, float | bool | str]  # how the run went


def measured(
    state: State, settings: LangevinSettings, y_train: Array, y_test: Array, projection: Array | None
) -> Measurement:
    """Return what a finished run has measured.

    Args:
        projection: Maps test outputs to their components along a teacher, (3, Q); None for none.
    """
    blocks, sums = state.blocks, state.sums
    f_train, f_test, draws = (blocks.array(name) for name in ("f_train", "f_test", "f_train_draws"))
    by_chain = {name: sums.mean(name) for name in (*BY_CHAIN, SEVERAL) if name in sums.totals}
    mean_train, mean_test = by_chain["f_train"].mean(axis=0), by_chain["f_test"].mean(axis=0)
    covariance = by_chain["ff_train"].mean(axis=0) - np.outer(mean_train, mean_train)
    error = standard_error(f_train)
    spread = np.diag(covariance).reshape(error.shape)
    ess = np.divide(spread, error**2, out=np.full_like(error, np.nan), where=error > 0)
    variables = {
        "mean_train": mean_train,
        "mean_train_error": error,
        "mean_train_draws": draws.mean(axis=(0, 1)),
        "mean_train_draws_error": standard_error(draws),
        "mean_test": mean_test,
        "mean_test_error": standard_error(f_test),
        "covariance_train": by_output(covariance, mean_train),
        "error_correlation_train": by_output(error_correlation(f_train), mean_train),
        "variance_test": sums.mean("f_test_squared")
        - mean_test**2
        + sums.mean("test_readout_variance")
        + sums.mean("test_residual_variance"),
        "hidden_kernel": by_chain["hidden_kernel"].mean(axis=0),
        "chain_mean_train": f_train.mean(axis=1),
        "rhat": diagnostics.rhat(f_train),
        "ess": ess,
        **{name: getattr(state, name) for name in ("step_size", "steps", "burn_in_steps")},
        # of hmc with a step size that was given none is measured at the start
        "curvature": np.fmax(state.curvature, state.end_curvature),
        "start": state.starts,
    }
    if SEVERAL in by_chain:
        variables[SEVERAL] = by_chain[SEVERAL].mean(axis=0)
    if "hidden_kernels" in sums.totals:
        variables["hidden_kernels"] = sums.mean("hidden_kernels")
    vectors = ("f_train", "f_test")
    packed = {name: array if name in vectors else triangle(array) for name, array in by_chain.items()}
    half = {} if state.half is None else _series(state.half.blocks, projection)
    return Measurement(variables, packed, _series(blocks, projection), half, _account(state, settings))


def _series(blocks: BlockMeans, projection: Array | None) -> dict[str, Array]:
    series = {name: blocks.array(name) for name, means in blocks.blocks.items() if means[0].dim() == 1}
    if "layers_along" in blocks.blocks:
        series["layers_along"] = blocks.array("layers_along")
    if projection is not None:
        series["components"] = blocks.array("f_test") @ projection.T
    return series


def _account(state: State, settings: LangevinSettings) -> dict[str, float | bool | str]:
    """Return how the run went: what was looked at last, and the sampler's own account."""
    look, tallies = state.look, state.tallies
    account: dict[str, float | bool | str] = {
        "rhat_max": look.rhat,
        "rhat_excess": look.excess,
        "ess_slowest": look.ess,
        "mixed": look.mixed,
        "relative_error": look.relative_error,
        "largest_error": look.error,
        "slowest": look.slowest,
        "target_met": look.error < settings.target_error,
        "steps_needed": steps_needed(settings, state),
        "burn_in_converged": state.burn_in_converged,
        "relaxation_times": state.steps * state.step_size,  # of hmc, below, of all leapfrog steps
        "block_steps": state.block * state.blocks.merged,
    }
    if tallies.totals:  # by chain
        means = {name: tallies.mean(name) for name in tallies.totals}
        account |= {
            "acceptance_mean": float(means["acceptance"].mean()),
            "acceptance_lowest_chain": float(means["acceptance"].min()),
            "energy_error": float(means["energy_error"].mean()),
            "divergences": float(tallies.totals["divergences"].sum()),
            "leapfrog_steps": float(means["leapfrogs"].mean()),
            "relaxation_times": float(tallies.totals["leapfrogs"].mean()) * state.step_size,
        }
    return account
