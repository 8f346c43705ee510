"""Tidy rows of one result, or of a theory result and a training result together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from msat.errors import InputError
from msat.keys import same
from msat.network import NetworkSettings
from msat.observables.functions import mean_squared_error, mean_variance
from msat.observables.registry import SCALARS, of_outputs
from msat.observables.variables import THEORY, TRAINING, Variable
from msat.uncertainty import standard_error

if TYPE_CHECKING:  # slow to load, and whoever has a result has it loaded
    import xarray as xr

# what of the account of a run is in its attributes, and what a file without it stands for
_ACCOUNT: dict[str, Any] = {
    "sampler": "langevin",
    "rhat_excess": np.nan,
    "ess_slowest": np.nan,
    "largest_error": np.nan,
    "slowest": "",
    "steps_needed": np.nan,
    "acceptance_mean": np.nan,
    "energy_error": np.nan,
    "divergences": np.nan,
    "leapfrog_steps": np.nan,
}
COMPONENTS = ["experiment", "seed", "chi", "gamma", "source", "degree", "strength", "error", "teacher", "n_train"]


def theory_table(theory: xr.Dataset) -> pd.DataFrame:
    """Return one row for each scale and level of a theory result: its scalar predictions."""
    y, y_test = theory["y_train"].to_numpy(), theory["y_test"].to_numpy()
    rows = []
    for chi, level in product(theory["chi"].to_numpy(), theory["level"].to_numpy()):
        at = theory.sel(chi=chi, level=level)
        mean, mean_test, variance_test = (at[n].to_numpy() for n in ("mean_train", "mean_test", "variance_test"))
        along, across = (at[f"variance_{direction}_target"].item() for direction in ("along", "across"))
        row = keys(theory, float(chi)) | {"level": str(level)} | _sizes(theory)
        row["train_squared_error"] = mean_squared_error(y, mean, mean_variance(along, across, y.size))
        row["test_squared_error"] = mean_squared_error(y_test, mean_test, variance_test) if len(y_test) else np.nan
        for name in (observable.name for observable in of_outputs(SCALARS, several(theory)) if observable.theory):
            row |= {name: _number(at, name), f"{name}_mc_error": _number(at, f"{name}_mc_error", missing=0.0)}
        row |= {name: at[name].item() for name in _scalars(THEORY)}
        rows.append(row | {"converged": bool(row["converged"])})
    return pd.DataFrame(rows)


def langevin_table(langevin: xr.Dataset) -> pd.DataFrame:
    """Return the one row of a training result: scalars with standard errors, and how the run went."""
    at, attributes = langevin.isel(chi=0), langevin.attrs
    row = keys(langevin, float(at["chi"])) | _sizes(langevin)
    for observable in of_outputs(SCALARS, several(langevin)):
        row |= {name: _number(at, name) for name in (observable.name, f"{observable.name}_error")}
    row |= {name: at[name].item() if name in at else np.nan for name in _scalars(TRAINING)}
    row["jackknife_dof"] = langevin.sizes["chain"] - 1
    row |= {"ess_min": float(at["ess"].min()), "rhat_max": float(attributes["rhat_max"])}
    row |= {name: bool(attributes[name]) for name in ("mixed", "target_met", "burn_in_converged")}
    row |= {"target_error": float(attributes["target_error"]), "chains": int(attributes["chains"])}
    row |= {name: attributes[name] for name in ("device", "dtype", "wall_time_s")}
    row |= {name: attributes.get(name, missing) for name, missing in _ACCOUNT.items()}
    return pd.DataFrame([row])


def chains_table(langevin: xr.Dataset) -> pd.DataFrame:
    """Return one row for each chain: where it started and its own train discrepancy."""
    at = langevin.isel(chi=0)
    blocks = at["train_discrepancy_blocks"].to_numpy()
    columns = keys(langevin, float(at["chi"])) | {"chain": np.arange(len(blocks)), "start": at["start"].astype(str)}
    columns |= {"train_discrepancy": blocks.mean(axis=1)}
    columns |= {"train_discrepancy_error": [float(standard_error(chain[None])) for chain in blocks]}
    return pd.DataFrame(columns | {"n_train": langevin.sizes["train"]})


def samples_table(theory: xr.Dataset, langevin: xr.Dataset) -> pd.DataFrame:
    """Return one row for each train and test sample: label, measured mean, and each level's prediction.

    Several outputs have a row each, and a column ``output`` that counts them.
    """
    at = langevin.isel(chi=0)
    chi = matching_scale(theory, langevin)
    parts = []
    for part in ("train", "test"):
        mean = f"mean_{part}"
        place = np.indices(langevin[f"y_{part}"].shape).reshape(langevin[f"y_{part}"].ndim, -1)
        columns = keys(langevin, chi) | {"part": part, **dict(zip(("sample", "output"), place, strict=False))}
        arrays = {"y": langevin[f"y_{part}"], "langevin": at[mean], "langevin_error": at[f"{mean}_error"]}
        predicted = theory[[mean, f"{mean}_mc_error"]].sel(chi=chi)
        for level in theory["level"].to_numpy():
            found = predicted.sel(level=level)
            arrays |= {str(level): found[mean], f"{level}_mc_error": found[f"{mean}_mc_error"]}
        columns |= {name: array.to_numpy().ravel() for name, array in arrays.items()}
        parts.append(pd.DataFrame(columns | {"n_train": langevin.sizes["train"]}))
    return pd.concat(parts, ignore_index=True)


def components_table(dataset: xr.Dataset) -> pd.DataFrame:
    """Return the learned Hermite components in a theory or a training result, one row a source, scale and degree.

    Empty for data without a single-index teacher.
    """
    if "learned_component" not in dataset:
        return pd.DataFrame(columns=COMPONENTS)
    is_theory = "level" in dataset.dims
    if not is_theory:
        dataset = dataset.expand_dims(level=["langevin"])
    error = "learned_component_mc_error" if is_theory else "learned_component_error"
    learned, parts = dataset[["learned_component", error]], []
    for chi, source in product(dataset["chi"].to_numpy(), dataset["level"].to_numpy()):
        at = learned.sel(chi=chi, level=source)
        columns = keys(dataset, float(chi)) | {"source": str(source), "degree": dataset["degree"]}
        columns |= {"strength": at["learned_component"], "error": at[error]}
        columns |= {"teacher": dataset["teacher_component"] if is_theory else np.nan}
        parts.append(pd.DataFrame(columns | {"n_train": dataset.sizes["train"]}))
    return pd.concat(parts, ignore_index=True)


def several(dataset: xr.Dataset) -> bool:
    """Return whether a result is of several outputs."""
    return "output" in dataset.sizes


def _sizes(dataset: xr.Dataset) -> dict[str, int]:
    """Return the columns with the number of training points and, of several, of outputs."""
    outputs = {"n_outputs": dataset.sizes["output"]} if several(dataset) else {}
    return {"n_train": dataset.sizes["train"]} | outputs


def keys(dataset: xr.Dataset, chi: float) -> dict[str, Any]:
    """Return the columns that say which experiment, seed and scale a row is about."""
    width = int(np.atleast_1d(dataset.attrs["width"])[-1])  # of the last hidden layer, from which the readout reads
    gamma = float(np.log(chi) / np.log(width)) if width > 1 else np.nan
    place = {"experiment": str(dataset.attrs.get("label", "")), "seed": int(dataset.attrs["seed"])}
    return place | {"chi": chi, "gamma": gamma}


def matching_scale(theory: xr.Dataset, langevin: xr.Dataset) -> float:
    """Return the scale of a training result as its theory result holds it.

    Raises:
        InputError: If the two are not about the same data and network, or theory lacks the scale.
    """
    check_same(theory, langevin, "theory")
    chi, scales = float(langevin["chi"][0]), theory["chi"].to_numpy()
    match = scales[np.isclose(scales, chi, rtol=1e-9, atol=0)]
    if not len(match):
        known = ", ".join(f"{value:g}" for value in scales)
        raise InputError(f"theory holds no scale chi = {chi:g}, only {known}")
    return float(match[0])


def check_same(one: xr.Dataset, langevin: xr.Dataset, called: str) -> None:
    """Raise InputError unless a result is about the data and the network of a training."""
    for name in (*NetworkSettings.model_fields, "data_digest"):
        expected, measured = one.attrs.get(name), langevin.attrs.get(name)
        if not same(expected, measured):
            raise InputError(f"{called} and training differ in {name}: {expected} against {measured}")
    for name in ("y_train", "y_test"):  # a digest is what a file says of its data
        if not np.array_equal(one[name], langevin[name]):
            raise InputError(f"{called} and training differ in {name}, although both say data_digest = {measured}")


def _scalars(variables: Sequence[Variable]) -> list[str]:
    return [item.name for item in variables if not item.dimensions and not item.own_dimensions]


def _number(at: xr.Dataset, name: str, missing: float = float("nan")) -> float:
    return float(at[name]) if name in at else missing
