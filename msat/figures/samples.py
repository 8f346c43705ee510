"""Theory against measurement, sample by sample."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from msat.figures import style

_MARKERS = {"nngp": "x", "laplace": "o"}


def draw(samples: pd.DataFrame) -> Figure:
    """Return the figure: predicted against measured mean outputs at the lowest, middle and highest scale.

    One seed (the first); rows are training and test samples. Points on the diagonal agree. The numbers are
    the root mean square differences of each level shown.
    """
    seed = samples["seed"].min()
    rows = samples[samples["seed"] == seed]
    scales = np.sort(rows["chi"].unique())
    shown = scales[np.unique([0, len(scales) // 2, len(scales) - 1])]
    levels = [level for level in _MARKERS if level in rows and rows[level].notna().any()]
    figure, grid = plt.subplots(
        2, len(shown), figsize=(style.WIDTH, 4.6), squeeze=False, sharex="row", sharey="row"
    )
    for line, part in enumerate(("train", "test")):
        for column, chi in enumerate(shown):
            axes = grid[line, column]
            at = rows[(rows["part"] == part) & (rows["chi"] == chi)]
            if at.empty:
                axes.set_axis_off()
                continue
            values = at[[*levels, "langevin"]].to_numpy()
            low, high = float(np.nanmin(values)), float(np.nanmax(values))
            axes.plot([low, high], [low, high], color="0.6", linewidth=0.6, zorder=0)
            notes = []
            for level in levels:
                color, _ = style.LEVEL_STYLE[level]
                face = {} if _MARKERS[level] == "x" else {"markerfacecolor": "none"}
                axes.errorbar(
                    at[level],
                    at["langevin"],
                    2 * at["langevin_error"],
                    fmt=_MARKERS[level],
                    color=color,
                    elinewidth=0.5,
                    markeredgewidth=0.6,
                    alpha=1.0 if part == "train" else 0.5,
                    markersize=3 if part == "train" else 2,
                    label=style.LEVEL_LABEL[level],
                    **face,
                )
                rms = float(np.sqrt(np.mean((at[level] - at["langevin"]) ** 2)))
                notes.append(f"{style.LEVEL_LABEL[level]} rms {rms:.2g}")
            axes.text(0.03, 0.97, "\n".join(notes), transform=axes.transAxes, va="top", fontsize=6.5)
            axes.set_title(rf"{part}, $\chi = {chi:g}$")
            style.panel_label(axes, "abcdef"[line * len(shown) + column])
            if line == 1:
                axes.set_xlabel(r"predicted $\langle f\rangle$")
            if column == 0:
                axes.set_ylabel(r"Langevin $\langle f\rangle$")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure
