"""Where the self-consistent one_loop exists, and how far it and the other levels are from the exact solution."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter

from msat.figures import style

_MARKERS = ("o", "s", "^", "D", "v", "P")


def draw(loop_map: pd.DataFrame) -> Figure:
    """Return the figure: loop strength reached over width and samples; errors of the levels against N/P.

    One column a scale. Above: 1 where one_loop exists, else the loop strength at which its root ends. Below: size
    of the relative error of the train discrepancy; one_loop only where it exists.
    """
    gammas = np.sort(loop_map["gamma"].unique())
    figure, grid = plt.subplots(
        2, len(gammas), figsize=(style.WIDTH, 4.4), squeeze=False, sharey="row", height_ratios=(2, 3)
    )
    samples = np.sort(loop_map["n_train"].unique())
    for column, gamma in enumerate(gammas):
        at = loop_map[loop_map["gamma"] == gamma]
        strength = at[at["level"] == "one_loop"].pivot_table(
            index="n_train", columns="width", values="loop_strength"
        )
        above, below = grid[0, column], grid[1, column]
        image = above.imshow(strength.to_numpy(), cmap="cividis", vmin=0, vmax=1, origin="lower", aspect="auto")
        for (y, x), value in np.ndenumerate(strength.to_numpy()):
            shade = "black" if value > 0.6 else "white"
            text = "1" if value >= 1 else f"{np.floor(100 * value) / 100:.2f}".removeprefix("0")
            above.text(x, y, text, ha="center", va="center", fontsize=5.5, color=shade)
        above.set_xticks(range(strength.shape[1]), [str(width) for width in strength.columns], rotation=90)
        above.set_yticks(range(strength.shape[0]), [str(count) for count in strength.index])
        above.set_xlabel("width N")
        above.set_title({0.0: r"$\chi = 1$", 1.0: r"$\chi = N$"}.get(float(gamma), rf"$\chi = N^{{{gamma:g}}}$"))
        for level in ("tree_level", "one_loop", "laplace"):
            color, line = style.LEVEL_STYLE[level]
            for count, marker in zip(samples, _MARKERS, strict=False):
                rows = at[(at["level"] == level) & (at["n_train"] == count)].sort_values("width")
                below.plot(
                    rows["width"] / count,
                    100 * rows["relative_error"].abs(),
                    color=color,
                    linestyle=line,
                    marker=marker,
                    markersize=2.5,
                    linewidth=0.9,
                    label=style.LEVEL_LABEL[level] if count == samples[0] else None,
                )
        below.set_xscale("log")
        below.xaxis.set_major_locator(FixedLocator([0.1, 0.3, 1, 3, 10]))
        below.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        below.xaxis.set_minor_formatter(NullFormatter())
        below.set_yscale("log")
        below.set_xlabel("width over samples, N/P")
        style.panel_label(above, "abcdef"[column])
        style.panel_label(below, "abcdef"[len(gammas) + column])
    grid[0, 0].set_ylabel("samples P")
    grid[1, 0].set_ylabel("error of the train\ndiscrepancy (%)")
    figure.colorbar(image, ax=grid[0, :], label="loop strength reached", fraction=0.03, pad=0.01)
    handles, labels = grid[1, 0].get_legend_handles_labels()
    markers = [
        Line2D([], [], color="0.3", marker=marker, linestyle="none", markersize=3)
        for marker in _MARKERS[: len(samples)]
    ]
    figure.legend(
        [*handles, *markers],
        [*labels, *(f"P = {count}" for count in samples)],
        loc="outside lower center",
        ncols=6,
    )
    return figure
