"""A map of the theory over two parameters: discrepancy, gain, preferred scale, and the errors of the levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from msat import levels
from msat.figures import Declaration, style
from msat.types import Array

if TYPE_CHECKING:
    from matplotlib.colors import Normalize

NEEDS = Declaration("named_map", ("phase_map",))
_LABELS = {
    "chi": r"scale $\chi$",
    "gamma": r"exponent $\gamma$ of $\chi = N^\gamma$",
    "width": "width N",
    "n_train": "samples P",
    "kappa_0": r"label noise $\kappa_0$",
    "g_w": r"readout prior $g_w$",
    "g_v": r"first-layer prior $g_v$",
}
_COLUMNS = 3
_SEQUENTIAL, _DIVERGING = "viridis", "RdBu_r"
_SMALLEST = 0.1  # per cent: smaller errors are drawn in proportion, larger ones by their logarithm
_MOST_TICKS = 6


def draw(phase_map: style.Table) -> style.Figure:
    """Return the figure. Its axes are the first two columns of the table.

    Above: train discrepancy, gain of the hidden kernel and preferred scale of the exact level, else of Laplace, else
    of the first there is; where the scale is an axis its preferred value is a line in the first two, and in the third
    that of every level against the other axis. Below: relative error of the train discrepancy of the other levels, if
    there is an exact one. Hatched: no value. Crosses: a downward and an upward anneal differ.
    """
    x, y = (str(name) for name in phase_map.columns[:2])
    ordered = levels.ordered(phase_map["level"].unique())
    shown = levels.reference(level.name for level in ordered) or ordered[0]
    others = [level for level in ordered if shown.exact and level != shown]
    rows = 1 + -(-len(others) // _COLUMNS)
    figure, grid = style.subplots(rows, _COLUMNS, 2.15 * rows + 0.35)
    of = {level: phase_map[phase_map["level"] == level.name] for level in ordered}
    grids = [
        _level_map(figure, axes, of[shown], column, label)
        for axes, column, label in (
            (grid[0, 0], "train_discrepancy", "train discrepancy"),
            (grid[0, 1], "hidden_kernel_gain", "gain of the hidden kernel"),
        )
    ]
    if {x, y} & {"chi", "gamma"}:
        _preferred_line(grid[0, :2], of[shown])
        _preferred_curves(grid[0, 2], of)
    else:
        grids.append(_level_map(figure, grid[0, 2], of[shown], "chi_star", r"preferred scale $\chi^*$"))
    for axes in grid[0, : len(grids)]:
        axes.set_title(style.label(shown))
    grids += _errors(figure, grid[1:].flat, {level: of[level] for level in others})
    for axes in grid[1:].flat[len(others) :]:
        axes.axis("off")
    style.finished(figure, grid)
    _explain(figure, grid[0, 2], np.any([np.isnan(values).any() for values in grids]), phase_map["transition"].any())
    return figure


def _level_map(figure: style.Figure, axes: style.Axes, rows: style.Table, column: str, label: str) -> Array:
    """Draw a column that has no negative values as a map with its colour bar, and return its values."""
    from matplotlib.colors import LogNorm, Normalize

    found = rows[column].to_numpy()
    found = found[np.isfinite(found)]
    low, high = (found.min(), found.max()) if len(found) else (1.0, 1.0)
    logarithmic = 0 < low and high > 3 * low
    norm = LogNorm(low, high) if logarithmic else Normalize(low, high if high > low else low + abs(low))
    values, image = _image(axes, rows, column, norm, _SEQUENTIAL)
    bar = figure.colorbar(image, ax=axes, label=label)
    if logarithmic:
        decades = np.log10(high / low)
        fine = (1, 2, 5) if decades < 2 else (1, 3) if decades < 3 else (1,)
        ticks = [m * 10.0**k for k in range(-12, 13) for m in fine if low <= m * 10.0**k <= high]
        style.plain_ticks(bar.ax.yaxis, ticks)
        bar.ax.yaxis.set_minor_locator(_no_ticks())
    return values


def _errors(figure: style.Figure, panels: Any, of: dict[levels.Level, style.Table]) -> list[Array]:
    """Draw the error of each level in a panel of its own, all in the same colours; return their values."""
    from matplotlib.colors import SymLogNorm

    if not of:
        return []
    sizes = [100 * float(rows["relative_error"].abs().max()) for rows in of.values()]
    largest = max([10 * _SMALLEST, *(size for size in sizes if np.isfinite(size))])
    norm = SymLogNorm(_SMALLEST, vmin=-largest, vmax=largest)
    drawn, used = [], []
    for axes, (level, rows) in zip(panels, of.items(), strict=False):
        per_cent = rows.assign(relative_error=100 * rows["relative_error"])
        values, image = _image(axes, per_cent, "relative_error", norm, _DIVERGING)
        axes.set_title(style.label(level))
        drawn.append(values)
        used.append(axes)
    decades = [10.0**k for k in range(-1, 7) if 10.0**k <= largest]
    label = "error of the train\ndiscrepancy (%)"
    for row in {axes.get_subplotspec().rowspan.start: axes for axes in used}.values():
        bar = figure.colorbar(image, ax=row, label=label)
        style.plain_ticks(bar.ax.yaxis, [*(-tick for tick in reversed(decades)), 0.0, *decades])
        bar.ax.yaxis.set_minor_locator(_no_ticks())
    return drawn


def _image(
    axes: style.Axes, rows: style.Table, column: str, norm: Normalize, colors: str
) -> tuple[Array, Any]:
    """Draw one column over the two axes; hatched where it is NaN, crossed where anneals differ."""
    x, y = (str(name) for name in rows.columns[:2])
    table = rows.pivot_table(index=y, columns=x, values=column, dropna=False)
    values = table.to_numpy()
    edges = [_edges(name, index.to_numpy(dtype=np.float64)) for name, index in ((x, table.columns), (y, table.index))]
    axes.patch.set(facecolor="0.93", edgecolor="0.55", hatch="////")
    image = axes.pcolormesh(*edges, np.ma.masked_invalid(values), norm=norm, cmap=colors, rasterized=True)
    marked = rows[rows["transition"]]
    axes.plot(marked[x], marked[y], "x", color="#d62728", markersize=4, markeredgewidth=1)
    for name, axis, index in ((x, axes.xaxis, table.columns), (y, axes.yaxis, table.index)):
        _ticks(axes, name, axis, index.to_numpy(dtype=np.float64))
    return values, image


def _edges(name: str, centres: Array) -> Array:
    """Return the edges of cells, in the middle between centres on the axis, (n + 1,)."""
    at = centres if name == "gamma" else np.log(centres)
    middle = 0.5 * (at[1:] + at[:-1])
    edges = np.concatenate([[2 * at[0] - middle[0]], middle, [2 * at[-1] - middle[-1]]])
    return np.asarray(edges if name == "gamma" else np.exp(edges))


def _ticks(axes: style.Axes, name: str, axis: Any, centres: Array) -> None:
    horizontal = axis is axes.xaxis
    if name != "gamma":
        (axes.set_xscale if horizontal else axes.set_yscale)("log")
    (axes.set_xlabel if horizontal else axes.set_ylabel)(_LABELS[name])
    step = -(-len(centres) // _MOST_TICKS)
    style.plain_ticks(axis, [float(f"{value:.3g}") for value in centres[::step]])
    axis.set_minor_locator(_no_ticks())


def _no_ticks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _preferred_line(panels: Sequence[style.Axes], rows: style.Table) -> None:
    """Draw the preferred scale of the level shown into maps in which the scale is an axis."""
    x, y = (str(name) for name in rows.columns[:2])
    along, other = (x, y) if x in ("chi", "gamma") else (y, x)
    line = rows.drop_duplicates(other).sort_values(other)
    best = line["chi_star"]
    if along == "gamma":
        best = np.log(best) / np.log(line["width"])
    inside = best.where((best >= rows[along].min()) & (best <= rows[along].max()))
    for axes in panels:
        limits = axes.get_xlim(), axes.get_ylim()
        pair = (inside, line[other]) if along == x else (line[other], inside)
        axes.plot(*pair, color="white", linewidth=2.6)
        axes.plot(*pair, color="black", linewidth=1.2, linestyle="--")
        axes.set(xlim=limits[0], ylim=limits[1])


def _preferred_curves(axes: style.Axes, of: dict[levels.Level, style.Table]) -> None:
    """Draw the preferred scale of every level against the axis that is not the scale."""
    for level, rows in of.items():
        x, y = (str(name) for name in rows.columns[:2])
        other = y if x in ("chi", "gamma") else x
        line = rows.drop_duplicates(other).sort_values(other)
        axes.plot(line[other], line["chi_star"], marker=level.marker, markersize=2.5, **style.look(level))
    _ticks(axes, other, axes.xaxis, line[other].to_numpy(dtype=np.float64))
    axes.set_yscale("log")
    axes.set_ylabel(r"preferred scale $\chi^*$")
    axes.set_title(r"$\partial \ln p / \partial \ln\chi = 0$")


def _explain(figure: style.Figure, curves: style.Axes, hatched: bool, crossed: bool) -> None:
    """Add the legend: levels of the curves, and what hatches, crosses and the broken line are."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles, labels = curves.get_legend_handles_labels()
    if handles:
        handles.append(Line2D([], [], color="black", linewidth=1.2, linestyle="--"))
        labels.append(r"$\chi^*$ in the maps")
    if hatched:
        handles.append(Patch(facecolor="0.93", edgecolor="0.55", hatch="////"))
        labels.append("no value (no solution, or not reached)")
    if crossed:
        handles.append(Line2D([], [], color="#d62728", marker="x", linestyle="", markersize=4))
        labels.append("anneals differ")
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 5))
