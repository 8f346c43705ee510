"""Theory against measurement, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msat import levels
from msat.figures import Declaration, style
from msat.levels import LAPLACE, NNGP

NEEDS = Declaration("experiment", ("samples",))


def draw(samples: style.Table) -> style.Figure:
    """Return the figure: predicted against measured mean outputs at the lowest, middle and highest scale.

    One seed (the first); rows are training and test samples. Points on the diagonal agree. The numbers are
    the root mean square differences of each level shown: NNGP and Laplace, or what there is without them.
    """
    rows = samples[samples["seed"] == samples["seed"].min()]
    scales = np.sort(rows["chi"].unique())
    chosen = scales[np.unique([0, len(scales) // 2, len(scales) - 1])]
    found = [level for level in levels.ordered(rows.columns) if rows[level.name].notna().any()]
    shown = [level for level in found if level in (NNGP, LAPLACE)] or found
    figure, grid = style.subplots(2, len(chosen), 4.6, sharex="row", sharey="row")
    for part, line in zip(("train", "test"), grid, strict=True):
        for axes, chi in zip(line, chosen, strict=True):
            at = rows[(rows["part"] == part) & (rows["chi"] == chi)]
            if at.empty:
                axes.set_axis_off()
                continue
            _panel(axes, at, shown, part == "train")
            axes.set_title(rf"{part}, $\chi = {chi:g}$")
        line[0].set_ylabel(r"Langevin $\langle f\rangle$")
    for axes in grid[1]:
        axes.set_xlabel(r"predicted $\langle f\rangle$")
    return style.finished(figure, grid, legend=grid[0, 0])


def _panel(axes: style.Axes, at: style.Table, shown: Sequence[levels.Level], train: bool) -> None:
    values = at[[*(level.name for level in shown), "langevin"]].to_numpy()
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    axes.plot([low, high], [low, high], color="0.6", linewidth=0.6, zorder=0)
    notes = []
    for level in shown:
        look = style.look(level) | {"linestyle": "none", "marker": level.marker, "markerfacecolor": "none"}
        look |= {"alpha": 1.0, "markersize": 3} if train else {"alpha": 0.5, "markersize": 2}
        look |= {"elinewidth": 0.5, "markeredgewidth": 0.6}
        axes.errorbar(at[level.name], at["langevin"], 2 * at["langevin_error"], **look)
        rms = float(np.sqrt(np.mean((at[level.name] - at["langevin"]) ** 2)))
        notes.append(f"{level.label} rms {rms:.2g}")
    axes.annotate("\n".join(notes), (0.03, 0.97), xycoords="axes fraction", va="top", fontsize=6.5)
