"""Stage `theory`: every level over a list of scales, as one Dataset (the contract of theory.nc)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from msat.errors import InputError
from msat.network import Network
from msat.observables.functions import (
    COMPONENT_DEGREES,
    COVARIANCE_OBSERVABLES,
    HIDDEN_OBSERVABLES,
    SPECTRA,
    Frame,
    along_target,
    component_projection,
    evidence_bend,
    evidence_slope,
    frame,
)
from msat.provenance import derived_seed, environment
from msat.store import attributes
from msat.tasks.base import Task
from msat.theory.anneal import anneal, check_levels, defined_levels
from msat.theory.prediction import Prediction, batch_error

_PER_SAMPLE = {
    "mean_train": ("train",),
    "mean_test": ("test",),
    "covariance_train": ("train", "train_"),
    "variance_test": ("test",),
    "hidden_kernel": ("train", "train_"),
    "mean_train_mc_error": ("train",),
    "mean_test_mc_error": ("test",),
}
_COMPONENTS = {"learned_component": ("degree",), "learned_component_mc_error": ("degree",)}
_SCALARS = (
    "readout_norm",
    "log_evidence",
    "log_evidence_mc_error",
    "action",
    "residual",
    "loop_strength",
    "effective_sample_size",
    "anneal_difference",
)
# functions of mean, covariance and hidden kernel, each with its Monte Carlo error
_OBSERVABLES = (
    "variance_along_target",
    "hidden_kernel_along_target",
    *COVARIANCE_OBSERVABLES,
    *HIDDEN_OBSERVABLES,
    "weight_alignment",
    "evidence_slope",
)
_DESCRIPTIONS = {
    "mean_train": "posterior mean output on the training points",
    "mean_test": "posterior mean output on the test points",
    "covariance_train": "output covariance on the training points, without label noise",
    "variance_test": "output variance on the test points, without label noise",
    "hidden_kernel": "E[(1/N) sum_i phi_i phi_i^T] on the training points",
    "readout_norm": "<|w|^2>, prior value g_w / chi",
    "log_evidence": "ln p(y) with all constants; NaN where the level defines none",
    "log_evidence_mc_error": "Monte Carlo standard error of log_evidence; 0 for closed forms",
    "prior_kernel": "E_prior[phi phi^T] on the training points",
    "variance_along_target": "y.Cov y / |y|^2",
    "variance_across_target": "(tr Cov - y.Cov y / |y|^2) / (P - 1)",
    "covariance_outlier": "largest eigenvalue of covariance_train",
    "covariance_spectrum": "eigenvalues of covariance_train, descending (not sample by sample)",
    "hidden_kernel_along_target": "y.H y / |y|^2",
    "hidden_kernel_gain": "y.H y / y.K y, K the prior hidden kernel",
    "hidden_kernel_alignment": "centred kernel alignment of H with y y^T",
    "hidden_kernel_outlier": "largest eigenvalue of H",
    "hidden_kernel_bulk": "mean of the other eigenvalues of H",
    "hidden_kernel_effective_rank": "(tr H)^2 / tr H^2",
    "hidden_kernel_spectrum": "eigenvalues of H, descending (not sample by sample)",
    "weight_alignment": "E[(1/N) sum_i (V_i.u)^2] D / g_v; 1 under the prior; NaN where not given",
    "evidence_slope": "d ln p(y) / d ln chi = P/2 - y.(y - <f>)/(2 kappa)",
    "evidence_bend": "d^2 ln p(y) / d(ln chi)^2 from covariance_train",
    "action": "S(ft*) of the tree level; not comparable with a log evidence",
    "residual": "relative residual of the solver's equation",
    "loop_strength": "largest loop strength in [0, 1] to which one_loop was followed",
    "mean_train_mc_error": "Monte Carlo standard error of mean_train; 0 for closed forms",
    "mean_test_mc_error": "Monte Carlo standard error of mean_test; 0 for closed forms",
    "train_discrepancy_mc_error": "Monte Carlo standard error of the train discrepancy; 0 for closed forms",
    "test_discrepancy_mc_error": "Monte Carlo standard error of the test discrepancy; 0 for closed forms",
    "learned_component": "coefficients of He_k(u.x), u the teacher's direction, in the mean test outputs",
    "learned_component_mc_error": "Monte Carlo standard error of learned_component; 0 for closed forms",
    "teacher_component": "the same of the test labels",
    "anneal_difference": "relative difference in y.ft of a downward anneal; NaN for closed forms",
    "effective_sample_size": "independent neurons that a sampled level is worth; NaN for closed forms",
    "note": "what a reader must know of the level on these data",
    "converged": "1 where the solver converged",
    "iterations": "iterations of the solver (exact: quadrature nodes)",
}


def solve(
    task: Task,
    network: Network,
    chi: Sequence[float] | None = None,
    levels: Sequence[str] | None = None,
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
        Names out of ``msat.theory.anneal.LEVELS``; None for all that are defined for the activation.
    seed
        Seed of the sampling of non-linear levels; together with the data it fixes the result. Linear levels
        use none.

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
    levels = defined_levels(network.activation) if levels is None else list(levels)
    check_levels(levels, network.activation)

    sizes = {"train": task.n_train, "train_": task.n_train, "test": task.n_test}
    leading = ("level", "chi")
    shape = (len(levels), len(scales))
    arrays = {name: np.empty((*shape, *(sizes[dim] for dim in dims))) for name, dims in _PER_SAMPLE.items()} | {
        name: np.empty(shape) for name in _SCALARS
    }
    arrays |= {f"{part}_discrepancy_mc_error": np.zeros(shape) for part in ("train", "test")}
    arrays |= {name: np.empty(shape) for name in (*_OBSERVABLES, "evidence_bend")}
    arrays |= {f"{name}_mc_error": np.zeros(shape) for name in _OBSERVABLES}
    arrays |= {name: np.empty((*shape, task.n_train)) for name in SPECTRA}
    axes = frame(task.x_train, task.y_train, task.provenance, network.g_v, network.activation)
    converged, iterations = np.empty(shape, dtype=np.int8), np.empty(shape, dtype=np.int64)
    notes = np.full(shape, "", dtype=object)
    projection = component_projection(task.provenance, task.x_test)
    if projection is not None:
        arrays |= {name: np.zeros((*shape, len(projection))) for name in _COMPONENTS}
    sampling_seed = derived_seed({"stage": "theory", "seed": seed, "data": task.digest()})
    for column, level, prediction in anneal(
        task.x_train, task.y_train, task.x_test, network, scales, levels, sampling_seed, axes.direction
    ):
        at = (list(levels).index(level), column)
        for name in (*_PER_SAMPLE, *_SCALARS):
            value = getattr(prediction, name)
            arrays[name][at] = 0.0 if value is None else value
        for part, y in (("train", task.y_train), ("test", task.y_test)):
            batches = getattr(prediction, f"mean_{part}_batches")
            if batches is not None and len(y):
                arrays[f"{part}_discrepancy_mc_error"][at] = batch_error(batches @ y) / len(y)
        for name, number in _observed(axes, prediction, level, network.at(scales[column])).items():
            arrays[name][at] = number
        if projection is not None:
            arrays["learned_component"][at] = projection @ prediction.mean_test
            if prediction.mean_test_batches is not None:
                components = prediction.mean_test_batches @ projection.T
                arrays["learned_component_mc_error"][at] = batch_error(components)
        converged[at], iterations[at] = prediction.converged, prediction.iterations
        notes[at] = prediction.note

    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        name: ((*leading, *_dimensions(name)), array) for name, array in arrays.items()
    }
    variables["prior_kernel"] = (("train", "train_"), axes.prior_kernel)
    if projection is not None:
        variables["teacher_component"] = (("degree",), projection @ task.y_test)
        variables["degree"] = (("degree",), np.array(COMPONENT_DEGREES))
    variables |= {
        "converged": (leading, converged),
        "iterations": (leading, iterations),
        "note": (leading, notes.astype(str)),
    }
    variables |= {"y_train": (("train",), task.y_train), "y_test": (("test",), task.y_test)}
    dataset = xr.Dataset(variables, coords={"level": list(levels), "chi": np.array(scales)})
    for name, text in _DESCRIPTIONS.items():
        if name not in dataset:
            continue
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


def _dimensions(name: str) -> tuple[str, ...]:
    if name in SPECTRA:
        return ("train",)  # the k-th of P eigenvalues: an axis of its own would add a dimension to the contract
    return _PER_SAMPLE.get(name, _COMPONENTS.get(name, ()))


def _observed(axes: Frame, prediction: Prediction, level: str, network: Network) -> dict[str, Any]:
    """Return the observables of one level at one scale, with the Monte Carlo errors that its batches give."""
    y, covariance, hidden = axes.y, prediction.covariance_train, prediction.hidden_kernel

    def of_covariance(matrix: np.ndarray) -> dict[str, Any]:
        return {"variance_along_target": along_target(y, matrix), **axes.covariance(matrix)}

    def of_hidden(matrix: np.ndarray) -> dict[str, Any]:
        return {"hidden_kernel_along_target": along_target(y, matrix), **axes.hidden(matrix)}

    values: dict[str, Any] = of_covariance(covariance) | of_hidden(hidden)
    for function, batches in (
        (of_covariance, prediction.covariance_train_batches),
        (of_hidden, prediction.hidden_kernel_batches),
    ):
        if batches is None:
            continue
        found = [function(batch) for batch in batches]
        values |= {
            f"{name}_mc_error": batch_error(np.array([item[name] for item in found]))
            for name in found[0]
            if name not in SPECTRA
        }
    values["evidence_slope"] = evidence_slope(y, prediction.mean_train, network.kappa)
    values["evidence_bend"] = evidence_bend(y, prediction.mean_train, covariance, network.kappa)
    if prediction.mean_train_batches is not None:
        values["evidence_slope_mc_error"] = batch_error(prediction.mean_train_batches @ y) / (2 * network.kappa)
    if network.activation == "linear":
        values["weight_alignment"] = axes.linear_weights(hidden)
    elif level == "nngp":
        values["weight_alignment"] = 1.0  # the first layer stays at its prior
    else:
        values["weight_alignment"] = prediction.weight_alignment
        values["weight_alignment_mc_error"] = prediction.weight_alignment_mc_error
    return values
