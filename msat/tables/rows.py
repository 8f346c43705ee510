"""Tidy rows of one result, or of a theory result and a training result together; tables in files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from msat.errors import InputError
from msat.network import NetworkSettings
from msat.observables.functions import mean_squared_error
from msat.observables.registry import SCALARS
from msat.observables.variables import THEORY, TRAINING, Variable
from msat.store import atomic
from msat.uncertainty import standard_error

COMPONENTS = ["experiment", "seed", "chi", "gamma", "source", "degree", "strength", "error", "teacher"]


def theory_table(theory: xr.Dataset) -> pd.DataFrame:
    """Return one row for each scale and level of a theory result: its scalar predictions."""
    y, y_test = theory["y_train"].to_numpy(), theory["y_test"].to_numpy()
    rows = []
    for chi in theory["chi"].to_numpy():
        for level in theory["level"].to_numpy():
            at = theory.sel(chi=chi, level=level)
            mean, mean_test = at["mean_train"].to_numpy(), at["mean_test"].to_numpy()
            row = keys(theory, float(chi)) | {"level": str(level), "n_train": len(y)}
            row["train_squared_error"] = mean_squared_error(y, mean, at["covariance_train"].to_numpy())
            row["test_squared_error"] = (
                mean_squared_error(y_test, mean_test, at["variance_test"].to_numpy()) if len(y_test) else np.nan
            )
            for name in (observable.name for observable in SCALARS if observable.theory):
                row[name] = _number(at, name)
                row[f"{name}_mc_error"] = _number(at, f"{name}_mc_error", missing=0.0)
            row |= {name: at[name].item() for name in _scalars(THEORY)}
            rows.append(row | {"converged": bool(row["converged"])})
    return pd.DataFrame(rows)


def langevin_table(langevin: xr.Dataset) -> pd.DataFrame:
    """Return the one row of a training result: scalars with standard errors, and how the run went."""
    at = langevin.isel(chi=0)
    row = keys(langevin, float(at["chi"]))
    row["n_train"] = langevin.sizes["train"]
    for observable in SCALARS:
        for name in (observable.name, f"{observable.name}_error"):
            row[name] = _number(at, name)
    row |= {name: at[name].item() if name in at else np.nan for name in _scalars(TRAINING)}
    row["jackknife_dof"] = langevin.sizes["chain"] - 1
    row |= {"ess_min": float(at["ess"].min()), "rhat_max": float(langevin.attrs["rhat_max"])}
    row |= {name: bool(langevin.attrs[name]) for name in ("mixed", "target_met", "burn_in_converged")}
    row |= {"target_error": float(langevin.attrs["target_error"]), "chains": int(langevin.attrs["chains"])}
    row |= {name: langevin.attrs[name] for name in ("device", "dtype", "wall_time_s")}
    return pd.DataFrame([row])


def chains_table(langevin: xr.Dataset) -> pd.DataFrame:
    """Return one row for each chain: where it started and its own train discrepancy."""
    at = langevin.isel(chi=0)
    blocks = at["train_discrepancy_blocks"].to_numpy()
    return pd.DataFrame(
        [
            keys(langevin, float(at["chi"]))
            | {
                "chain": chain,
                "start": str(start),
                "train_discrepancy": float(blocks[chain].mean()),
                "train_discrepancy_error": float(standard_error(blocks[chain][None])),
            }
            for chain, start in enumerate(at["start"].to_numpy())
        ]
    )


def samples_table(theory: xr.Dataset, langevin: xr.Dataset) -> pd.DataFrame:
    """Return one row for each train and test sample: label, measured mean, and each level's prediction."""
    at = langevin.isel(chi=0)
    chi = matching_scale(theory, langevin)
    parts = []
    for part in ("train", "test"):
        columns = keys(langevin, chi) | {
            "part": part,
            "sample": np.arange(langevin.sizes[part]),
            "y": langevin[f"y_{part}"].to_numpy(),
            "langevin": at[f"mean_{part}"].to_numpy(),
            "langevin_error": at[f"mean_{part}_error"].to_numpy(),
        }
        for level in theory["level"].to_numpy():
            at_level = theory.sel(chi=chi, level=level)
            columns[str(level)] = at_level[f"mean_{part}"].to_numpy()
            columns[f"{level}_mc_error"] = at_level[f"mean_{part}_mc_error"].to_numpy()
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def components_table(dataset: xr.Dataset) -> pd.DataFrame:
    """Return the learned Hermite components in a theory or a training result, one row a source, scale and degree.

    Empty for data without a single-index teacher.
    """
    if "learned_component" not in dataset:
        return pd.DataFrame(columns=COMPONENTS)
    parts = []
    is_theory = "level" in dataset.dims
    for chi in dataset["chi"].to_numpy():
        for source in dataset["level"].to_numpy() if is_theory else ["langevin"]:
            at = dataset.sel(chi=chi, level=source) if is_theory else dataset.sel(chi=chi)
            columns = keys(dataset, float(chi)) | {
                "source": str(source),
                "degree": dataset["degree"].to_numpy(),
                "strength": at["learned_component"].to_numpy(),
                "error": at["learned_component_mc_error" if is_theory else "learned_component_error"].to_numpy(),
                "teacher": dataset["teacher_component"].to_numpy() if is_theory else np.nan,
            }
            parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def keys(dataset: xr.Dataset, chi: float) -> dict[str, Any]:
    """Return the columns that say which experiment, seed and scale a row is about."""
    width = int(dataset.attrs["width"])
    gamma = float(np.log(chi) / np.log(width)) if width > 1 else np.nan
    return {
        "experiment": str(dataset.attrs.get("label", "")),
        "seed": int(dataset.attrs["seed"]),
        "chi": chi,
        "gamma": gamma,
    }


def matching_scale(theory: xr.Dataset, langevin: xr.Dataset) -> float:
    """Return the scale of a training result as its theory result holds it.

    Raises:
        InputError: If the two are not about the same data and network, or theory lacks the scale.
    """
    for name in (*NetworkSettings.model_fields, "data_digest"):
        if theory.attrs[name] != langevin.attrs[name]:
            raise InputError(
                f"theory and training differ in {name}: {theory.attrs[name]} against {langevin.attrs[name]}"
            )
    chi = float(langevin["chi"].to_numpy()[0])
    scales = theory["chi"].to_numpy()
    match = scales[np.isclose(scales, chi, rtol=1e-9, atol=0)]
    if not len(match):
        known = ", ".join(f"{value:g}" for value in scales)
        raise InputError(f"theory holds no scale chi = {chi:g}, only {known}")
    return float(match[0])


def write_table(table: pd.DataFrame, stem: Path) -> None:
    """Write a table as ``stem.csv`` (17 digits: it reads back to the same numbers) and ``stem.parquet``."""
    with atomic(stem.with_suffix(".csv")) as temporary:
        table.to_csv(temporary, index=False, float_format="%.17g")
    with atomic(stem.with_suffix(".parquet")) as temporary:
        table.to_parquet(temporary, index=False)


def read_table(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Return a table written by `write_table`, which must have the given columns.

    Raises:
        InputError: If the file is missing, unreadable, or another table.
    """
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable table ({str(error).splitlines()[0]})") from None
    for name in columns:
        if name not in table:
            raise InputError(f"{path}: column {name} is missing: not the table that is needed here")
    if "note" in table and path.suffix != ".parquet":  # an empty note is an empty string and not a missing value
        table["note"] = table["note"].astype(object).fillna("")
    return table


def _scalars(variables: Sequence[Variable]) -> list[str]:
    return [item.name for item in variables if not item.dimensions and not item.own_dimensions]


def _number(at: xr.Dataset, name: str, missing: float = float("nan")) -> float:
    return float(at[name]) if name in at else missing
