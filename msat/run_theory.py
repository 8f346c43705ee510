"""Stage `theory`: every level over a list of scales, as one Dataset (the contract of theory.nc)."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import xarray as xr

from msat.errors import InputError
from msat.network import Network
from msat.provenance import environment
from msat.store import attributes
from msat.tasks.base import Task
from msat.theory.levels import LEVELS, anneal, check_levels
from msat.theory.prediction import Prediction

_PER_SAMPLE = {
    "mean_train": ("train",),
    "mean_test": ("test",),
    "covariance_train": ("train", "train_"),
    "variance_test": ("test",),
    "hidden_kernel": ("train", "train_"),
}
_SCALARS = ("readout_norm", "log_evidence", "action", "residual", "loop_strength")
_DESCRIPTIONS = {
    "mean_train": "posterior mean output on the training points",
    "mean_test": "posterior mean output on the test points",
    "covariance_train": "output covariance on the training points, without label noise",
    "variance_test": "output variance on the test points, without label noise",
    "hidden_kernel": "E[(1/N) sum_i phi_i phi_i^T] on the training points",
    "readout_norm": "<|w|^2>, prior value g_w / chi",
    "log_evidence": "ln p(y) with all constants; NaN where the level defines none",
    "action": "S(ft*) of the tree level; not comparable with a log evidence",
    "residual": "relative residual of the solver's equation",
    "loop_strength": "largest loop strength in [0, 1] to which one_loop was followed",
    "converged": "1 where the solver converged",
    "iterations": "iterations of the solver (exact: quadrature nodes)",
}


def solve(
    task: Task,
    network: Network,
    chi: Sequence[float] | None = None,
    levels: Sequence[str] = LEVELS,
    seed: int = 0,
) -> xr.Dataset:
    """Return the predictions of theory levels over scales, annealed upwards in chi.

    Parameters
    ----------
    task
        Data.
    network
        Network; without `chi` its own scale is solved.
    chi
        Scales, all positive and different.
    levels
        Names out of ``msat.theory.levels.LEVELS``.
    seed
        Seed of a stochastic solver; the linear levels use none. Recorded in the attributes.

    Returns
    -------
    xarray.Dataset
        Dimensions level, chi, train (and train_), test; variables and attributes as in docs/formats.md.
        Where `converged` is 0 the predictions are not to be used.

    Raises
    ------
    InputError
        If a scale or a level is not allowed.
    """
    started = time.perf_counter()
    scales = [network.chi] if chi is None else [float(value) for value in chi]
    if not scales:
        raise InputError("chi is empty: must hold at least one scale")
    if len(set(scales)) < len(scales):
        raise InputError(f"chi = {','.join(f'{value:g}' for value in scales)}: a scale is named twice")
    for value in scales:
        network.at(value)  # refuses a bad scale before any work
    check_levels(levels, network.activation)

    sizes = {"train": task.n_train, "train_": task.n_train, "test": task.n_test}
    leading = ("level", "chi")
    shape = (len(levels), len(scales))
    arrays = {name: np.empty((*shape, *(sizes[dim] for dim in dims))) for name, dims in _PER_SAMPLE.items()} | {
        name: np.empty(shape) for name in _SCALARS
    }
    converged, iterations = np.empty(shape, dtype=np.int8), np.empty(shape, dtype=np.int64)
    for column, level, prediction in anneal(task.x_train, task.y_train, task.x_test, network, scales, levels):
        at = (list(levels).index(level), column)
        _fill(arrays, at, prediction)
        converged[at], iterations[at] = prediction.converged, prediction.iterations

    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        name: ((*leading, *_PER_SAMPLE.get(name, ())), array) for name, array in arrays.items()
    }
    variables |= {"converged": (leading, converged), "iterations": (leading, iterations)}
    variables |= {"y_train": (("train",), task.y_train), "y_test": (("test",), task.y_test)}
    dataset = xr.Dataset(variables, coords={"level": list(levels), "chi": np.array(scales)})
    for name, text in _DESCRIPTIONS.items():
        dataset[name].attrs["long_name"] = text
    parameters = network.parameters()
    del parameters["chi"]  # a dimension here
    dataset.attrs = attributes(
        {
            "kind": "theory",
            **parameters,
            "seed": seed,
            "data_digest": task.digest(),
            "device": "cpu",
            "dtype": "float64",
            "wall_time_s": time.perf_counter() - started,
            **environment(),
        }
    )
    return dataset


def _fill(arrays: dict[str, np.ndarray], at: tuple[int, int], prediction: Prediction) -> None:
    for name, array in arrays.items():
        array[at] = getattr(prediction, name)
