"""Does training confirm the theory? z-scores and chi-squared of each level, pooled over seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from msat.levels import EXACT_NAMES
from msat.observables.registry import COMPARED, Observable
from msat.tables.compare import REFERENCE, normal_score, worst_score, z_score

JUDGES = (*EXACT_NAMES, REFERENCE)  # what has no approximation: where training disagrees, one of the two is wrong
_PLACE = ["experiment", "n_train", "chi"]
_AND = " and "  # between the samplers of a row
_TITLES = {"langevin": "Langevin"}  # of samplers, in lines for people
POOLED = tuple(observable.name for observable in COMPARED if observable.pooled)


def check_table(comparison: pd.DataFrame) -> pd.DataFrame:
    """Return the table `checks` (docs/formats.md): `comparison` by experiment, P, scale and level, pooled over seeds.

    Each seed has its own data and so its own prediction: ``q_z`` is the summed difference between measurement and
    prediction over its standard error, ``q_p`` its two-sided p-value. ``worst_z`` is the z largest in magnitude and
    ``observables_chi2`` the sum of squared z over seeds and the `POOLED` observables, on the scale of the normal law.
    ``measured_by`` names the sampler whose networks a row judges by, or several where seeds have others.
    """
    if not len(comparison):
        return pd.DataFrame()
    rows, compared = [], [item for item in COMPARED if item.name in comparison]
    for (experiment, n_train, chi, level), group in comparison.groupby([*_PLACE, "level"], sort=False):
        row: dict[str, object] = {"experiment": experiment, "chi": chi, "gamma": group["gamma"].iloc[0], "level": level}
        row |= {"seeds": group["seed"].nunique(), "measured_by": _AND.join(sorted(set(group["measured_by"])))}
        row |= {name: bool(group[name].all()) for name in ("converged", "mixed", "target_met")}
        row["rhat_max"] = group["rhat_max"].max()
        scores, squares = {}, []
        for observable in compared:
            name = observable.name
            row[f"{name}_z"], row[f"{name}_p"], scores[name], parts = _pooled(observable, group)
            if observable.pooled:
                squares += [score**2 for score in parts if not np.isnan(score)]
        row["worst_z"], row["worst_observable"] = worst_score(scores)
        row |= {"observables_chi2": float(np.sum(squares)), "observables_dof": len(squares)}
        relative = group["train_discrepancy"] / group["train_discrepancy_langevin"] - 1
        row["max_relative_difference"] = relative.abs().max(skipna=False)
        chi2, mean, variance = (float(group[name].to_numpy().sum()) for name in ("chi2", "chi2_dof", "chi2_variance"))
        row |= {"chi2": chi2, "chi2_dof": int(mean), "chi2_per_dof": chi2 / mean if mean else np.nan}
        # the errors of the outputs are correlated: a scaled chi-squared law of this mean and variance (Satterthwaite)
        scale, freedom = (variance / (2 * mean), 2 * mean**2 / variance) if mean else (np.nan, np.nan)
        row["chi2_p"] = float(special.chdtrc(freedom, chi2 / scale))
        rows.append(row | {"n_train": n_train})
    return pd.DataFrame(rows)


def _pooled(observable: Observable, group: pd.DataFrame) -> tuple[float, float, float, list[float]]:
    """Return z and p of an observable over seeds, z on the scale of the normal law, and the same of each seed."""
    name = observable.name
    # NumPy's sums keep a NaN, pandas' would drop it
    measured, predicted = group[f"{name}_langevin"].to_numpy(), group[name].to_numpy()
    error = group[f"{name}_error"].to_numpy()
    z = z_score(measured.sum(), predicted.sum(), float(np.sqrt(np.sum(error**2))))
    dofs = group["jackknife_dof"].to_numpy() if observable.jackknifed else np.full(len(group), np.inf)
    weight = float(np.sum(error**4 / dofs))
    dof = float(np.sum(error**2)) ** 2 / weight if weight > 0 else np.inf
    tail = special.stdtr(dof, -abs(z)) if np.isfinite(dof) else special.ndtr(-abs(z))
    values = zip(measured, predicted, error, dofs, strict=True)
    return z, float(2 * tail), normal_score(z, dof), [normal_score(z_score(m, p, e), d) for m, p, e, d in values]


def disagreements(checks: pd.DataFrame, alpha: float) -> list[str]:
    """Return a line for each quantity in which an exact level, or a reference, and the sampler beside it disagree.

    Both are right, or one of them is wrong: these have no approximation. With m tests in all, a p-value
    below ``alpha / m`` is a disagreement (Bonferroni), so a false alarm in the whole table is rarer than
    alpha. A level that did not converge, or predicts NaN, is a disagreement.
    """
    exact = checks[checks["level"].isin(JUDGES)]
    tests = {experiment: _tests(rows) for experiment, rows in exact.groupby("experiment")}
    limit = alpha / max(1, sum(len(tests[experiment]) for experiment in exact["experiment"]))
    lines, named = [], _names(checks)
    for _, row in exact.iterrows():
        level = f"{named[tuple(row[_PLACE])]}: {row['level']}"
        if not row["converged"]:
            lines.append(f"{level} did not converge")
        for name in tests[row["experiment"]]:
            if not row[f"{name}_p"] >= limit:  # NaN is a disagreement too
                value = f"chi2/dof = {row['chi2_per_dof']:.2f}" if name == "chi2" else f"z = {row[f'{name}_z']:.2f}"
                samplers = ", ".join(_samplers(row["measured_by"]))
                lines.append(f"{level} and {samplers} disagree in {name}: {value}, p = {row[f'{name}_p']:.2g}")
    return lines


def _tests(rows: pd.DataFrame) -> list[str]:
    """Return what is tested in rows of one experiment: all but what does not exist on its data.

    Any other missing number is a disagreement.
    """
    some = [item for item in COMPARED if item.optional or item.several]
    missing = [item for item in some if f"{item.name}_p" not in rows or rows[f"{item.name}_p"].isna().all()]
    return [*(item.name for item in COMPARED if item not in missing), "chi2"]


def verdict(checks: pd.DataFrame, alpha: float) -> str:
    """Return the last lines of a summary whose checks found no disagreement."""
    exact = checks[checks["level"].isin(JUDGES)]
    if exact.empty:
        return f"no experiment has the level {' or '.join(EXACT_NAMES)} or a reference: nothing was checked against it"
    known = [name for name in JUDGES if name in set(exact["level"])]
    names, agree = " and ".join(known), "; ".join(_agreements(exact, known))
    pooled = exact["chi2"].sum() / exact["chi2_dof"].sum()
    observables = exact["observables_chi2"].sum() / exact["observables_dof"].sum()
    return (
        f"chi-squared per degree of freedom of {names}, pooled over scales and seeds: {pooled:.2f} "
        f"({exact['chi2_dof'].sum()} mean train outputs)\n"
        f"the same of the scalar observables: {observables:.2f} ({exact['observables_dof'].sum()} values of "
        f"{sum(f'{name}_z' in checks for name in POOLED)} observables)\n{agree} (alpha = {alpha:g})."
    )


def _agreements(exact: pd.DataFrame, known: list[str]) -> list[str]:
    """Return who agrees with whom: each judge with each sampler whose networks it was compared with."""
    lines = []
    for name in known:
        found = exact.loc[exact["level"] == name, "measured_by"]
        samplers = dict.fromkeys(sampler for cell in found for sampler in _samplers(cell))
        lines += [f"{name} and {sampler} agree" for sampler in samplers]
    return lines


def _samplers(cell: str) -> list[str]:
    """Return the samplers of a row as lines for people name them."""
    return [_TITLES.get(name, name) for name in cell.split(_AND)]


def shortfalls(checks: pd.DataFrame) -> list[str]:
    """Return a line for each experiment and scale whose training did not mix or did not reach its target, or both."""
    lines, named = [], _names(checks)
    for place, group in checks.groupby(_PLACE, sort=False):
        found, unmixed = [], group[~group["mixed"].astype(bool)]
        if not group["target_met"].all():
            found.append("training did not reach its target error")
        if len(unmixed):  # the R-hat of the runs it is said of: others of the same scale may have mixed
            found.append(f"chains may not have mixed (R-hat {unmixed['rhat_max'].max():.3f})")
        if found:
            lines.append(f"{named[place]}: {', and '.join(found)}")
    return lines


def unconverged(checks: pd.DataFrame) -> list[str]:
    """Return a line for each level whose solver did not converge; that of an exact one is a disagreement."""
    rows, named = checks[~checks["converged"] & ~checks["level"].isin(JUDGES)], _names(checks)
    return [f"{named[tuple(row[_PLACE])]}: {row['level']} did not converge" for _, row in rows.iterrows()]


def _names(checks: pd.DataFrame) -> dict[Any, str]:
    """Return how lines name experiment, number of samples (where an experiment has several) and scale."""
    several = _with_several(checks)
    return {
        (name, n_train, chi): f"{name}{f', P = {n_train}' if name in several else ''}, chi = {chi:g}"
        for name, n_train, chi in checks[_PLACE].drop_duplicates().itertuples(index=False)
    }


def _with_several(checks: pd.DataFrame) -> set[str]:
    """Return the experiments that have several numbers of samples."""
    names = checks[["experiment", "n_train"]].drop_duplicates()["experiment"]
    return set(names[names.duplicated()])


def summary(checks: pd.DataFrame) -> str:
    """Return the table as text for a log: each level's agreement with training."""
    titles = {
        "train_discrepancy_z": "z train",
        "test_discrepancy_z": "z test",
        "variance_along_target_z": "z variance",
        "hidden_kernel_along_target_z": "z hidden",
        "worst_z": "worst z",
        "worst_observable": "of",
        "chi2_per_dof": "chi2/dof",
        "max_relative_difference": "train diff",
        "rhat_max": "R-hat",
    }
    place = ["experiment", "P", "chi"] if _with_several(checks) else ["experiment", "chi"]
    shown = checks.rename(columns=titles | {"n_train": "P"})[[*place, "level", *titles.values()]]
    shown["train diff"] = [f"{value:.2%}" for value in shown["train diff"]]
    formats = {"chi": "{:g}".format, "R-hat": "{:.3f}".format}
    return shown.to_string(index=False, float_format=lambda value: f"{value:.2f}", formatters=formats)
