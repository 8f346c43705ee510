"""One theory result against one training result, in every observable that is declared to be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from msat.errors import InputError
from msat.observables.registry import COMPARED, of_outputs
from msat.tables.rows import check_same, keys, langevin_table, matching_scale, several, theory_table
from msat.types import Array, flat

if TYPE_CHECKING:  # slow to load, and whoever has a result has it loaded
    import xarray as xr

REFERENCE = "reference"  # stands where a level's name does in rows that compare two samplers
STEP_BIAS = "step_bias"  # likewise in rows of a sampler that measures what its step size costs


class _Predicted(NamedTuple):
    """What a measurement is compared with: a level of theory, or another measurement."""

    name: str
    converged: bool
    scalars: Mapping[str, float]  # of every compared observable, with its error as ``name_mc_error``
    mean: Array  # mean outputs on the training points, (P,) or (P m,), as all that follows
    error: Array  # their errors, (P,)
    correlation: Array | None  # of these errors, (P, P); None where they are none or small


def compare(theory: xr.Dataset, langevin: xr.Dataset) -> pd.DataFrame:
    """Return the table `comparison` (docs/formats.md): each level against the measurement, one row a level.

    For every compared observable q, ``q_error`` includes the Monte Carlo error that a sampled level gives, and
    ``q_z = (measured - predicted) / error``; that of jackknifed observables follows Student's t with
    ``jackknife_dof`` degrees of freedom. ``chi2_variance`` is the variance of ``chi2`` under agreement, ``2 tr R^2``
    with R the correlation of the errors.

    Raises:
        InputError: If the two files are not about the same data and network, or theory lacks the scale.

    Examples:
        >>> import msat
        >>> task, network = msat.tasks.ising(n_train=6, n_test=4, dimension=8), msat.Network(width=6)
        >>> theory = msat.solve(task, network, levels=["nngp", "exact"])
        >>> table = msat.compare(theory, msat.train(task, network, steps=512, chains=4))
        >>> table["level"].tolist(), bool(abs(table["train_discrepancy_z"][1]) < 10)
        (['nngp', 'exact'], True)
    """
    chi = matching_scale(theory, langevin)
    measured, rows = langevin_table(langevin).iloc[0], []
    means = theory[["mean_train", "mean_train_mc_error"]].sel(chi=chi)
    for _, row in theory_table(theory.sel(chi=[chi])).iterrows():
        at = means.sel(level=row["level"])
        scalars = {str(name): value for name, value in row.items()}
        mean, error = (at[name].to_numpy().ravel() for name in ("mean_train", "mean_train_mc_error"))
        predicted = _Predicted(row["level"], bool(row["converged"]), scalars, mean, error, None)
        rows.append(_row(langevin, measured, chi, predicted))
    return pd.DataFrame(rows)


def compare_samplers(reference: xr.Dataset, langevin: xr.Dataset) -> pd.DataFrame:
    """Return a row of the table `comparison` whose level is `REFERENCE`: one sampler's measurement against another's.

    Both have errors; that of jackknifed observables is judged by the degrees of freedom of the fewer chains. A row has
    mixed, and reached its target, if both have, and ``rhat_max`` is the larger one.

    Raises:
        InputError: If the two files are not about the same data, network and scale.
    """
    check_same(reference, langevin, "the reference")
    if float(reference["chi"][0]) != float(langevin["chi"][0]):
        raise InputError("the reference and the training are of different scales")
    found, at = langevin_table(reference).iloc[0], reference.isel(chi=0)
    compared = of_outputs(COMPARED, several(langevin))
    scalars = {item.name: found[item.name] for item in compared}
    scalars |= {f"{item.name}_mc_error": found[f"{item.name}_error"] for item in compared}
    mean, error = (at[name].to_numpy().ravel() for name in ("mean_train", "mean_train_error"))
    correlation = flat(at["error_correlation_train"].to_numpy())
    predicted = _Predicted(REFERENCE, True, scalars, mean, error, correlation)
    row = _row(langevin, langevin_table(langevin).iloc[0], float(langevin["chi"][0]), predicted)
    row["jackknife_dof"] = min(row["jackknife_dof"], int(found["jackknife_dof"]))
    for name in ("mixed", "target_met"):
        row[name] = bool(row[name]) and bool(found[name])
    row["rhat_max"] = max(row["rhat_max"], found["rhat_max"])
    return pd.DataFrame([row])


def compare_steps(measurement: xr.Dataset) -> pd.DataFrame:
    """Return a row of the table `comparison` whose level is `STEP_BIAS`: what the step size adds to a measurement.

    The prediction is the measurement less its bias, which a run at half the step has measured with ``q_error``; mean
    outputs are not compared (``chi2_dof`` 0). Empty for a sampler that does not measure its bias.
    """
    at, measured = measurement.isel(chi=0), langevin_table(measurement).iloc[0]
    names = [item.name for item in of_outputs(COMPARED, several(measurement))]
    found = {name: float(at[f"{name}_step_bias"]) for name in names if f"{name}_step_bias" in at}
    if not found:
        return pd.DataFrame()
    row = keys(measurement, float(at["chi"])) | {"level": STEP_BIAS, "converged": True}
    row["measured_by"] = measured["sampler"]
    for name in names:  # one without block series has no bias measured
        bias = found.get(name, np.nan)
        error = float(at[f"{name}_step_bias_error"]) if name in found else np.nan
        row |= {name: measured[name] - bias, f"{name}_langevin": measured[name], f"{name}_error": error}
        row[f"{name}_z"] = z_score(bias, 0.0, error)
    row |= {"jackknife_dof": int(measured["jackknife_dof"]), "chi2": np.nan, "chi2_dof": 0, "chi2_variance": 0.0}
    return pd.DataFrame([row | {name: measured[name] for name in ("mixed", "target_met", "rhat_max", "n_train")}])


def _row(measurement: xr.Dataset, measured: pd.Series, chi: float, predicted: _Predicted) -> dict[str, Any]:
    """Return the row of one prediction against a measurement, whose row of the table `langevin` is ``measured``."""
    row = keys(measurement, chi) | {"level": predicted.name, "converged": predicted.converged}
    row["measured_by"] = measured["sampler"]
    for name in (observable.name for observable in of_outputs(COMPARED, several(measurement))):
        value, error = (
            predicted.scalars[name],
            np.hypot(measured[f"{name}_error"], predicted.scalars[f"{name}_mc_error"]),
        )
        row |= {name: value, f"{name}_langevin": measured[name], f"{name}_error": error}
        row[f"{name}_z"] = z_score(measured[name], value, error)
    row["jackknife_dof"] = int(measured["jackknife_dof"])
    mean, error = (measurement[name].to_numpy().ravel() for name in ("mean_train", "mean_train_error"))
    difference = mean - predicted.mean
    total = np.hypot(error, predicted.error)
    # an output that cannot vary (a sample of zeros) has no error, and tests nothing if it agrees
    tested = ~((total == 0) & (np.abs(difference) < 1e-12))
    z = difference[tested] / total[tested]
    correlation = flat(measurement["error_correlation_train"].to_numpy()[0])
    if predicted.correlation is not None:  # of the difference of two independent means
        scale = np.where(total > 0, total, 1.0)
        own, other = error / scale, predicted.error / scale
        correlation = correlation * np.outer(own, own) + predicted.correlation * np.outer(other, other)
    row |= {"chi2": float(z @ z), "chi2_dof": len(z), "chi2_variance": 2 * float(np.sum(correlation**2))}
    return row | {name: measured[name] for name in ("mixed", "target_met", "rhat_max", "n_train")}


def better(first: xr.Dataset, second: xr.Dataset) -> xr.Dataset:
    """Return of two measurements of one law the one that has mixed, else that of the smaller error."""
    rank = [(not bool(item.attrs["mixed"]), float(item["train_discrepancy_error"][0])) for item in (first, second)]
    return first if rank[0] <= rank[1] else second


def printed(comparison: pd.DataFrame) -> str:
    """Return the comparison of one scale as text: for each quantity the measurement, then the levels with z."""
    first = comparison.iloc[0]
    lines = [f"chi = {first['chi']:g}, seed {first['seed']}: measured value +- standard error, then level (z)"]
    compared = [item for item in COMPARED if item.name in comparison]
    for name in (observable.name for observable in compared if observable.printed):
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
    lines.append(f"  largest |z| of all {len(compared)} observables (on the scale of the normal law), and which")
    for _, row in comparison.iterrows():
        dofs = {item.name: row["jackknife_dof"] if item.jackknifed else np.inf for item in compared}
        worst, name = worst_score({name: normal_score(row[f"{name}_z"], dof) for name, dof in dofs.items()})
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
    name = max(known, key=lambda key: abs(known[key]), default="none")
    return known.get(name, np.nan), name
