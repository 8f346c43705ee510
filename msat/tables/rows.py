"""Tidy tables: theory and training per experiment, seed and scale, and one against the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import special

from msat.errors import InputError
from msat.langevin.diagnostics import standard_error
from msat.observables.functions import (
    COVARIANCE_OBSERVABLES,
    HIDDEN_OBSERVABLES,
    along_target,
    discrepancy,
    mean_squared_error,
)
from msat.store import atomic
from msat.tables.evidence import evidence_tables

TABLES = (
    "theory",
    "langevin",
    "comparison",
    "samples",
    "chains",
    "components",
    "evidence",
    "evidence_maximum",
)

# measured with an error from leaving out one chain at a time: their z follows Student's t
JACKKNIFED = (*COVARIANCE_OBSERVABLES, *HIDDEN_OBSERVABLES, "weight_alignment")
# what a level predicts and Langevin measures with an error: column name of both
COMPARED = (
    "train_discrepancy",
    "test_discrepancy",
    "variance_along_target",
    "hidden_kernel_along_target",
    "readout_norm",
    *JACKKNIFED,
)
_PRINTED = (
    "train_discrepancy",
    "test_discrepancy",
    "variance_along_target",
    "variance_across_target",
    "hidden_kernel_along_target",
    "hidden_kernel_alignment",
    "weight_alignment",
    "readout_norm",
)
_NETWORK = ("width", "activation", "g_w", "g_v", "kappa_0")


def theory_table(theory: xr.Dataset) -> pd.DataFrame:
    """Return one row for each scale and level of a theory result: its scalar predictions."""
    y, y_test = theory["y_train"].to_numpy(), theory["y_test"].to_numpy()
    rows = []
    for chi in theory["chi"].to_numpy():
        for level in theory["level"].to_numpy():
            at = theory.sel(chi=chi, level=level)
            mean, covariance = at["mean_train"].to_numpy(), at["covariance_train"].to_numpy()
            mean_test, variance_test = at["mean_test"].to_numpy(), at["variance_test"].to_numpy()
            has_test = len(y_test) > 0
            rows.append(
                _keys(theory, float(chi))
                | {
                    "level": str(level),
                    "n_train": len(y),
                    "train_discrepancy": discrepancy(y, mean),
                    "test_discrepancy": discrepancy(y_test, mean_test) if has_test else np.nan,
                    "train_squared_error": mean_squared_error(y, mean, covariance),
                    "test_squared_error": mean_squared_error(y_test, mean_test, variance_test)
                    if has_test
                    else np.nan,
                    "variance_along_target": along_target(y, covariance),
                    "hidden_kernel_along_target": along_target(y, at["hidden_kernel"].to_numpy()),
                    **{
                        name: float(at[name])
                        for name in (
                            *JACKKNIFED,
                            *(f"{name}_mc_error" for name in COMPARED if name != "readout_norm"),
                            "readout_norm",
                            "log_evidence",
                            "log_evidence_mc_error",
                            "evidence_slope",
                            "evidence_slope_mc_error",
                            "evidence_bend",
                            "action",
                            "residual",
                            "loop_strength",
                            "effective_sample_size",
                        )
                    },
                    "converged": bool(at["converged"]),
                    "iterations": int(at["iterations"]),
                    "note": str(at["note"].to_numpy()),
                }
            )
    return pd.DataFrame(rows)


def langevin_table(langevin: xr.Dataset) -> pd.DataFrame:
    """Return the one row of a training result: scalars with standard errors, and how the run went."""
    at = langevin.isel(chi=0)
    row = _keys(langevin, float(at["chi"]))
    row["n_train"] = langevin.sizes["train"]
    evidence = ("evidence_slope", "evidence_bend")
    for name in (*COMPARED, "train_discrepancy_rb", "first_layer_variance", *evidence):
        row[name] = float(at[name]) if name in at else np.nan
        row[f"{name}_error"] = float(at[f"{name}_error"]) if name in at else np.nan
    name = "evidence_error_correlation"
    row[name] = float(at[name]) if name in at else np.nan
    row["jackknife_dof"] = langevin.sizes["chain"] - 1
    row |= {name: float(at[name]) for name in ("step_size", "curvature")}
    row |= {name: int(at[name]) for name in ("steps", "burn_in_steps")}
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
            _keys(langevin, float(at["chi"]))
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
    chi = _matching_scale(theory, langevin)
    parts = []
    for part in ("train", "test"):
        count = langevin.sizes[part]
        columns: dict[str, Any] = {name: [value] * count for name, value in _keys(langevin, chi).items()}
        columns |= {"part": [part] * count, "sample": np.arange(count), "y": langevin[f"y_{part}"].to_numpy()}
        columns |= {
            "langevin": at[f"mean_{part}"].to_numpy(),
            "langevin_error": at[f"mean_{part}_error"].to_numpy(),
        }
        for level in theory["level"].to_numpy():
            at_level = theory.sel(chi=chi, level=level)
            columns[str(level)] = at_level[f"mean_{part}"].to_numpy()
            columns[f"{level}_mc_error"] = at_level[f"mean_{part}_mc_error"].to_numpy()
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def compare(theory: xr.Dataset, langevin: xr.Dataset) -> pd.DataFrame:
    """Return each level against the measurement, one row a level.

    For every quantity q of `COMPARED`: the level's ``q``, the measured ``q_langevin``, ``q_error`` and
    ``q_z = (measured - predicted) / error``. The error includes the Monte Carlo error that a sampled level gives.
    The z of `JACKKNIFED` quantities follow Student's t with ``jackknife_dof`` degrees of freedom, others the
    normal law. ``chi2`` is the sum over training samples of the squared z of the mean outputs; ``chi2_variance``
    is its variance under agreement, ``2 tr R^2`` with R the correlation of the measurement's errors, so that a
    p-value can allow for it.

    Raises
    ------
    InputError
        If the two files are not about the same data and network, or theory lacks the scale.
    """
    at = langevin.isel(chi=0)
    chi = _matching_scale(theory, langevin)
    predicted = theory_table(theory.sel(chi=[chi])).set_index("level")
    measured = langevin_table(langevin).iloc[0]
    measured_error = at["mean_train_error"].to_numpy()
    correlation = at["error_correlation_train"].to_numpy()
    variance = 2 * float(np.sum(correlation**2))
    rows = []
    for level, prediction in predicted.iterrows():
        row = _keys(langevin, chi) | {"level": level, "converged": bool(prediction["converged"])}
        for name in COMPARED:
            row[name] = prediction[name]
            row[f"{name}_langevin"] = measured[name]
            row[f"{name}_error"] = np.hypot(measured[f"{name}_error"], prediction.get(f"{name}_mc_error", 0.0))
            row[f"{name}_z"] = z_score(measured[name], prediction[name], row[f"{name}_error"])
        row["jackknife_dof"] = int(measured["jackknife_dof"])
        mean = theory["mean_train"].sel(chi=chi, level=level).to_numpy()
        sampled_error = theory["mean_train_mc_error"].sel(chi=chi, level=level).to_numpy()
        difference = at["mean_train"].to_numpy() - mean
        total_error = np.hypot(measured_error, sampled_error)
        # an output that cannot vary (a sample of zeros) has no error, and tests nothing if it agrees
        tested = ~((total_error == 0) & (np.abs(difference) < 1e-12))
        z = difference[tested] / total_error[tested]
        row |= {"chi2": float(z @ z), "chi2_dof": len(z), "chi2_variance": variance}
        row |= {name: measured[name] for name in ("mixed", "target_met", "rhat_max")}
        rows.append(row)
    return pd.DataFrame(rows)


def printed(comparison: pd.DataFrame) -> str:
    """Return the comparison of one scale as text: for each quantity the measurement, then the levels with z."""
    first = comparison.iloc[0]
    lines = [f"chi = {first['chi']:g}, seed {first['seed']}: measured value +- standard error, then level (z)"]
    for name in _PRINTED:
        if np.isnan(first[f"{name}_langevin"]):
            continue
        lines.append(f"  {name:<27} {first[f'{name}_langevin']:>12.6g} +- {first[f'{name}_error']:.2g}")
        lines += [
            f"    {row['level']:<25} {row[name]:>12.6g}    z = {row[f'{name}_z']:+8.2f}"
            + ("" if row["converged"] else "   not converged")
            for _, row in comparison.iterrows()
        ]
    lines.append("  mean outputs on the training points: chi-squared per degree of freedom")
    lines += [f"    {row['level']:<25} {row['chi2'] / row['chi2_dof']:>12.6g}" for _, row in comparison.iterrows()]
    lines.append(f"  largest |z| of all {len(COMPARED)} observables (on the scale of the normal law), and which")
    for _, row in comparison.iterrows():
        scores = {
            name: normal_score(row[f"{name}_z"], row["jackknife_dof"] if name in JACKKNIFED else np.inf)
            for name in COMPARED
        }
        worst, name = worst_score(scores)
        lines.append(f"    {row['level']:<25} {worst:>+12.2f}    {name}")
    return "\n".join(lines)


def z_score(measured: float, predicted: float, error: float) -> float:
    """Return ``(measured - predicted) / error``; 0 if the two agree to rounding, whatever the error."""
    difference = measured - predicted
    if abs(difference) <= 1e-12 * max(abs(measured), abs(predicted)):
        return 0.0
    return float(difference / error) if error else float(np.copysign(np.inf, difference))


def normal_score(z: float, dof: float) -> float:
    """Return the normal z with the same p-value as a Student's t value of `dof` degrees of freedom."""
    if not np.isfinite(dof) or not np.isfinite(z):
        return float(z)
    # far out the p-value underflows; the normal score is never the larger of the two
    score = min(abs(z), -float(special.ndtri(special.stdtr(dof, -abs(z)))))
    return float(np.copysign(score, z))


def worst_score(scores: Mapping[str, float]) -> tuple[float, str]:
    """Return the score largest in magnitude and its name; NaN and "none" if there is none."""
    known = {name: score for name, score in scores.items() if not np.isnan(score)}
    if not known:
        return float("nan"), "none"
    name = max(known, key=lambda key: abs(known[key]))
    return known[name], name


def components_table(dataset: xr.Dataset) -> pd.DataFrame:
    """Return the learned Hermite components in a theory or a training result, one row a source, scale and degree.

    Empty for data without a single-index teacher.
    """
    rows: list[dict[str, Any]] = []
    if "learned_component" in dataset:
        is_theory = "level" in dataset.dims
        for chi in dataset["chi"].to_numpy():
            for source in dataset["level"].to_numpy() if is_theory else ["langevin"]:
                at = dataset.sel(chi=chi, level=source) if is_theory else dataset.sel(chi=chi)
                error = at["learned_component_mc_error" if is_theory else "learned_component_error"]
                rows += [
                    _keys(dataset, float(chi))
                    | {
                        "source": str(source),
                        "degree": int(degree),
                        "strength": float(at["learned_component"].sel(degree=degree)),
                        "error": float(error.sel(degree=degree)),
                        "teacher": float(dataset["teacher_component"].sel(degree=degree)) if is_theory else np.nan,
                    }
                    for degree in dataset["degree"].to_numpy()
                ]
    columns = ["experiment", "seed", "chi", "gamma", "source", "degree", "strength", "error", "teacher"]
    return pd.DataFrame(rows, columns=columns)


def collect(theory: Sequence[xr.Dataset], langevin: Sequence[xr.Dataset]) -> dict[str, pd.DataFrame]:
    """Return the tables of `TABLES` over all results; one that has no rows can be without columns.

    Raises
    ------
    InputError
        If a training result has no theory result of the same experiment, seed, data and network.
    """
    tables = collect_scales(theory, langevin)
    return {**tables, **evidence_tables(tables["theory"], tables["langevin"])}


def collect_scales(theory: Sequence[xr.Dataset], langevin: Sequence[xr.Dataset]) -> dict[str, pd.DataFrame]:
    """Return those of `TABLES` whose rows are of one scale each: `msat.stages.tables` takes one after the other.

    Raises
    ------
    InputError
        If a training result has no theory result of the same experiment, seed, data and network.
    """
    by_key = {(item.attrs["label"], item.attrs["seed"]): item for item in theory}
    comparison, samples = [], []
    for item in langevin:
        key = (item.attrs["label"], item.attrs["seed"])
        if key not in by_key:
            raise InputError(f"no theory result for experiment {key[0]!r}, seed {key[1]}")
        comparison.append(compare(by_key[key], item))
        samples.append(samples_table(by_key[key], item))
    order = ["experiment", "seed", "chi"]
    predicted = _stacked(map(theory_table, theory), order)
    measured = _stacked(map(langevin_table, langevin), order)
    return {
        "theory": predicted,
        "langevin": measured,
        "comparison": _stacked(comparison, order),
        "samples": _stacked(samples, order),
        "chains": _stacked(map(chains_table, langevin), order),
        "components": _stacked(map(components_table, [*theory, *langevin]), order),
    }


def write_table(table: pd.DataFrame, stem: Path) -> None:
    """Write a table as ``stem.csv`` (17 digits: it reads back to the same numbers) and ``stem.parquet``."""
    with atomic(stem.with_suffix(".csv")) as temporary:
        table.to_csv(temporary, index=False, float_format="%.17g")
    with atomic(stem.with_suffix(".parquet")) as temporary:
        table.to_parquet(temporary, index=False)


def read_table(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Return a table written by `write_table`, which must have the given columns.

    Raises
    ------
    InputError
        If the file is missing, unreadable, or another table.
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


def _keys(dataset: xr.Dataset, chi: float) -> dict[str, Any]:
    width = int(dataset.attrs["width"])
    gamma = float(np.log(chi) / np.log(width)) if width > 1 else np.nan
    return {
        "experiment": str(dataset.attrs.get("label", "")),
        "seed": int(dataset.attrs["seed"]),
        "chi": chi,
        "gamma": gamma,
    }


def _matching_scale(theory: xr.Dataset, langevin: xr.Dataset) -> float:
    for name in (*_NETWORK, "data_digest"):
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


def _stacked(tables: Iterable[pd.DataFrame], order: list[str]) -> pd.DataFrame:
    parts = list(tables)
    if not parts:
        return pd.DataFrame()
    return pd.concat(parts, ignore_index=True).sort_values(order, kind="stable", ignore_index=True)
