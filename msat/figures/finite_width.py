"""How the levels' errors fall with the width, at fixed P and at fixed P/N, with the predicted powers."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter

from msat.figures import style

_MARKERS = {"nngp": "x", "rescaling": "s", "tree_level": "^", "one_loop": "D", "laplace": "o"}


def draw(finite_width: pd.DataFrame) -> Figure:
    """Return the figure: size of the error of the train discrepancy against width, one row a scale.

    Left at fixed P, right at fixed P/N. Points are means of the size over seeds, bars their range; a line ends
    where its level has no solution for some seed. Grey: predicted powers of N, through the last point.
    """
    gammas = np.sort(finite_width["gamma"].unique())
    figure, grid = plt.subplots(
        len(gammas),
        2,
        figsize=(style.WIDTH, 2.5 * len(gammas) + 0.4),
        squeeze=False,
        sharex=True,
        sharey=True,
    )
    widths = np.sort(finite_width["width"].unique())
    for row, gamma in enumerate(gammas):
        for column, regime in enumerate(("fixed_samples", "fixed_ratio")):
            axes = grid[row, column]
            at = finite_width[(finite_width["gamma"] == gamma) & (finite_width["regime"] == regime)]
            _panel(axes, at, widths)
            scale = {0.0: r"$\chi = 1$", 1.0: r"$\chi = N$"}.get(float(gamma), rf"$\chi = N^{{{gamma:g}}}$")
            ratio = (at["n_train"] / at["width"]).median()
            kept = f"P = {at['n_train'].iloc[0]}" if regime == "fixed_samples" else f"P/N = {ratio:.2g}"
            axes.set_title(f"fixed {kept}, {scale}")
            style.panel_label(axes, "abcdefghijkl"[2 * row + column])
        grid[row, 0].set_ylabel("error of the train\ndiscrepancy (%)")
    for axes in grid[-1]:
        axes.set_xlabel("width N")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _panel(axes: Axes, at: pd.DataFrame, widths: np.ndarray) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    labelled: list[tuple[float, str]] = []
    for level, rows in at.groupby("level", sort=False):
        color, line = style.LEVEL_STYLE[str(level)]
        size = (100 * rows.set_index("width")["relative_error"].abs()).groupby("width")
        mean = style.over_seeds(size)
        bars = np.abs(np.array([mean - size.min(), size.max() - mean]))
        axes.errorbar(
            mean.index,
            mean,
            bars,
            color=color,
            linestyle=line,
            marker=_MARKERS[str(level)],
            markersize=2.5,
            elinewidth=0.5,
            label=style.LEVEL_LABEL[str(level)],
            zorder=3,
        )
        power, last = float(rows["predicted_slope"].iloc[0]), float(mean.iloc[-1])
        if not np.isnan(power) and last > 0:
            guide = last * (widths / widths[-1]) ** power
            axes.plot(widths, guide, color="0.6", linewidth=2.5, alpha=0.5, zorder=1)
            labelled.append((last, f"$N^{{{power:g}}}$" if power else "$N^0$"))
    # one label for neighbouring guides of the same power
    labelled.sort()
    shown: list[tuple[float, str]] = []
    for height, text in labelled:
        if shown and shown[-1][1] == text and height < 3 * shown[-1][0]:
            continue
        shown.append((height, text))
    for height, text in shown:
        axes.annotate(
            text, (widths[-1], height), (4, 0), textcoords="offset points", va="center", fontsize=7, color="0.35"
        )
    axes.set_xlim(widths[0] / 1.1, widths[-1] * 1.45)
    axes.xaxis.set_major_locator(
        FixedLocator([int(width) for width in (widths if len(widths) < 6 else widths[::2])])
    )
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
