"""The log evidence against scale, and the scale that the data prefer."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from msat.figures import style
from msat.tables.evidence import along

Array = NDArray[np.float64]

_LINEAR = 10.0  # the axis is linear below, logarithmic above
_ZOOM = 2.5  # factor of chi on either side of the maximum


def draw(evidence: pd.DataFrame, evidence_maximum: pd.DataFrame) -> Figure:
    """Return the figure: change of the log evidence over all scales, near its maximum, and against the reference.

    The reference is `exact`, `laplace` or what there is, in this order. In the first and last panel lines are
    means over seeds, bands the range over seeds and points single seeds; the middle panel is the first seed.
    Curves between scales are those of `msat.tables.evidence.along`, straight lines where it has none. Error bars: two
    standard errors.
    """
    sources = [level for level in style.LEVEL_STYLE if level in set(evidence["source"])]
    reference = next((level for level in ("exact", "laplace", *sources) if level in sources), "langevin")
    figure, grid = plt.subplots(1, 3, figsize=(style.WIDTH, 2.7))
    heights = [evidence["log_evidence_change"].to_numpy()]
    for level in sources:
        rows = _of(evidence, level)
        chi, curves = _curves(rows)
        color, line = style.LEVEL_STYLE[level]
        if np.isnan(curves).all():  # the scales are too far apart for a curve
            style.level_line(grid[0], level, rows.groupby("chi")["log_evidence_change"])
            continue
        heights.append(curves.ravel())
        grid[0].plot(
            chi, curves.mean(axis=0), color=color, linestyle=line, label=style.LEVEL_LABEL[level], zorder=2
        )
        grid[0].fill_between(chi, curves.min(axis=0), curves.max(axis=0), color=color, alpha=0.1, linewidth=0)
    measured = _of(evidence, "langevin")
    style.langevin_points(grid[0], measured["chi"], measured["log_evidence_change"], measured["error"])
    grid[0].set_yscale("symlog", linthresh=_LINEAR)
    low, high = (float(bound(np.concatenate(heights))) for bound in (np.nanmin, np.nanmax))
    grid[0].set_ylim(min(1.5 * low, -1), max(1.5 * high, 0.3 * _LINEAR))
    grid[0].axhline(0, color="0.8", linewidth=0.6, zorder=0)
    grid[0].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    grid[0].set_ylabel(r"$\ln p(\mathbf{y})$ relative to the lowest scale")
    style.chi_axis(grid[0])
    _near_maximum(grid[1], evidence, evidence_maximum, sources, reference)
    _differences(grid[2], evidence, sources, reference)
    for letter, axes in zip("abc", grid, strict=True):
        style.panel_label(axes, letter)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _of(table: pd.DataFrame, source: str) -> pd.DataFrame:
    return table[table["source"] == source]


def _curves(rows: pd.DataFrame, low: float | None = None, high: float | None = None) -> tuple[Array, Array]:
    """Return scales (n,) and each seed's log evidence along them, (seeds, n); NaN where a seed lacks a value."""
    points = np.geomspace(low or rows["chi"].min(), high or rows["chi"].max(), 300)
    curves = [
        along(seed, points) if len(seed) > 1 else np.full(len(points), np.nan) for _, seed in rows.groupby("seed")
    ]
    return points, np.array(curves)


def _near_maximum(
    axes: Axes, evidence: pd.DataFrame, maximum: pd.DataFrame, sources: list[str], reference: str
) -> None:
    """Draw the first seed about the maximum of the reference, with the maxima of reference and Langevin marked."""
    seed = evidence["seed"].min()
    at, best = evidence[evidence["seed"] == seed], maximum[maximum["seed"] == seed].set_index("source")
    centre = float(best["chi_best"].get(reference, np.nan))
    chi = np.sort(at["chi"].unique())
    low, high = (
        (chi[0], chi[-1]) if np.isnan(centre) else (max(chi[0], centre / _ZOOM), min(chi[-1], centre * _ZOOM))
    )
    heights = []
    for level in sources:
        points, curves = _curves(_of(at, level), low, high)
        if not np.isfinite(curves).all():
            continue
        color, line = style.LEVEL_STYLE[level]
        axes.plot(points, curves[0], color=color, linestyle=line, zorder=2)
        heights.append(curves[0])
    measured = _of(at, "langevin")
    inside = measured[(measured["chi"] >= 0.99 * low) & (measured["chi"] <= 1.01 * high)]
    style.langevin_points(axes, inside["chi"], inside["log_evidence_change"], inside["error"])
    bottom, top = (float(np.min(heights)), float(np.max(heights))) if heights else (-1.0, 0.0)
    if heights and not np.isnan(centre):  # the lower of the reference's ends may be far below
        bottom = min(min(curve[[0, -1]].max() for curve in heights), top - 1)
    reach = max(top - bottom, 1e-3)
    axes.set_ylim(bottom - 0.6 * reach, top + 0.15 * reach)  # room for the numbers under the arch
    lines = []
    for source in dict.fromkeys((reference, "langevin")):
        if source not in best.index:
            continue
        color = style.LANGEVIN_COLOR if source == "langevin" else style.LEVEL_STYLE[source][0]
        row = best.loc[source]
        name = style.LEVEL_LABEL.get(source, "Langevin")
        if np.isnan(row["chi_best"]):
            lines.append(f"{name}: no maximum inside")
            continue
        axes.axvline(row["chi_best"], color=color, linewidth=0.7, linestyle=":", zorder=1)
        if source == "langevin":
            spread = 2 * row["chi_best_error"]
            axes.axvspan(row["chi_best"] - spread, row["chi_best"] + spread, color=color, alpha=0.25, linewidth=0)
        error, measured_error = float(row["chi_best_error"]), ""
        digits = 3 if not error > 0 else max(0, -int(np.floor(np.log10(error))))
        if error > 0:
            measured_error = rf" \pm {error:.{digits}f}"
        lines.append(rf"{name}: $\chi^* = {row['chi_best']:.{digits}f}{measured_error}$")
    axes.text(
        0.02,
        0.03,
        "\n".join(lines),
        transform=axes.transAxes,
        va="bottom",
        fontsize=6,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        zorder=5,
    )
    axes.set_title(f"seed {seed}")
    axes.set_ylabel(r"$\ln p(\mathbf{y})$, relative")
    style.chi_axis(axes)
    if not np.isnan(centre):
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())


def _differences(axes: Axes, evidence: pd.DataFrame, sources: list[str], reference: str) -> None:
    """Draw each source's change of the evidence less the reference's, seed by seed."""
    keys = ["seed", "chi"]
    base = _of(evidence, reference).set_index(keys)["log_evidence_change"]
    axes.axhline(0, color="0.6", linewidth=0.6, zorder=0)
    for level in sources:
        values = _of(evidence, level).set_index(keys)["log_evidence_change"]
        style.level_line(axes, level, (values - base).groupby("chi"))
    measured = _of(evidence, "langevin").set_index(keys)
    style.points_by_seed(axes, measured["log_evidence_change"] - base, 2 * measured["error"])
    axes.set_yscale("symlog", linthresh=1.0)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylabel(rf"$\ln p(\mathbf{{y}})$ less {style.LEVEL_LABEL.get(reference, 'Langevin')}")
    style.chi_axis(axes)
