"""Where the self-consistent one_loop exists, and how far it and the other levels are from the exact solution."""

from __future__ import annotations

import numpy as np

from msat.figures import Declaration, style
from msat.levels import LAPLACE, ONE_LOOP, TREE_LEVEL
from msat.types import Array

_LEVELS = (TREE_LEVEL, ONE_LOOP, LAPLACE)
NEEDS = Declaration("map", ("loop_map",), tuple(level.name for level in _LEVELS))
_MARKERS = ("o", "s", "^", "D", "v", "P")


def draw(loop_map: style.Table) -> style.Figure:
    """Return the figure: loop strength reached over width and samples; errors of the levels against N/P.

    One column a scale. Above: 1 where one_loop exists, else the loop strength at which its root ends. Below: size
    of the relative error of the train discrepancy; one_loop only where it exists.
    """
    gammas = np.sort(loop_map["gamma"].unique())
    samples = np.sort(loop_map["n_train"].unique())
    figure, grid = style.subplots(2, len(gammas), 4.4, sharey="row", height_ratios=(2, 3))
    for (above, below), gamma in zip(grid.T, gammas, strict=True):
        at = loop_map[loop_map["gamma"] == gamma]
        image = _strength(above, at[at["level"] == ONE_LOOP.name])
        above.set_title(style.scaling(gamma))
        _errors(below, at, samples)
    grid[0, 0].set_ylabel("samples P")
    grid[1, 0].set_ylabel("error of the train\ndiscrepancy (%)")
    figure.colorbar(image, ax=grid[0, :], label="loop strength reached", fraction=0.03, pad=0.01)
    return style.finished(figure, grid, legend=grid[1, 0])


def _strength(axes: style.Axes, rows: style.Table) -> style.AxesImage:
    """Draw the loop strength reached as an image with numbers and return the image."""
    strength = rows.pivot_table(index="n_train", columns="width", values="loop_strength")
    image = axes.imshow(strength.to_numpy(), cmap="cividis", vmin=0, vmax=1, origin="lower", aspect="auto")
    for (y, x), value in np.ndenumerate(strength.to_numpy()):
        text = "1" if value >= 1 else f"{np.floor(100 * value) / 100:.2f}".removeprefix("0")
        shade = "black" if value > 0.6 else "white"
        axes.text(x, y, text, ha="center", va="center", fontsize=5.5, color=shade)
    axes.set_xticks(range(strength.shape[1]), [str(width) for width in strength.columns], rotation=90)
    axes.set_yticks(range(strength.shape[0]), [str(count) for count in strength.index])
    axes.set_xlabel("width N")
    return image


def _errors(axes: style.Axes, at: style.Table, samples: Array) -> None:
    for level in _LEVELS:
        for count, marker in zip(samples, _MARKERS, strict=False):
            rows = at[(at["level"] == level.name) & (at["n_train"] == count)].sort_values("width")
            look = style.look(level) | {"label": level.label if count == samples[0] else None}
            error = 100 * rows["relative_error"].abs()
            axes.plot(rows["width"] / count, error, marker=marker, markersize=2.5, linewidth=0.9, **look)
    for count, marker in zip(samples, _MARKERS, strict=False):  # for the legend
        axes.plot([], [], marker, color="0.3", markersize=3, label=f"P = {count}")
    axes.set_xscale("log")
    style.plain_ticks(axes.xaxis, [0.1, 0.3, 1, 3, 10])
    axes.set_yscale("log")
    axes.set_xlabel("width over samples, N/P")
