"""What of the teacher is learned: Hermite components of the mean test outputs against scale."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from msat.figures import style

_SHOWN = {1: r"linear component, $\mathrm{He}_1$", 3: r"cubic component, $\mathrm{He}_3$"}


def draw(components: pd.DataFrame) -> Figure:
    """Return the figure: linear and cubic component along the teacher, theory as lines, Langevin as points.

    Lines are means over seeds, bands the range over seeds, points single seeds with error bars of two standard
    errors; the dashed line is the teacher.
    """
    sources = [level for level in style.LEVEL_STYLE if level in set(components["source"])]
    figure, grid = plt.subplots(1, 2, figsize=(style.WIDTH, 2.9))
    for column, (degree, label) in enumerate(_SHOWN.items()):
        axes = grid[column]
        rows = components[components["degree"] == degree]
        for level in sources:
            by_chi = rows[rows["source"] == level].groupby("chi")["strength"]
            color, line = style.LEVEL_STYLE[level]
            mean = style.over_seeds(by_chi)
            axes.plot(mean.index, mean, color=color, linestyle=line, label=style.LEVEL_LABEL[level], zorder=2)
            axes.fill_between(mean.index, by_chi.min(), by_chi.max(), color=color, alpha=0.1, linewidth=0)
        measured = rows[rows["source"] == "langevin"]
        style.langevin_points(axes, measured["chi"], measured["strength"], measured["error"])
        teacher = float(rows["teacher"].mean())
        axes.axhline(teacher, color="0.4", linestyle="--", linewidth=0.8, label="teacher", zorder=1)
        axes.axhline(0, color="0.8", linewidth=0.6, zorder=0)
        axes.set_ylabel(f"learned {label}")
        style.chi_axis(axes)
        style.panel_label(axes, "ab"[column])
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure
