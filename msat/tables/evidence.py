"""The log evidence against the scale, from theory and from training alone (docs/theory.md, section 10, eq. (6)).

Langevin ensembles measure the slope ``P/2 - u`` of ``ln p(y)`` in ``ln chi``, with ``u = y.(y - <f>)/(2 kappa) > 0``,
and the slope's own slope (the bend). ``ln u`` is nearly linear in ``ln chi``: it is interpolated by a cubic Hermite
spline through values and slopes, and u integrated by Gauss-Legendre quadrature. Section 10 says how exact that is.
"""

from __future__ import annotations

from itertools import pairwise, starmap
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.interpolate import CubicHermiteSpline, CubicSpline, PchipInterpolator
from scipy.optimize import brentq

from msat.levels import EXACT, LEVELS
from msat.types import Array

_NODES = 16  # of the quadrature in one interval; the integrand is the exponential of a cubic
_KEYS = ["experiment", "seed"]
_RUN = [*_KEYS, "n_train"]
_MEASURED = ("slope", "bend", "slope_error", "bend_error", "error_correlation")
_ALONG = ["log_evidence", "log_evidence_change", "error", "slope", "slope_error", "bend"]
_OUTPUTS = "n_outputs"  # a column where there are several, and empty where there is one
_DIFFERENCE = "difference_from_exact"
EVIDENCE = [*_KEYS, "chi", "gamma", "source", *_ALONG, "n_train", _DIFFERENCE]
MAXIMUM = [*_KEYS, "source", "chi_best", "chi_best_error", "log_evidence_change", "error", "note", "n_train"]


class Curve(NamedTuple):
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


def _labels(rows: pd.DataFrame) -> int:
    """Return the number of labels of an experiment: training points times outputs."""
    outputs = rows[_OUTPUTS].iloc[0] if _OUTPUTS in rows else 1
    return int(rows["n_train"].iloc[0]) * (1 if pd.isna(outputs) else int(outputs))


def _log_u(log_chi: Array, u: Array, bend: Array) -> CubicHermiteSpline:
    return CubicHermiteSpline(log_chi, np.log(u), -bend / u)


class _Ladder:
    """The spline of ``ln u`` through the scales, its integral, and how errors of slope and bend propagate."""

    def __init__(self, log_chi: Array, u: Array, bend: Array, half: float, measured: Array) -> None:
        """Take P/2 and the covariance of slope and bend at each scale, (2, 2, n)."""
        self.log_chi, self.half = log_chi, half
        self.spline = _log_u(log_chi, u, bend)
        # its response at points to each value and rate, (points, n, 2)
        self.basis = CubicHermiteSpline(log_chi, *np.einsum("ij,kl->kijl", np.eye(len(u)), np.eye(2)))
        # d value = -d slope/u; d rate = -d bend/u - bend d slope/u^2
        to_nodes = np.array([[-1 / u, np.zeros(len(u))], [-bend / u**2, -1 / u]])  # (value or rate, slope or bend, n)
        self._noise = np.einsum("abn,bcn,dcn->nad", to_nodes, measured, to_nodes)

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
    n_labels: int,
    slope: Array,
    bend: Array,
    slope_error: Array | float = 0.0,
    bend_error: Array | float = 0.0,
    correlation: Array | float = 0.0,
) -> Curve:
    """Return the `Curve` through slopes and bends measured at scales.

    Errors propagate linearly; those of different scales are independent.

    Args:
        chi: Scales, ascending, (n,).
        n_labels: P, or P m of m outputs.
        slope, bend: First and second derivative of ``ln p(y)`` in ``ln chi``, (n,).
        slope_error, bend_error, correlation: Their standard errors and the correlation between the two at one scale,
            (n,).
    """
    log_chi, u, zero = np.log(chi), n_labels / 2 - slope, np.zeros(len(chi))
    if not (np.all(u > 0) and np.all(np.isfinite(bend))):
        return Curve(zero + np.nan, zero + np.nan, "no solution, or y.(y - <f>) not positive, at some scale")
    if len(chi) == 1:
        return Curve(zero, zero, "one scale only")
    variance, variance_bend = np.square(zero + slope_error), np.square(zero + bend_error)
    covariance = np.sqrt(variance * variance_bend) * correlation
    measured = np.array([[variance, covariance], [covariance, variance_bend]])
    ladder = _Ladder(log_chi, u, bend, n_labels / 2, measured)
    parts, responses = zip(*starmap(ladder.integral, pairwise(log_chi)), strict=True)
    change = np.cumsum([0.0, *parts])
    gradients = np.cumsum([np.zeros((len(chi), 2)), *responses], axis=0)
    error = np.array([0.0, *map(ladder.error_of, gradients[1:])])
    return _with_maximum(ladder, slope, Curve(change, error), gradients)


def _with_maximum(ladder: _Ladder, slope: Array, curve: Curve, gradients: Array) -> Curve:
    """Return the curve with its highest interior maximum: a root of the slope at which it falls."""
    change, log_chi = curve.change, ladder.log_chi
    falling = np.flatnonzero((slope[:-1] > 0) & (slope[1:] <= 0))
    if not len(falling):
        edge = "lowest" if np.argmax(change) == 0 else "highest"
        return curve._replace(note=f"the maximum is at the {edge} scale")
    k = int(falling[np.argmax(np.maximum(change[falling], change[falling + 1]))])
    level = np.log(ladder.half)
    best = float(brentq(lambda at: float(ladder.spline(at)) - level, log_chi[k], log_chi[k + 1]))
    part, response = ladder.integral(log_chi[k], best)
    best_change = float(change[k]) + part
    if max(change[0], change[-1]) > best_change:
        return curve._replace(note="the maximum is at an edge")
    # at the root the slope vanishes, so that its shift does not enter the height
    shift = ladder.error_of(ladder.basis(best)) / abs(float(ladder.spline(best, 1)))
    best_error = ladder.error_of(gradients[k] + response)
    return curve._replace(log_best=best, log_best_error=shift, best_change=best_change, best_error=best_error)


def along(rows: pd.DataFrame, chi: Array) -> Array:
    """Return ``ln p(y)`` of one source and seed at any scales, relative to the lowest in the table, (n,).

    Between the scales of the table by the same interpolation as `integrate`; what its integral and the table's
    ``log_evidence_change`` differ by is spread evenly over the interval. NaN if values are missing, if there is one
    scale only, or if that difference is above 0.5 + 1 % somewhere: the scales are then too far apart to say what is
    between them.

    Args:
        rows: Rows of the table `evidence`.
        chi: Scales within those of the rows, (n,).
    """
    at = rows.sort_values("chi")
    n, log_chi, half = len(at), np.log(at["chi"].to_numpy()), _labels(at) / 2
    slope, bend, change = (at[name].to_numpy() for name in ("slope", "bend", "log_evidence_change"))
    missing = np.full(len(chi), np.nan)
    if n == 1 or not (np.all(slope < half) and np.isfinite([bend, change]).all()):
        return missing
    dense = np.interp(np.linspace(0, n - 1, 100 * (n - 1) + 1), np.arange(n), log_chi)
    integral = CubicSpline(dense, half - np.exp(_log_u(log_chi, half - slope, bend)(dense))).antiderivative()
    off = change - integral(log_chi)
    if np.any(np.abs(np.diff(off)) > 0.5 + 0.01 * np.abs(np.diff(change))):
        return missing
    target = np.clip(np.log(chi), log_chi[0], log_chi[-1])
    return np.asarray(integral(target) + np.interp(target, log_chi, off))


def evidence_tables(theory: pd.DataFrame, langevin: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables `evidence` and `evidence_maximum` (docs/formats.md) from the tables `theory` and `langevin`.

    A source is a level that has a log evidence, or langevin. ``log_evidence`` is absolute and theory's alone;
    ``log_evidence_change`` is relative to the lowest scale of the source: for a level the difference of its log
    evidences, for langevin the integral of the measured slope. ``difference_from_exact`` is ``log_evidence`` less that
    of the exact level, NaN where there is none. Rows are sorted by experiment, seed and number of samples, levels
    first.
    """
    places = [*_RUN, "chi"]
    truth = theory.loc[theory["level"] == EXACT.name, [*places, "log_evidence"]]
    truth = truth.rename(columns={"log_evidence": _DIFFERENCE})
    theory = theory.assign(source=theory["level"], evidence_slope_error=theory["evidence_slope_mc_error"])
    theory = theory.assign(evidence_bend_error=0.0, evidence_error_correlation=0.0)
    both = pd.concat([theory, langevin.assign(source="langevin")] if len(langevin) else [theory])
    rows, maxima = [], []
    for place, group in both.sort_values(_RUN, kind="stable").groupby([*_RUN, "source"], sort=False):
        at, source = group.sort_values("chi"), place[-1]
        experiment, seed, _, _ = place
        absolute, sampled = at["log_evidence"].to_numpy(), at["log_evidence_mc_error"].to_numpy()
        if source != "langevin" and not np.isfinite(absolute).any():
            continue  # as of the tree level
        chi, n_labels = at["chi"].to_numpy(), _labels(at)
        slope, bend, slope_error, *others = (at[f"evidence_{name}"].to_numpy() for name in _MEASURED)
        # a level that this code does not have was written by another version: taken as it is
        derivative = source not in LEVELS or LEVELS[source].derivative
        if not derivative and len(at) > 1 and np.all(slope < n_labels / 2):
            # its covariance is not the response of its mean: the bend is taken from the slopes of the ladder
            log_chi, u = np.log(chi), n_labels / 2 - slope
            bend = -u * PchipInterpolator(log_chi, np.log(u))(log_chi, 1)
        curve = integrate(chi, n_labels, slope, bend, slope_error, *others)
        change, error = curve.change, curve.error
        if source != "langevin":
            change, error = absolute - absolute[0], np.hypot(sampled, sampled[0])
            error[0] = 0.0
        found = dict(zip(_ALONG, (absolute, change, error, slope, slope_error, bend), strict=True))
        several = [_OUTPUTS] if _OUTPUTS in at else []
        where = at[[*_KEYS, "chi", "gamma", "n_train", *several, "source"]].merge(truth, how="left", on=places)
        found[_DIFFERENCE] = absolute - where[_DIFFERENCE].to_numpy()
        rows.append(where.assign(**found)[[*EVIDENCE, *several]])
        best = float(np.exp(curve.log_best))
        rest = curve.best_change, curve.best_error, curve.note, int(at["n_train"].iloc[0])
        maxima.append((experiment, seed, source, best, best * curve.log_best_error, *rest))
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=EVIDENCE)
    return {"evidence": table, "evidence_maximum": pd.DataFrame(maxima, columns=MAXIMUM)}
