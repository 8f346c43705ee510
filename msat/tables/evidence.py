"""The log evidence against the scale, from theory and from training alone (docs/theory.md, section 10).

The slope of ``ln p(y)`` in ``l = ln chi`` is ``P/2 - u`` with ``u = y.(y - <f>)/(2 kappa) > 0``, so Langevin
ensembles measure it at each scale, its own slope (the bend) with it, and the evidence relative to the lowest scale
follows by integrating over l. ``ln u`` is nearly linear in l: it is interpolated by a cubic Hermite spline through
values and slopes, and u is integrated by Gauss-Legendre quadrature. Against `exact` on the paper's Ising task
(evidences that differ by 623 between chi = 1 and 100) the interpolation is off by at most 0.4, 0.05 and 0.005 with
scales a factor of 10, 4.64 and 2.15 apart; two scales a factor of 100 apart are too few (6).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator
from scipy.optimize import brentq

from msat.levels import LEVELS
from msat.types import Array

_NODES = 16  # of the quadrature in one interval; the integrand is the exponential of a cubic
_KEYS = ["experiment", "seed"]
_ALONG = ["log_evidence", "log_evidence_change", "error", "slope", "slope_error", "bend"]
EVIDENCE = [*_KEYS, "chi", "gamma", "source", *_ALONG, "n_train"]
MAXIMUM = [*_KEYS, "source", "chi_best", "chi_best_error", "log_evidence_change", "error", "note"]


@dataclass(frozen=True, eq=False)
class Curve:
    """The evidence along a ladder of scales, by integration of its slope. Build it with `integrate`.

    Attributes:
        change, error: ``ln p(y)`` at each scale relative to the lowest, and its standard error, (n,).
        note: Why there is no maximum; empty if there is one.
        log_best, log_best_error: ``ln chi`` of the maximum and its standard error; NaN if it is at an edge.
        best_change, best_error: The change at the maximum, and its standard error; NaN likewise.
    """

    change: Array
    error: Array
    note: str = ""
    log_best: float = float("nan")
    log_best_error: float = float("nan")
    best_change: float = float("nan")
    best_error: float = float("nan")


class _Ladder:
    """The spline of ``ln u`` through the scales, its integral, and how errors of slope and bend propagate."""

    def __init__(self, log_chi: Array, n_train: int, slope: Array, bend: Array, measured: Array) -> None:
        """Take the covariance of slope and bend at each scale, (2, 2, n)."""
        self.log_chi, self.half = log_chi, n_train / 2
        u, zero = self.half - slope, np.zeros(len(log_chi))
        self.spline = CubicHermiteSpline(log_chi, np.log(u), -bend / u)
        # d value = -d slope/u; d rate = -d bend/u - bend d slope/u^2
        to_nodes = np.array([[-1 / u, zero], [-bend / u**2, -1 / u]])  # (value or rate, slope or bend, n)
        self._noise = np.einsum("abn,bcn,dcn->nad", to_nodes, measured, to_nodes)

    def basis(self, points: Array) -> Array:
        """Return the spline's response at points to each value and rate, (points, n, 2)."""
        n = len(self.log_chi)
        unit, none = np.eye(n), np.zeros((n, n))
        pairs = ((unit, none), (none, unit))
        return np.stack([CubicHermiteSpline(self.log_chi, *pair)(points) for pair in pairs], axis=-1)

    def integral(self, low: float, high: float) -> tuple[float, Array]:
        """Return the integral of the slope, and its derivative with respect to each value and rate."""
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        points, step = low + (high - low) * (nodes + 1) / 2, weights * (high - low) / 2
        height = np.exp(self.spline(points))
        response = -np.einsum("q,qnk->nk", step * height, self.basis(points))
        return self.half * (high - low) - float(step @ height), response

    def error_of(self, gradient: Array) -> float:
        """Return the standard error of what has this derivative with respect to each value and rate, (n, 2)."""
        return float(np.sqrt(np.einsum("na,nab,nb->", gradient, self._noise, gradient)))


def integrate(
    chi: Array,
    n_train: int,
    slope: Array,
    bend: Array,
    slope_error: Array | None = None,
    bend_error: Array | None = None,
    correlation: Array | None = None,
) -> Curve:
    """Return the `Curve` through slopes and bends measured at scales.

    Errors propagate linearly; those of different scales are independent.

    Args:
        chi: Scales, ascending, (n,).
        n_train: P.
        slope, bend: First and second derivative of ``ln p(y)`` in ``ln chi``, (n,).
        slope_error, bend_error, correlation: Their standard errors and the correlation between the two at one scale,
            (n,); None for zero.
    """
    n, log_chi = len(chi), np.log(chi)
    nan, zero = np.full(n, np.nan), np.zeros(n)
    if not (np.all(n_train / 2 - slope > 0) and np.all(np.isfinite(bend))):
        return Curve(nan, nan, "no solution, or y.(y - <f>) not positive, at some scale")
    if n == 1:
        return Curve(zero, zero, "one scale only")
    variance, variance_bend = (np.square(zero if e is None else e) for e in (slope_error, bend_error))
    covariance = np.sqrt(variance * variance_bend) * (zero if correlation is None else correlation)
    measured = np.array([[variance, covariance], [covariance, variance_bend]])
    ladder = _Ladder(log_chi, n_train, slope, bend, measured)
    change, error, gradients = zero.copy(), zero.copy(), [np.zeros((n, 2))]
    for k in range(1, n):
        part, response = ladder.integral(log_chi[k - 1], log_chi[k])
        gradients.append(gradients[-1] + response)
        change[k], error[k] = change[k - 1] + part, ladder.error_of(gradients[-1])
    return _with_maximum(ladder, slope, Curve(change, error), gradients)


def _with_maximum(ladder: _Ladder, slope: Array, curve: Curve, gradients: list[Array]) -> Curve:
    """Return the curve with its highest interior maximum: a root of the slope at which it falls."""
    change, log_chi = curve.change, ladder.log_chi
    falling = np.flatnonzero((slope[:-1] > 0) & (slope[1:] <= 0))
    if not len(falling):
        edge = "lowest" if np.argmax(change) == 0 else "highest"
        return replace(curve, note=f"the maximum is at the {edge} scale")
    k = int(falling[np.argmax(np.maximum(change[falling], change[falling + 1]))])
    level = np.log(ladder.half)
    best = float(brentq(lambda at: float(ladder.spline(at)) - level, log_chi[k], log_chi[k + 1]))
    part, response = ladder.integral(log_chi[k], best)
    best_change = float(change[k]) + part
    if max(change[0], change[-1]) > best_change:
        return replace(curve, note="the maximum is at an edge")
    # at the root the slope vanishes, so that its shift does not enter the height
    shift = ladder.error_of(ladder.basis(np.array([best]))[0]) / abs(float(ladder.spline(best, 1)))
    best_error = ladder.error_of(gradients[k] + response)
    return replace(curve, log_best=best, log_best_error=shift, best_change=best_change, best_error=best_error)


def along(rows: pd.DataFrame, chi: Array) -> Array:
    """Return ``ln p(y)`` of one source and seed at any scales, relative to the lowest in the table, (n,).

    Between the scales of the table by the same interpolation as `integrate`; what its integral and the table's
    ``log_evidence_change`` differ by is spread evenly over the interval. NaN if values are missing, or if that
    difference is above 0.5 + 1 % somewhere: the scales are then too far apart to say what is between them.

    Args:
        rows: Rows of the table `evidence`, at least two scales.
        chi: Scales within those of the rows, (n,).
    """
    at = rows.sort_values("chi")
    log_chi, half = np.log(at["chi"].to_numpy()), float(at["n_train"].iloc[0]) / 2
    slope, bend, change = (at[name].to_numpy() for name in ("slope", "bend", "log_evidence_change"))
    u = half - slope
    if not (np.all(u > 0) and np.all(np.isfinite(bend)) and np.all(np.isfinite(change))):
        return np.full(len(chi), np.nan)
    spline = CubicHermiteSpline(log_chi, np.log(u), -bend / u)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)

    def integral(low: Array, high: Array) -> Array:
        points = low[:, None] + (high - low)[:, None] * (nodes + 1) / 2
        return np.asarray((high - low) * (half - np.exp(spline(points)) @ weights / 2))

    whole = integral(log_chi[:-1], log_chi[1:])
    if np.any(np.abs(np.diff(change) - whole) > 0.5 + 0.01 * np.abs(np.diff(change))):
        return np.full(len(chi), np.nan)
    target = np.clip(np.log(chi), log_chi[0], log_chi[-1])
    k = np.clip(np.searchsorted(log_chi, target, side="right") - 1, 0, len(log_chi) - 2)
    share = (target - log_chi[k]) / (log_chi[k + 1] - log_chi[k])
    return np.asarray(change[k] + integral(log_chi[k], target) + share * (change[k + 1] - change[k] - whole[k]))


def evidence_tables(theory: pd.DataFrame, langevin: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables `evidence` (a row a source and scale) and `evidence_maximum` (a row a source).

    A source is a level that has a log evidence, or langevin. ``log_evidence`` is absolute and theory's alone;
    ``log_evidence_change`` is relative to the lowest scale of the source: for a level the difference of its log
    evidences, for langevin the integral of the measured slope.

    Args:
        theory, langevin: The tables of these names (`msat.tables.rows`).
    """
    rows, maxima = [], []
    for (experiment, seed), source, group in _sources(theory, langevin):
        is_theory = source != "langevin"
        at = group.sort_values("chi")
        chi, n_train = at["chi"].to_numpy(), int(at["n_train"].iloc[0])
        slope, bend = (at[f"evidence_{name}"].to_numpy() for name in ("slope", "bend"))
        slope_error = at[f"evidence_slope_{'mc_error' if is_theory else 'error'}"].to_numpy()
        # a level that this code does not have was written by another version: taken as it is
        derivative = source not in LEVELS or LEVELS[source].derivative
        if not derivative and len(at) > 1 and np.all(slope < n_train / 2):
            # its covariance is not the response of its mean: the bend is taken from the slopes of the ladder
            log_chi, u = np.log(chi), n_train / 2 - slope
            bend = -u * PchipInterpolator(log_chi, np.log(u))(log_chi, 1)
        others = ("evidence_bend_error", "evidence_error_correlation")
        errors = [None, None] if is_theory else [at[name].to_numpy() for name in others]
        curve = integrate(chi, n_train, slope, bend, slope_error, *errors)
        absolute, change, error = np.full(len(at), np.nan), curve.change, curve.error
        if is_theory:
            absolute, sampled = (at[name].to_numpy() for name in ("log_evidence", "log_evidence_mc_error"))
            if not np.isfinite(absolute).any():
                continue  # as of the tree level
            change, error = absolute - absolute[0], np.hypot(sampled, sampled[0])
            error[0] = 0.0
        found = dict(zip(_ALONG, (absolute, change, error, slope, slope_error, bend), strict=True))
        rows.append(at[[*_KEYS, "chi", "gamma", "n_train"]].assign(source=source, **found)[EVIDENCE])
        maxima.append(
            {
                "experiment": experiment,
                "seed": seed,
                "source": source,
                "chi_best": float(np.exp(curve.log_best)),
                "chi_best_error": float(np.exp(curve.log_best) * curve.log_best_error),
                "log_evidence_change": curve.best_change,
                "error": curve.best_error,
                "note": curve.note,
            }
        )
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=EVIDENCE)
    return {"evidence": table[EVIDENCE], "evidence_maximum": pd.DataFrame(maxima, columns=MAXIMUM)}


def _sources(theory: pd.DataFrame, langevin: pd.DataFrame) -> Iterator[tuple[tuple[str, int], str, pd.DataFrame]]:
    """Yield experiment and seed, source, and its rows: by experiment and seed, levels first."""
    groups: list[tuple[tuple[str, int], str, pd.DataFrame]] = []
    for table in (theory, langevin):
        if not len(table):
            continue
        levels = table["level"] if table is theory else pd.Series("langevin", index=table.index)
        for (experiment, _, source), group in table.groupby([*_KEYS, levels], sort=False):
            groups.append(((str(experiment), int(group["seed"].iloc[0])), str(source), group))
    yield from sorted(groups, key=lambda item: item[0])  # stable: levels stay in the theory's order
