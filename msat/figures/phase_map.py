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
_COLUMNS = {  # of the maps above
    "train_discrepancy": "train discrepancy",
    "hidden_kernel_gain": "gain of the hidden kernel",
    "chi_star": r"preferred scale $\chi^*$",
}
_SEQUENTIAL, _DIVERGING = "viridis", "RdBu_r"
_SMALLEST = 0.1  # per cent: smaller errors are drawn in proportion, larger ones by their logarithm
_HATCHED: Any = {"facecolor": "0.93", "edgecolor": "0.55", "hatch": "////"}  # no value
_MOST_TICKS = 4, 6  # along the horizontal and the vertical axis


def draw(phase_map: style.Table) -> style.Figure:
    """Return the figure. Its axes are the first two columns of the table.

    Above: train discrepancy, gain of the hidden kernel and preferred scale of the exact level, else of Laplace, else
    of the first there is; where the scale is an axis its preferred value is a line in the first two, and in the third
    that of every level against the other axis. Below: relative error of the train discrepancy of the other levels, if
    there is an exact one. Hatched: no value. Crosses: a downward and an upward anneal differ.
    """
    ordered = levels.ordered(phase_map["level"].unique())
    shown = levels.reference(level.name for level in ordered) or ordered[0]
    of = {level: phase_map[phase_map["level"] == level.name] for level in ordered}
    others = {level: rows for level, rows in of.items() if shown.exact and level != shown}
    figure, above, below = _panels(len(others))
    drawn = [
        _level_map(figure, axes, of[shown], column, label)
        for axes, column, label in zip(above, _COLUMNS, _COLUMNS.values(), strict=False)
        if column != "chi_star" or not _scale_axis(phase_map)
    ]
    for axes in above[: len(drawn)]:  # the curves have a legend
        axes.set_title(style.label(shown))
    if _scale_axis(phase_map):
        _preferred_line(above[:2], of[shown])
        drawn.append(_preferred_curves(above[2], of, shown))
    drawn += _errors(figure, below, others)
    style.finished(figure, np.array([*above, *below]))
    hatched = any(bool(np.isnan(values).any()) for values in drawn)
    _explain(figure, above[2], hatched, bool(phase_map["transition"].any()))
    return figure


def _panels(errors: int) -> tuple[style.Figure, list[style.Axes], list[style.Axes]]:
    """Return the figure, its three panels above, and below one for each level's error, with one vertical axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(style.WIDTH, 4.5 if errors else 2.6))
    rows = figure.add_gridspec(2 if errors else 1, 1)
    above: Any = rows[0].subgridspec(1, len(_COLUMNS)).subplots()
    below: Any = rows[1].subgridspec(1, errors).subplots(sharey=True, squeeze=False).flat if errors else ()
    return figure, list(above), list(below)


def _scale_axis(rows: style.Table) -> str:
    """Return which of the axes is the scale; empty if none."""
    return next((str(name) for name in rows.columns[:2] if name in ("chi", "gamma")), "")


def _level_map(figure: style.Figure, axes: style.Axes, rows: style.Table, column: str, label: str) -> Array:
    """Draw a column that has no negative values as a map with its colour bar, and return its values."""
    from matplotlib.colors import LogNorm, Normalize

    found = rows[column].to_numpy()
    found = found[np.isfinite(found)]
    low, high = (found.min(), found.max()) if len(found) else (1.0, 1.0)
    logarithmic = low > 0 and high > 3 * low
    norm = LogNorm(low, high) if logarithmic else Normalize(low, high if high > low else low + abs(low))
    values, image = _image(axes, rows, column, norm, _SEQUENTIAL)
    bar = figure.colorbar(image, ax=axes, label=label)
    if logarithmic:
        style.plain_ticks(bar.ax.yaxis, _round_numbers(low, high))
        bar.ax.yaxis.set_minor_locator(_no_ticks())
    return values


def _errors(figure: style.Figure, panels: list[style.Axes], of: dict[levels.Level, style.Table]) -> list[Array]:
    """Draw the error of each level in a panel of its own, all in the same colours; return their values."""
    from matplotlib.colors import SymLogNorm

    if not of:
        return []
    sizes = [100 * float(rows["relative_error"].abs().max()) for rows in of.values()]
    largest = max([10 * _SMALLEST, *(size for size in sizes if np.isfinite(size))])
    norm = SymLogNorm(_SMALLEST, vmin=-largest, vmax=largest)
    drawn = []
    for axes, (level, rows) in zip(panels, of.items(), strict=True):
        per_cent = rows.assign(relative_error=100 * rows["relative_error"])
        values, image = _image(axes, per_cent, "relative_error", norm, _DIVERGING)
        axes.set_title(style.label(level))
        axes.label_outer()
        drawn.append(values)
    decades = [10.0**k for k in range(-1, 7) if 10.0**k <= largest]
    bar = figure.colorbar(image, ax=panels, label="error of the train\ndiscrepancy (%)", aspect=15)
    style.plain_ticks(bar.ax.yaxis, [*(-tick for tick in reversed(decades)), 0.0, *decades])
    bar.ax.yaxis.set_minor_locator(_no_ticks())
    return drawn


def _image(axes: style.Axes, rows: style.Table, column: str, norm: Normalize, colors: str) -> tuple[Array, Any]:
    """Draw one column over the two axes; hatched where it is NaN, crossed where anneals differ."""
    x, y = (str(name) for name in rows.columns[:2])
    table = rows.pivot_table(index=y, columns=x, values=column, dropna=False)
    values = table.to_numpy()
    edges = [_edges(name, index.to_numpy(dtype=np.float64)) for name, index in ((x, table.columns), (y, table.index))]
    axes.patch.set(**_HATCHED)
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
    step = -(-len(centres) // _MOST_TICKS[0 if horizontal else 1])
    style.plain_ticks(axis, [float(f"{value:.3g}") for value in centres[::step]])
    axis.set_minor_locator(_no_ticks())


def _round_numbers(low: float, high: float) -> list[float]:
    """Return round numbers in a range, more of them where it is short."""
    from matplotlib.ticker import MaxNLocator

    decades = np.log10(high / low)
    fine = (1, 1.5, 2, 3, 4, 5, 6, 8) if decades < 1 else (1, 2, 5) if decades < 2 else (1, 3) if decades < 3 else (1,)
    found = [m * 10.0**k for k in range(-12, 13) for m in fine if low <= m * 10.0**k <= high]
    return found if len(found) > 1 else [float(tick) for tick in MaxNLocator(4).tick_values(low, high)]


def _no_ticks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _preferred_line(panels: Sequence[style.Axes], rows: style.Table) -> None:
    """Draw the preferred scale of the level shown into maps in which the scale is an axis."""
    x, y = (str(name) for name in rows.columns[:2])
    along = _scale_axis(rows)
    other = y if along == x else x
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


def _preferred_curves(axes: style.Axes, of: dict[levels.Level, style.Table], shown: levels.Level) -> Array:
    """Draw the preferred scale of every level against the axis that is not the scale, and return that of one.

    Hatched where that level has none.
    """
    x, y = (str(name) for name in of[shown].columns[:2])
    other = y if _scale_axis(of[shown]) == x else x
    lines = {level: rows.drop_duplicates(other).sort_values(other) for level, rows in of.items()}
    for level, line in lines.items():
        axes.plot(line[other], line["chi_star"], marker=level.marker, markersize=2.5, **style.look(level))
    centres, best = lines[shown][other].to_numpy(dtype=np.float64), lines[shown]["chi_star"].to_numpy()
    edges = _edges(other, centres)
    for index in np.flatnonzero(np.isnan(best)):
        axes.axvspan(edges[index], edges[index + 1], **_HATCHED, linewidth=0)
    _ticks(axes, other, axes.xaxis, centres)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    style.plain_ticks(axes.yaxis, _round_numbers(low, high))
    axes.yaxis.set_minor_locator(_no_ticks())
    axes.set_ylabel(_COLUMNS["chi_star"])
    return np.asarray(best)


def _explain(figure: style.Figure, curves: style.Axes, hatched: bool, crossed: bool) -> None:
    """Add the legend: levels of the curves, and what hatches, crosses and the broken line are."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles, labels = curves.get_legend_handles_labels()
    if handles:
        handles.append(Line2D([], [], color="black", linewidth=1.2, linestyle="--"))
        labels.append(r"$\chi^*$ in the maps")
    if hatched:
        handles.append(Patch(**_HATCHED))
        labels.append("no value (no solution, or not reached)")
    if crossed:
        handles.append(Line2D([], [], color="#d62728", marker="x", linestyle="", markersize=4))
        labels.append("anneals differ")
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 5))
