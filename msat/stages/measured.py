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

from msat.geometry import COMPONENT_DEGREES, Geometry
from msat.langevin.packing import full
from msat.network import Network
from msat.observables.evaluate import error_series, measured, step_bias, without_each
from msat.observables.moments import Frame, Moments
from msat.observables.registry import BY_NAME
from msat.observables.variables import CHAIN_MOMENTS, HALF_SERIES, SERIES, TRAINING, Variable
from msat.store import attributes, load_dataset
from msat.types import Array, flat, output_dimensions
from msat.uncertainty import error_product, standard_error

if TYPE_CHECKING:
    from msat.langevin.measurement import Measurement

LARGEST_MOMENTS = 64_000_000  # bytes of matrices of all chains beyond which the file goes without them

_DECLARED = {variable.name: variable for variable in (*TRAINING, *CHAIN_MOMENTS, *SERIES, *HALF_SERIES)}
_MATRICES = tuple(v.name.removeprefix("moment_") for v in CHAIN_MOMENTS if v.dimensions[-1].endswith("pair"))


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
    values = dict(measurement.variables)
    start = values.pop("start")
    values |= {f"series_{name}": array for name, array in measurement.series.items()}
    values |= {f"half_series_{name}": array for name, array in measurement.half_series.items()}
    values |= {f"moment_{name}": array for name, array in measurement.by_chain.items()}
    values |= {name: getattr(geometry, name) for name in ("y_train", "y_test", "prior_kernel", "direction")}
    if projection is not None:
        values |= {"component_projection": projection, "degree": np.array(COMPONENT_DEGREES)}
    several = geometry.y_train.ndim == 2
    variables = {name: _variable(name, array, several) for name, array in values.items()}
    result = xr.Dataset(variables, coords={"chi": [network.chi], "start": _variable("start", start)})
    matrices = [f"moment_{name}" for name in _MATRICES]
    matrices = [name for name in matrices if name in result]
    kept = sum(result[name].nbytes for name in matrices) <= LARGEST_MOMENTS
    known = {**network.parameters(), **measurement.account, "chain_moments": kept, **about}
    result.attrs = attributes({"kind": "langevin", **known})
    return observe(result) if kept else observe(result).drop_vars(matrices)


def _variable(name: str, array: Any, several: bool = False) -> tuple[tuple[str, ...], Array, dict[str, str]]:
    what = _DECLARED.get(name) or BY_NAME[name.removesuffix("_error").removesuffix("_step_bias")]
    array, dimensions = np.asarray(array), what.dimensions
    if several and isinstance(what, Variable) and what.of_several:
        dimensions = what.of_several
    if not (isinstance(what, Variable) and what.own_dimensions):
        array, dimensions = array[None], ("chi", *dimensions)
    return output_dimensions(dimensions, array), array, what.attributes(name)


def observe(result: xr.Dataset) -> xr.Dataset:
    """Return a training result with its observables and their errors taken from its moments and block series.

    A result without series, of before they were written, stays as it is; one without the matrices of every chain
    keeps the observables that need them.
    """
    if "chain_moments" not in result.attrs:
        return result
    at = result.isel(chi=0)
    series = _named(at, "series_")
    whole, without = _moments(at, series)
    found = measured(whole, without, series, standard_error)
    slope, bend = (error_series(name, series, whole) for name in ("evidence_slope", "evidence_bend"))
    found["evidence_error_correlation"] = error_product(slope, bend)
    found["train_discrepancy_blocks"] = error_series("train_discrepancy", series, whole)
    if half := _named(at, "half_series_"):
        found |= step_bias(series, half, whole, standard_error)
    return result.assign({name: _variable(name, value) for name, value in found.items()})


def _named(at: xr.Dataset, prefix: str) -> dict[str, Array]:
    """Return the variables whose names start with a prefix, by the rest of them."""
    names = [str(name) for name in at.data_vars if str(name).startswith(prefix)]
    return {name.removeprefix(prefix): at[name].to_numpy() for name in names}


def _moments(at: xr.Dataset, series: Mapping[str, Array]) -> tuple[Moments, list[Moments]]:
    """Return the moments of all chains, and those with each one left out; none of these without their matrices."""
    frame = Frame(
        **{name: at[name].to_numpy() for name in ("y_train", "y_test", "prior_kernel", "direction")},
        kappa=float(at.attrs["kappa_0"]) / float(at["chi"]),
        g=float(at.attrs["g_w"]) / float(at["chi"]),
        projection=at["component_projection"].to_numpy() if "component_projection" in at else None,
        layers=np.size(at.attrs["width"]),
    )
    layers = list(at["hidden_kernels"].to_numpy()) if "hidden_kernels" in at else []
    averages = {name: blocks.mean(axis=(0, 1)) for name, blocks in series.items()}
    by_chain = {name: full(array) if name in _MATRICES else array for name, array in _named(at, "moment_").items()}

    def of(means: Mapping[str, Array], covariance: Array, hidden_kernel: Array, readout: Array | None) -> Moments:
        weights = means.get("first_layer")
        return Moments(
            frame,
            mean_train=means["f_train"],
            mean_test=means["f_test"],
            covariance_train=covariance,
            hidden_kernel=hidden_kernel,
            first_layer=None if weights is None else lambda u: float(u @ weights @ u),
            readout_covariance=readout,
            readout_norm=float(averages["readout_norm"]),
            first_layer_variance=float(averages["first_layer_variance"]),
            averages={**averages, **means},
            hidden_kernels=layers,
        )

    means = {name: array.mean(axis=0) for name, array in by_chain.items()}
    readout = at["readout_covariance"].to_numpy() if "readout_covariance" in at else None
    whole = of(means, flat(at["covariance_train"].to_numpy()), at["hidden_kernel"].to_numpy(), readout)
    return whole, [
        of(
            left,
            left["ff_train"] - np.outer(left["f_train"], left["f_train"]),
            left["hidden_kernel"],
            left.get("readout_covariance"),
        )
        for left in (without_each(by_chain) if "ff_train" in by_chain else [])
    ]
