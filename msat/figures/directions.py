"""What rescaling misses: the mean, and the output variance along the target and orthogonal to it."""

from __future__ import annotations

import math

from msat import levels
from msat.figures import Declaration, style
from msat.levels import EXACT, LAPLACE, RESCALING

NEEDS = Declaration("experiment", ("theory", "langevin"), (RESCALING.name,))
_ALONG = r"\mathbf{y}\cdot\mathrm{Cov}\,\mathbf{y}/|\mathbf{y}|^2"
_SHOWN = {  # OVER: divided by the number of labels, LABELS
    "train_discrepancy": "train discrepancy\n" r"$\mathbf{y}\cdot(\mathbf{y}-\langle\mathbf{f}\rangle)OVER$",
    "variance_along_target": f"variance along the target\n${_ALONG}$",
    "variance_across_target": "variance across the target\n"
    rf"$(\mathrm{{tr}}\,\mathrm{{Cov}} - {_ALONG})/(LABELS-1)$",
}


def draw(theory: style.Table, langevin: style.Table) -> style.Figure:
    """Return the figure: train discrepancy, variance along and across the target; deviations in per cent below.

    Deviations are from `levels.reference` or, without one, the measurement, seed by seed, on one common axis
    whose shaded band is one per cent. The number is rescaling's deviation at the scale nearest 10.
    """
    rows = style.sources(theory, langevin)
    rows = {level: rows[level] for level in (RESCALING, LAPLACE, EXACT, None) if level in rows}
    reference, labels = levels.reference(theory["level"]), style.number_of_labels(theory)
    figure, grid = style.subplots(2, 3, 4.0, sharex=True, sharey="row", height_ratios=(3, 2))
    for (above, below), (quantity, label) in zip(grid.T, _SHOWN.items(), strict=True):
        style.against_scale(above, rows, quantity)
        above.set_title(label.replace("OVER", style.over(labels)).replace("LABELS", labels))
        above.set_yscale("log")
        below.axhspan(-1, 1, color="0.93", zorder=-1, linewidth=0)
        mean = style.deviations(below, rows, reference, quantity)[RESCALING].groupby("chi").mean()
        chi = min(mean.index, key=lambda value: abs(math.log(value / 10)))
        text = rf"{style.label(RESCALING)} at $\chi = {chi:g}$: ${mean[chi]:+.2g}$ %"
        color = style.color(RESCALING)
        below.annotate(text, (0.5, 0.04), xycoords="axes fraction", ha="center", fontsize=6.5, color=color)
        style.chi_axis(below)
    style.finished(figure, grid, legend=grid[0, 0])
    low, high = grid[0, 0].get_ylim()
    for above in grid[0]:
        # a letter beside a title of two lines would run into it
        above.set_title(above.get_title(loc="left"), loc="left", fontweight="bold", x=-0.14)
        if high > 10 * low:  # powers of ten are enough
            above.yaxis.set_minor_formatter("")
    low, high = grid[1, 0].get_ylim()
    grid[1, 0].set_ylim(low - 0.2 * (high - low), high)  # room for the numbers
    grid[0, 0].set_ylabel("value")
    grid[1, 0].set_ylabel(f"deviation from {style.label(reference)} (%)")
    return figure
