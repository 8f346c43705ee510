"""langevin.nc: from a measurement to a Dataset, and the observables of one (the contract of langevin.nc).

A training writes what it measured; observables are functions of that, applied here, when it is written and again
whenever it is read through msat: an edited or a new observable needs no training.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from msat.geometry import Geometry
from msat.network import Network
from msat.observables.evaluate import error_series, measured, without_each
from msat.observables.functions import COMPONENT_DEGREES
from msat.observables.moments import Frame, Moments
from msat.observables.registry import BY_NAME
from msat.observables.variables import CHAIN_MOMENTS, SERIES, TRAINING, Variable
from msat.store import attributes, load_dataset
from msat.types import Array, output_dimensions
from msat.uncertainty import error_product, standard_error

if TYPE_CHECKING:
    from msat.langevin.measurement import Measurement

LARGEST_MOMENTS = 64_000_000  # bytes of matrices of all chains beyond which the file goes without them

_DECLARED = {variable.name: variable for variable in (*TRAINING, *CHAIN_MOMENTS, *SERIES)}
_MATRICES = tuple(v.name.removeprefix("moment_") for v in CHAIN_MOMENTS if v.dimensions[-1] in ("pair", "row_pair"))


def load(path: Path) -> xr.Dataset:
    """Return a training result with the observables of the present code; see `msat.store.load_dataset`."""
    return observe(load_dataset(path, "langevin"))


def dataset(
    measurement: Measurement, geometry: Geometry, network: Network, projection: Array | None, about: Mapping[str, Any]
) -> xr.Dataset:
    """Return everything measured in a finished run, observables included.

    Args:
        projection: Maps test outputs to their components along a teacher, (3, Q); None for none.
        about: Attributes of the file beside those of the network and of the run.
    """
    values: dict[str, Any] = dict(measurement.variables)
    values |= {f"series_{name}": array for name, array in measurement.series.items()}
    values |= {
        f"moment_{name}": _triangle(array) if name in _MATRICES else array
        for name, array in measurement.by_chain.items()
    }
    data: dict[str, Any] = {
        "y_train": geometry.y_train,
        "y_test": geometry.y_test,
        "prior_kernel": geometry.prior_kernel,
        "direction": geometry.direction,
        "start": np.array(measurement.starts),
    }
    if projection is not None:
        data |= {"component_projection": projection, "degree": np.array(COMPONENT_DEGREES)}
    variables = {name: _variable(_DECLARED[name], array[None]) for name, array in values.items()}
    variables |= {name: _variable(_DECLARED[name], array) for name, array in data.items()}
    start = variables.pop("start")
    result = xr.Dataset(variables, coords={"chi": [network.chi], "start": start})
    kept = sum(result[f"moment_{name}"].nbytes for name in _MATRICES) <= LARGEST_MOMENTS
    known = {**network.parameters(), **measurement.account, "chain_moments": kept, **about}
    result.attrs = attributes({"kind": "langevin", **known})
    result = observe(result)
    return result if kept else result.drop_vars([f"moment_{name}" for name in _MATRICES])


def _variable(declared: Variable, array: Any) -> tuple[tuple[str, ...], Any, dict[str, str]]:
    dimensions = declared.dimensions
    if declared.name in ("y_train", "y_test"):
        dimensions = output_dimensions(dimensions[0], array)
    leading = () if declared.own_dimensions else ("chi",)
    return (*leading, *dimensions), array, declared.attributes()


def observe(result: xr.Dataset) -> xr.Dataset:
    """Return a training result with its observables and their errors taken from its moments and block series.

    A result that was written without series (by a version before 0.2) stays as it is; one without the matrices of
    every chain keeps the observables that need them.
    """
    if "chain_moments" not in result.attrs:
        return result
    at = result.isel(chi=0)
    prefix = "series_"
    series = {
        str(name).removeprefix(prefix): at[name].to_numpy() for name in at.data_vars if str(name).startswith(prefix)
    }
    whole, without = _moments(at, series)
    found = measured(whole, without, series, standard_error)
    slope, bend = (error_series(name, series, whole) for name in ("evidence_slope", "evidence_bend"))
    found["evidence_error_correlation"] = error_product(slope, bend)
    found["train_discrepancy_blocks"] = error_series("train_discrepancy", series, whole)
    variables = {}
    for name, value in found.items():
        if name in _DECLARED:
            variables[name] = _variable(_DECLARED[name], np.asarray(value)[None])
        else:
            observable = BY_NAME[name.removesuffix("_error")]
            attrs = observable.attributes(name)
            variables[name] = (("chi", *observable.dimensions), np.asarray(value, dtype=np.float64)[None], attrs)
    return result.assign(variables)


def _moments(at: xr.Dataset, series: Mapping[str, Array]) -> tuple[Moments, list[Moments]]:
    """Return the moments of all chains, and those with each one left out; none of these without their matrices."""
    has_teacher = "component_projection" in at
    frame = Frame(
        y_train=at["y_train"].to_numpy(),
        y_test=at["y_test"].to_numpy(),
        kappa=float(at.attrs["kappa_0"]) / float(at["chi"]),
        prior_kernel=at["prior_kernel"].to_numpy(),
        direction=at["direction"].to_numpy(),
        projection=at["component_projection"].to_numpy() if has_teacher else None,
    )
    averages = {name: blocks.mean(axis=(0, 1)) for name, blocks in series.items()}
    by_chain = {
        str(name).removeprefix("moment_"): at[name].to_numpy()
        for name in at.data_vars
        if str(name).startswith("moment_")
    }
    complete = all(name in by_chain for name in _MATRICES)
    by_chain = {name: _full(array) if name in _MATRICES else array for name, array in by_chain.items()}

    def of(means: Mapping[str, Array], covariance: Array, hidden_kernel: Array) -> Moments:
        weights = means.get("first_layer")
        return Moments(
            frame,
            mean_train=means["f_train"],
            mean_test=means["f_test"],
            covariance_train=covariance,
            hidden_kernel=hidden_kernel,
            first_layer=None if weights is None else lambda u: float(u @ weights @ u),
            readout_norm=float(averages["readout_norm"]),
            mean_train_rb=at["mean_train_rb"].to_numpy(),
            first_layer_variance=float(averages["first_layer_variance"]),
            averages={**averages, **means},
        )

    means = {name: array.mean(axis=0) for name, array in by_chain.items()}
    whole = of(means, at["covariance_train"].to_numpy(), at["hidden_kernel"].to_numpy())
    if not complete:
        return whole, []
    return whole, [
        of(left, left["ff_train"] - np.outer(left["f_train"], left["f_train"]), left["hidden_kernel"])
        for left in without_each(by_chain)
    ]


def _triangle(matrices: Array) -> Array:
    """Return the lower triangles of symmetric matrices, (chains, P, P), row by row, (chains, P (P + 1)/2)."""
    rows, columns = np.tril_indices(matrices.shape[1])
    return matrices[:, rows, columns]


def _full(triangles: Array) -> Array:
    """Return the symmetric matrices of lower triangles: the inverse of `_triangle`."""
    size = (int(np.sqrt(8 * triangles.shape[1] + 1)) - 1) // 2
    rows, columns = np.tril_indices(size)
    full = np.empty((len(triangles), size, size))
    full[:, rows, columns] = triangles
    full[:, columns, rows] = triangles
    return full
