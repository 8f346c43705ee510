"""Stage `theory`: every level over a list of scales, as one Dataset (the contract of theory.nc)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from msat.errors import ComputationError, InputError
from msat.geometry import COMPONENT_DEGREES, Geometry, component_projection, decompose
from msat.keys import derived_seed
from msat.levels import LEVELS, check_levels, defined_levels
from msat.network import Network
from msat.observables.evaluate import batch_error, predicted
from msat.observables.moments import Frame, Moments
from msat.observables.registry import BY_NAME
from msat.observables.variables import LAYERS, MATRICES, SOME, THEORY
from msat.provenance import environment
from msat.store import attributes, check_distinct, check_writable, save_dataset
from msat.tasks.base import Task
from msat.tasks.storage import load_task
from msat.theory.anneal import anneal
from msat.theory.kept import ALL, NONE, Kept, kept, left_out
from msat.theory.prediction import Outputs, Prediction
from msat.theory.settings import TheorySettings
from msat.types import by_output, output_dimensions
from msat.validation import validated

_MEANS = ("mean_train", "mean_test")
_LARGE = (*MATRICES, LAYERS.name)
_KINDS: dict[str, Any] = {"converged": np.int8, "iterations": np.int64, "note": object}


def run(
    data: Path,
    out: Path,
    network: Network,
    settings: TheorySettings,
    label: str = "",
    digest: Callable[..., str] | None = None,
) -> list[str]:
    """Solve the levels on a data file, write the result, and return warnings.

    Args:
        digest: Returns the digest of the code that solves (`msat.stages.code.theory`), for the file.

    Raises:
        InputError: If a file or a choice is not allowed.
        ComputationError: If `strict` is set and a level that must have a solution did not converge.
    """
    check_writable(out)
    check_distinct(("the data file", data), ("--out", out))
    task = load_task(data)
    dataset = solve(task, network, settings.chi, settings.levels, settings.seed, settings.matrices)
    dataset.attrs["label"] = label
    if digest is not None:
        levels = dataset["level"].to_numpy().tolist()
        dataset.attrs["code"] = digest(network.activation, levels, task.n_outputs, network.depth)
    optional = [level.name for level in LEVELS.values() if level.may_have_no_solution]
    if settings.strict and not dataset["converged"].drop_sel(level=optional, errors="ignore").all():
        raise ComputationError(_unconverged(dataset))
    save_dataset(out, dataset)
    warnings = [] if dataset["converged"].all() else [_unconverged(dataset)]
    if settings.matrices is None and dataset.attrs["matrices"] == NONE:
        warnings.append(left_out(dataset.sizes["level"], dataset.sizes["chi"], dataset["y_train"].size))
    return warnings


def _unconverged(dataset: xr.Dataset) -> str:
    """Return a line that names the levels and scales that did not converge."""
    parts = []
    for level in dataset["level"].to_numpy():
        at = dataset.sel(level=level)
        scales = ", ".join(f"{chi:g}" for chi in at["chi"].to_numpy()[at["converged"].to_numpy() == 0])
        if scales:
            parts.append(f"{level} at chi = {scales}")
    return f"not converged: {'; '.join(parts)}"


def solve(
    task: Task,
    network: Network,
    chi: Sequence[float] | float | None = None,
    levels: Sequence[str] | None = None,
    seed: int = 0,
    matrices: Sequence[str | float] | None = None,
) -> xr.Dataset:
    """Return the predictions of theory levels over scales, annealed upwards in chi.

    Args:
        task: Data.
        network: Network; without `chi` its own scale is solved.
        chi: Scales, or one; all positive and different.
        levels: Names out of ``msat.levels.NAMES``; None for all that are defined for the activation.
        seed: Seed of the sampling of non-linear levels; together with the data it fixes the result. Linear levels use
            none.
        matrices: Levels and scales whose covariance_train and hidden_kernel are kept: those levels at those scales,
            all levels if none is named, all scales if none is given; ``["all"]``; ``["none"]``. None for all up to
            500 MB in total, and none beyond.

    Returns:
        xarray.Dataset: Dimensions level, chi, train (and train_), test; variables and attributes as in docs/formats.md.
            Where `converged` is 0 the predictions are not to be used.

    Raises:
        InputError: If a scale or a level is not allowed.

    Examples:
        >>> import msat
        >>> task = msat.tasks.ising(n_train=20, n_test=10, dimension=40)
        >>> theory = msat.solve(task, msat.Network(width=30), chi=[1, 30], levels=["tree_level", "exact"])
        >>> theory["train_discrepancy"].sel(level="exact").round(3).values
        array([0.733, 0.408])
    """
    started = time.perf_counter()
    scales = [network.chi] if chi is None else list(chi) if isinstance(chi, Iterable) else [chi]
    given = list(levels) if isinstance(levels, Iterable) and not isinstance(levels, str) else levels
    asked = list(matrices) if isinstance(matrices, Iterable) and not isinstance(matrices, str) else matrices
    settings = validated(TheorySettings, {"chi": scales, "levels": given, "seed": seed, "matrices": asked})
    shape_of = network.activation, task.n_outputs, network.widths[-1], network.depth
    scales, levels = settings.chi, settings.levels or defined_levels(*shape_of)
    if len(set(scales)) < len(scales):
        raise InputError(f"chi = {','.join(f'{value:g}' for value in scales)}: a scale is named twice")
    networks = [network.at(value) for value in scales]  # refuses a bad scale before any work
    check_levels(levels, *shape_of)
    keep = kept(settings.matrices, levels, scales, task.y_train.size)
    geometry = decompose(task, network)
    projection = component_projection(task.direction, task.x_test)
    sampling_seed = derived_seed({"stage": "theory", "seed": settings.seed, "data": task.digest()})
    arrays: dict[str, np.ndarray] = {}
    if keep.pairs:
        shapes = {"covariance_train": task.y_train.shape, "hidden_kernel": (task.n_train,)}
        pairs = len(keep.levels), len(keep.scales)
        arrays |= {name: np.empty((*pairs, *shapes[name], *shapes[name])) for name in MATRICES}
        if network.depth > 1:
            arrays[LAYERS.name] = np.empty((*pairs, network.depth, task.n_train, task.n_train))
    for column, level, prediction in anneal(geometry, network, scales, levels, sampling_seed):
        axes = (geometry.prior_kernel, geometry.direction, projection)
        at = networks[column]
        frame = Frame(task.y_train, task.y_test, at.kappa, *axes, g=at.g, layers=network.depth)
        for name, value in _values(prediction, frame).items():
            if name not in arrays:
                kind = _KINDS.get(name, np.float64)
                arrays[name] = np.empty((len(levels), len(scales), *np.shape(value)), dtype=kind)
            arrays[name][levels.index(level), column] = value
        if level in keep.levels and scales[column] in keep.scales:
            for name in MATRICES:  # one by its factors becomes dense here
                place = keep.levels.index(level), keep.scales.index(scales[column])
                arrays[name][place] = by_output(np.asarray(getattr(prediction, name)), task.y_train)
            for layer, kernel in enumerate(prediction.hidden_kernels):
                arrays[LAYERS.name][(*place, layer)] = kernel
        if prediction.population is not None:
            shape = len(scales), *prediction.population.shape
            arrays.setdefault("population", np.full(shape, np.nan, dtype=np.float32))[column] = prediction.population
    complete = keep.pairs == len(levels) * len(scales)
    dataset = _dataset(arrays, levels, scales, None if complete or not keep.pairs else keep, geometry, projection)
    about = {name: value for name, value in network.parameters().items() if name != "chi"}  # a dimension here
    if "n_drawn" in task.provenance:  # one of nested data sets, which are told apart by P/D
        about |= {"n_drawn": task.provenance["n_drawn"], "dimension": task.dimension}
    about |= {"seed": settings.seed, "matrices": ALL if complete else "some" if keep.pairs else NONE}
    about |= {"data_digest": task.digest(), "device": "cpu", "dtype": "float64"}
    about |= {"wall_time_s": time.perf_counter() - started, **environment()}
    dataset.attrs = attributes({"kind": "theory", **about})
    return dataset


def _values(prediction: Prediction, frame: Frame) -> dict[str, Any]:
    """Return everything that the file holds of one level at one scale, but for matrices, by name."""
    values = {
        variable.name: getattr(prediction, variable.name)
        for variable in THEORY
        if hasattr(prediction, variable.name) and not variable.own_dimensions and variable.name not in _LARGE
    }
    if values["readout_covariance"] is None:  # of several outputs, of a level that does not give it
        del values["readout_covariance"]
        if frame.y_train.ndim == 2:
            outputs = frame.y_train.shape[1]
            values["readout_covariance"] = np.full((outputs, outputs), np.nan)
    for name in _MEANS:
        parts = [getattr(batch, name) for batch in prediction.batches]
        values[f"{name}_mc_error"] = batch_error(np.array(parts)) if parts else np.zeros_like(getattr(prediction, name))

    names = [each.name for each in fields(Outputs)]  # the moments of a level are those of an observable

    def moments(outputs: Outputs, **more: Any) -> Moments:
        return Moments(frame, **{name: getattr(outputs, name) for name in names}, **more)

    batches = [moments(batch) for batch in prediction.batches]
    return values | predicted(moments(prediction, readout_norm=prediction.readout_norm), batches)


def _dataset(
    arrays: dict[str, np.ndarray],
    levels: Sequence[str],
    scales: Sequence[float],
    some: Kept | None,
    geometry: Geometry,
    projection: np.ndarray | None,
) -> xr.Dataset:
    """Return the values of all levels and scales as one Dataset, with the data that they are about.

    Args:
        some: What has matrices, if only some of levels and scales have them.
    """
    declared = {variable.name: variable for variable in THEORY}
    arrays |= {name: getattr(geometry, name) for name in ("y_train", "y_test", "prior_kernel")}
    if projection is not None:
        arrays |= {"teacher_component": projection @ geometry.y_test, "degree": np.array(COMPONENT_DEGREES)}
    variables: dict[str, Any] = {}
    for name, array in arrays.items():
        what = declared.get(name) or BY_NAME[name.removesuffix("_mc_error")]
        leading = () if name in declared and declared[name].own_dimensions else ("level", "chi")
        if name in _LARGE and some:
            leading = SOME
        values = array.astype(str) if array.dtype == object else array
        dimensions = output_dimensions((*leading, *what.dimensions), array)
        variables[name] = (dimensions, values, what.attributes(name))
    coords = {"level": list(levels), "chi": np.array(scales)}
    if some:
        coords |= {SOME[0]: some.levels, SOME[1]: np.array(some.scales)}
    return xr.Dataset(variables, coords=coords)
