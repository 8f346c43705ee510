"""Feature learning against scale: what becomes of the hidden kernel and of the first layer's weights."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from msat.figures import style

_SHOWN = {
    "hidden_kernel_gain": "gain along the target\n"
    + r"$\mathbf{y}\cdot H\mathbf{y}\,/\,\mathbf{y}\cdot K\mathbf{y}$",
    "hidden_kernel_alignment": "centred alignment\n" + r"of $H$ with $\mathbf{y}\mathbf{y}^\top$",
    "weight_alignment": "weight along $\\mathbf{u}$\n" + r"$\langle(\mathbf{V}_i\cdot\mathbf{u})^2\rangle\,D/g_v$",
    "hidden_kernel_outlier": "largest eigenvalue\nof $H$",
    "hidden_kernel_bulk": "mean of the other\neigenvalues of $H$",
    "hidden_kernel_effective_rank": "effective rank\n" + r"$(\mathrm{tr}\,H)^2/\mathrm{tr}\,H^2$",
}


def draw(theory: pd.DataFrame, langevin: pd.DataFrame) -> Figure:
    """Return the figure: observables of the hidden kernel and the weights, theory as lines, Langevin as points.

    Lines are means over seeds, bands the range over seeds, points single seeds with error bars of two standard
    errors. A level that does not give an observable has no line.
    """
    levels = [level for level in style.LEVEL_STYLE if level in set(theory["level"])]
    figure, grid = plt.subplots(2, 3, figsize=(style.WIDTH, 4.2), sharex=True)
    for position, (quantity, label) in enumerate(_SHOWN.items()):
        axes = grid.flat[position]
        for level in levels:
            style.level_line(axes, level, theory[theory["level"] == level].groupby("chi")[quantity], alpha=0.08)
        style.langevin_points(axes, langevin["chi"], langevin[quantity], langevin[f"{quantity}_error"])
        axes.set_ylabel(label)
        if quantity == "hidden_kernel_bulk":
            axes.yaxis.set_major_locator(MaxNLocator(5))
        else:
            axes.set_ylim(bottom=0)
        axes.ticklabel_format(axis="y", useOffset=False)
        style.chi_axis(axes)
        if position < 3:
            axes.set_xlabel("")
        style.panel_label(axes, "abcdef"[position])
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure
