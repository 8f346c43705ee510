"""How the levels' errors fall with the width, at fixed P and at fixed P/N, with the predicted powers."""

from __future__ import annotations

import numpy as np

from msat import levels
from msat.figures import Declaration, style
from msat.types import Array

NEEDS = Declaration("map", ("finite_width",))


def draw(finite_width: style.Table) -> style.Figure:
    """Return the figure: size of the error of the train discrepancy against width, one row a scale.

    Left at fixed P, right at fixed P/N. Points are means of the size over seeds, bars their range; a line ends
    where its level has no solution for some seed. Grey: predicted powers of N, through the last point.
    """
    gammas = np.sort(finite_width["gamma"].unique())
    figure, grid = style.subplots(len(gammas), 2, 2.5 * len(gammas) + 0.4, sharex=True, sharey=True)
    widths = np.sort(finite_width["width"].unique())
    for line, gamma in zip(grid, gammas, strict=True):
        for axes, regime in zip(line, ("fixed_samples", "fixed_ratio"), strict=True):
            at = finite_width[(finite_width["gamma"] == gamma) & (finite_width["regime"] == regime)]
            _panel(axes, at, widths)
            ratio = (at["n_train"] / at["width"]).median()
            kept = f"P = {at['n_train'].iloc[0]}" if regime == "fixed_samples" else f"P/N = {ratio:.2g}"
            axes.set_title(f"fixed {kept}, {style.scaling(gamma)}")
        line[0].set_ylabel("error of the train\ndiscrepancy (%)")
    for axes in grid[-1]:
        axes.set_xlabel("width N")
    return style.finished(figure, grid, legend=grid[0, 0])


def _panel(axes: style.Axes, at: style.Table, widths: Array) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    powers: list[tuple[float, str]] = []
    for level in levels.ordered(at["level"].unique()):
        rows = at[at["level"] == level.name]
        size = (100 * rows["relative_error"].abs()).groupby(rows["width"])
        mean = style.over_seeds(size)
        bars = np.abs(np.array([mean - size.min(), size.max() - mean]))
        look = style.look(level) | {"marker": level.marker, "markersize": 2.5}
        axes.errorbar(mean.index, mean, bars, elinewidth=0.5, zorder=3, **look)
        power, last = float(rows["predicted_slope"].iloc[0]), float(mean.iloc[-1])
        if not np.isnan(power) and last > 0:
            guide = last * (widths / widths[-1]) ** power
            axes.plot(widths, guide, color="0.6", linewidth=2.5, alpha=0.5, zorder=1)
            powers.append((last, f"$N^{{{power:g}}}$"))
    shown = (0.0, "")
    for height, text in sorted(powers):
        if text != shown[1] or height >= 3 * shown[0]:  # one label for neighbouring guides of the same power
            shown, end = (height, text), (float(widths[-1]), height)
            axes.annotate(text, end, (4, 0), "data", "offset points", va="center", fontsize=7, color="0.35")
    axes.set_xlim(widths[0] / 1.1, widths[-1] * 1.45)
    style.plain_ticks(axes.xaxis, widths if len(widths) < 6 else widths[::2])
