"""What a finished run has measured: means with errors, the moments of every chain, and block series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from msat.langevin import diagnostics
from msat.langevin.moments import BY_CHAIN
from msat.langevin.packing import triangle
from msat.langevin.starts import start_names
from msat.langevin.state import State
from msat.types import Array
from msat.uncertainty import error_correlation, standard_error

if TYPE_CHECKING:
    from msat.langevin.settings import LangevinSettings


class Measurement(NamedTuple):
    """The result of a run, in float64."""

    variables: dict[str, Any]  # means, covariances, kernels and diagnostics by their names in langevin.nc
    by_chain: dict[str, Array]  # means of every chain by the names of moments.BY_CHAIN, (chains, ...); matrices packed
    series: dict[str, Array]  # block means, (chains, blocks, ...)
    account: dict[str, float | bool]  # how the run went


def measured(
    state: State, settings: LangevinSettings, y_train: Array, y_test: Array, projection: Array | None
) -> Measurement:
    """Return what a finished run has measured.

    Args:
        projection: Maps test outputs to their components along a teacher, (3, Q); None for none.
    """
    blocks, sums = state.blocks, state.sums
    f_train, f_test, f_rb = (blocks.array(name) for name in ("f_train", "f_test", "f_train_rb"))
    by_chain = {name: sums.mean(name) for name in BY_CHAIN}
    mean_train, mean_test = by_chain["f_train"].mean(axis=0), by_chain["f_test"].mean(axis=0)
    covariance = by_chain["ff_train"].mean(axis=0) - np.outer(mean_train, mean_train)
    mean_rb, error = f_rb.mean(axis=(0, 1)), standard_error(f_train)
    second_rb = sums.mean("rb_covariance") + sums.mean("rb_outer")
    ess = np.divide(np.diag(covariance), error**2, out=np.full_like(error, np.nan), where=error > 0)
    variables = {
        "mean_train": mean_train,
        "mean_train_error": error,
        "mean_train_rb": mean_rb,
        "mean_train_rb_error": standard_error(f_rb),
        "mean_test": mean_test,
        "mean_test_error": standard_error(f_test),
        "covariance_train": covariance,
        "covariance_train_rb": second_rb - np.outer(mean_rb, mean_rb),
        "error_correlation_train": error_correlation(f_train),
        "variance_test": sums.mean("f_test_squared") - mean_test**2 + sums.mean("test_residual_variance"),
        "hidden_kernel": by_chain["hidden_kernel"].mean(axis=0),
        "chain_mean_train": f_train.mean(axis=1),
        "rhat": diagnostics.rhat(f_train),
        "ess": ess,
        **{name: getattr(state, name) for name in ("step_size", "curvature", "steps", "burn_in_steps")},
        "start": start_names(settings.chains),
    }
    series = {name: blocks.array(name) for name, means in blocks.blocks.items() if means[0].dim() == 1}
    series |= {"along_rb": f_rb @ y_train, "along_test": f_test @ y_test}
    if projection is not None:
        series["components"] = f_test @ projection.T
    account = {
        "rhat_max": state.rhat,
        "mixed": state.rhat < diagnostics.RHAT_LIMIT,
        "relative_error": state.relative_error,
        "target_met": state.relative_error < settings.target_error,
        "burn_in_converged": state.burn_in_converged,
        "relaxation_times": state.steps * state.step_size,
        "block_steps": state.steps // f_train.shape[1],
    }
    packed = {name: triangle(array) if array.ndim == 3 else array for name, array in by_chain.items()}
    return Measurement(variables, packed, series, account)
