"""What rescaling misses: the mean, and the output variance along the target and orthogonal to it."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from msat.figures import style

_LEVELS = ("rescaling", "laplace", "exact")
_SHOWN = {
    "train_discrepancy": "train discrepancy\n" + r"$\mathbf{y}\cdot(\mathbf{y}-\langle\mathbf{f}\rangle)/P$",
    "variance_along_target": "variance along the target\n"
    + r"$\mathbf{y}\cdot\mathrm{Cov}\,\mathbf{y}/|\mathbf{y}|^2$",
    "variance_across_target": "variance across the target\n"
    + r"$(\mathrm{tr}\,\mathrm{Cov} - \mathbf{y}\cdot\mathrm{Cov}\,\mathbf{y}/|\mathbf{y}|^2)/(P-1)$",
}


def draw(theory: pd.DataFrame, langevin: pd.DataFrame) -> Figure:
    """Return the figure: train discrepancy, variance along and across the target; deviations in per cent below.

    Deviations are from `exact`, `laplace` or the measurement, whichever comes first, seed by seed, on one common
    axis whose shaded band is one per cent. Lines are means over seeds, bands the range over seeds, points single
    seeds with error bars of two standard errors. The number is rescaling's deviation at the scale nearest 10.
    """
    levels = [level for level in _LEVELS if level in set(theory["level"])]
    reference = next((level for level in ("exact", "laplace") if level in levels), "")
    keys = ["seed", "chi"]
    figure, grid = plt.subplots(2, 3, figsize=(style.WIDTH, 4.0), sharex=True, sharey="row", height_ratios=(3, 2))
    for column, (quantity, label) in enumerate(_SHOWN.items()):
        above, below = grid[0, column], grid[1, column]
        at = theory.set_index(keys)
        measured, error = (langevin.set_index(keys)[name] for name in (quantity, f"{quantity}_error"))
        exact = at[at["level"] == reference][quantity] if reference else measured
        below.axhline(0, color="0.6", linewidth=0.6, zorder=0)
        below.axhspan(-1, 1, color="0.93", zorder=-1, linewidth=0)
        for level in levels:
            values = at[at["level"] == level][quantity]
            style.level_line(above, level, values.groupby("chi"))
            style.level_line(below, level, (100 * (values / exact - 1)).groupby("chi"), alpha=0.15)
        style.langevin_points(above, langevin["chi"], langevin[quantity], langevin[f"{quantity}_error"])
        style.points_by_seed(below, 100 * (measured / exact - 1), 200 * error / exact)
        if "rescaling" in levels:
            _number(below, 100 * (at[at["level"] == "rescaling"][quantity] / exact - 1))
        above.set_title(label)
        above.set_yscale("log")
        style.chi_axis(below)
        style.panel_label(above, "abc"[column])
        style.panel_label(below, "def"[column])
    for above in grid[0]:  # a letter beside a title of two lines would run into it
        above.set_title(above.get_title(loc="left"), loc="left", fontweight="bold", x=-0.14)
    low, high = grid[0, 0].get_ylim()
    if high > 10 * low:  # powers of ten are enough
        for above in grid[0]:
            above.yaxis.set_minor_formatter(NullFormatter())
    low, high = grid[1, 0].get_ylim()
    grid[1, 0].set_ylim(low - 0.2 * (high - low), high)  # room for the numbers
    grid[0, 0].set_ylabel("value")
    grid[1, 0].set_ylabel(f"deviation from {style.LEVEL_LABEL.get(reference, 'Langevin')} (%)")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _number(axes: Axes, deviation: pd.Series) -> None:
    """Write rescaling's deviation, the mean over seeds, at the scale nearest 10."""
    mean = deviation.groupby("chi").mean()
    chi = min((float(value) for value in mean.index), key=lambda value: abs(math.log(value / 10)))
    axes.text(
        0.5,
        0.04,
        rf"rescaling at $\chi = {chi:g}$: ${mean[chi]:+.2g}$ %",
        transform=axes.transAxes,
        ha="center",
        fontsize=6.5,
        color=style.LEVEL_STYLE["rescaling"][0],
    )
