"""Train and test discrepancy against scale: theory as lines, Langevin as points."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from msat.figures import style

_LINEAR = 1.0  # per cent: linear below, logarithmic above, so that 0.1 and 300 per cent are both seen
_PARTS = {
    "train": r"$\mathbf{y}\cdot(\mathbf{y}-\langle\mathbf{f}\rangle)/P$",
    "test": r"$\mathbf{y}_*\cdot(\mathbf{y}_*-\langle\mathbf{f}_*\rangle)/Q$",
}


def draw(theory: pd.DataFrame, langevin: pd.DataFrame) -> Figure:
    """Return the figure: discrepancies above, relative deviations from the reference below.

    The reference is `exact` where there is one, else the Langevin measurement. Lines are means over seeds,
    bands the range over seeds (each seed is a data set of its own), points single seeds with error bars of
    two standard errors.
    """
    levels = [level for level in style.LEVEL_STYLE if level in set(theory["level"])]
    figure, grid = plt.subplots(2, 2, figsize=(style.WIDTH, 4.4), sharex=True, height_ratios=(3, 2), squeeze=True)
    for column, (part, symbol) in enumerate(_PARTS.items()):
        quantity = f"{part}_discrepancy"
        above, below = grid[0, column], grid[1, column]
        _absolute(above, theory, langevin, levels, quantity)
        _relative(below, theory, langevin, levels, quantity)
        above.set_ylabel(f"{part} discrepancy\n{symbol}")
        above.set_ylim(bottom=0)
        style.chi_axis(below)
        style.panel_label(above, "ab"[column])
        style.panel_label(below, "cd"[column])
    reference = "exact" if "exact" in levels else "Langevin"
    grid[1, 0].set_ylabel(f"deviation from {reference} (%)")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _absolute(axes: Axes, theory: pd.DataFrame, langevin: pd.DataFrame, levels: list[str], quantity: str) -> None:
    for level in levels:
        by_chi = theory[theory["level"] == level].groupby("chi")[quantity]
        color, line = style.LEVEL_STYLE[level]
        mean = style.over_seeds(by_chi)
        axes.plot(mean.index, mean, color=color, linestyle=line, label=style.LEVEL_LABEL[level], zorder=3)
        axes.fill_between(mean.index, by_chi.min(), by_chi.max(), color=color, alpha=0.08, linewidth=0)
    style.langevin_points(axes, langevin["chi"], langevin[quantity], langevin[f"{quantity}_error"])


def _relative(axes: Axes, theory: pd.DataFrame, langevin: pd.DataFrame, levels: list[str], quantity: str) -> None:
    """Draw per cent deviations, seed by seed, so that the spread of the data sets drops out."""
    keys = ["seed", "chi"]
    exact = theory[theory["level"] == "exact"].set_index(keys)[quantity]
    measured = langevin.set_index(keys)[quantity]
    reference = exact if len(exact) else measured
    axes.axhline(0, color="0.6", linewidth=0.6, zorder=0)
    lowest, highest = -10.0, 10.0
    for level in levels:
        values = theory[theory["level"] == level].set_index(keys)[quantity]
        by_chi = (100 * (values / reference - 1)).groupby("chi")
        mean = style.over_seeds(by_chi)
        lowest, highest = min(lowest, by_chi.min().min()), max(highest, by_chi.max().max())
        color, line = style.LEVEL_STYLE[level]
        axes.plot(mean.index, mean, color=color, linestyle=line, zorder=2)
        axes.fill_between(mean.index, by_chi.min(), by_chi.max(), color=color, alpha=0.15, linewidth=0)
    deviation = 100 * (measured / reference - 1)
    error = 200 * langevin.set_index(keys)[f"{quantity}_error"] / reference
    style.points_by_seed(axes, deviation, error)
    axes.set_yscale("symlog", linthresh=_LINEAR, linscale=1.0)
    axes.set_ylim(1.3 * lowest, 1.3 * highest)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.axhspan(-_LINEAR, _LINEAR, color="0.95", zorder=-1, linewidth=0)
