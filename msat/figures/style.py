"""The one style of all figures: sizes, fonts, colours, and what every figure draws in the same way.

Lines of levels are means over seeds, bands the range over seeds, each seed being a data set of its own; points are
Langevin ensembles of single seeds, error bars two standard errors.
"""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from msat.levels import Level, ordered

if TYPE_CHECKING:  # what annotations of figures name too, as style.Axes
    import pandas as pd
    from matplotlib.axes import Axes as Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as Figure
    from matplotlib.image import AxesImage as AxesImage
    from xarray import Dataset as Dataset

    Table = pd.DataFrame
    Series = pd.Series
    Sources = dict[Level | None, Table]  # rows over (seed, chi); None is Langevin

WIDTH = 6.75  # inches: the text width of an ICML page
SETTINGS: Any = {
    **dict.fromkeys(("font.size", "axes.titlesize", "axes.labelsize"), 8),
    **dict.fromkeys(("legend.fontsize", "xtick.labelsize", "ytick.labelsize"), 7),
    **dict.fromkeys(("figure.dpi", "savefig.dpi"), 200),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    "figure.titlesize": 9,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,  # embedded TrueType: text stays text
    "svg.hashsalt": "msat",
    "figure.constrained_layout.use": True,
}
# seaborn's "colorblind", which tests hold it against; seaborn itself takes longer to load than most figures to draw
_PALETTE = (
    *("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc"),
    *("#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9"),
)
LIMIT: Any = {"color": "0.4", "linestyle": "--", "linewidth": 0.8}  # the line of what a value is held against


def subplots(rows: int, columns: int, height: float, **options: Any) -> tuple[Figure, Any]:
    """Return a figure of full width and its grid of axes, (rows, columns)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def finished(figure: Figure, grid: Any, legend: Axes | None = None) -> Figure:
    """Return the figure with each panel's letter at its top left and one panel's legend in a row below all panels."""
    for letter, axes in zip(ascii_lowercase, grid.flat, strict=False):
        if axes.axison:
            axes.set_title(f"({letter})", loc="left", fontweight="bold")
    if legend:
        handles, labels = legend.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=max(len(labels), 1))
    return figure


def palette() -> tuple[str, ...]:
    """Return the colours that the colour-blind can tell apart too: seaborn's palette "colorblind"."""
    return _PALETTE


def color(level: Level | None) -> str:
    """Return the colour of a level; None is Langevin."""
    if level is None:
        return palette()[3]
    return "black" if level.color is None else palette()[level.color]


def label(level: Level | None) -> str:
    """Return what a level is called; None is Langevin."""
    return level.label if level else "Langevin"


def look(level: Level) -> dict[str, Any]:
    """Return colour, line style and label of a level's line: every line is told apart without colour too."""
    return {"color": color(level), "linestyle": level.line, "label": level.label}


def sources(theory: Table, langevin: Table | None = None) -> Sources:
    """Return the rows over (seed, chi) of each level, as the registry orders them, then of Langevin.

    Args:
        theory: Table with a column ``level``; or ``source``, which holds Langevin too.
    """
    groups = [*theory.groupby("level" if "level" in theory else "source"), ("langevin", langevin)]
    rows = {name: at.set_index(["seed", "chi"]) for name, at in groups if at is not None}
    return {level: rows[level.name] for level in ordered(rows)} | {None: rows["langevin"]}


def number_of_labels(theory: Table, samples: str = "P") -> str:
    """Return the formula of a number of labels: of samples, times m where the rows are of several outputs."""
    several = "n_outputs" in theory and bool(theory["n_outputs"].notna().any())
    return f"{samples}m" if several else samples


def over(number: str) -> str:
    """Return the formula of a division by a number, in brackets where it is a product."""
    return f"/{number}" if len(number) == 1 else f"/({number})"


def over_seeds(by_place: Any) -> Series:
    """Return the mean over seeds; NaN where a level has no solution for some seed, so that its line ends."""
    mean: Series = by_place.agg(lambda values: values.mean(skipna=False))
    return mean


def against_scale(axes: Axes, rows: Sources, value: str, error: str = "", alpha: float = 0.1) -> None:
    """Draw a column against scale: levels as lines, Langevin as points with its error column (``VALUE_error``)."""
    for level, at in rows.items():
        if level:
            level_line(axes, level, at[value], alpha)
        else:
            langevin_points(axes, at[value], at[error or f"{value}_error"])


def deviations(
    axes: Axes, rows: Sources, reference: Level | None, value: str, error: str = "", per_cent: bool = True
) -> dict[Level | None, Series]:
    """Draw a column less the reference's, seed by seed, so that the spread of data sets drops out; return it."""
    base = rows[reference][value]
    axes.axhline(0, color="0.6", linewidth=0.6, zorder=0)
    found = {level: 100 * (at[value] / base - 1) if per_cent else at[value] - base for level, at in rows.items()}
    for level, deviation in found.items():
        if level:
            level_line(axes, level, deviation, 0.15 if per_cent else 0.1)
    spread = rows[None][error or f"{value}_error"]
    bars = 200 * spread / base if per_cent else 2 * spread
    seeds = sorted(found[None].index.get_level_values("seed").unique())
    for position, seed in enumerate(seeds):  # side by side, or their bars would hide each other
        at, bar = (series.xs(seed, level="seed") for series in (found[None], bars))
        chi = at.index.to_numpy() * 1.05 ** (position - (len(seeds) - 1) / 2)
        axes.errorbar(chi, at, bar, fmt="o", markersize=2, color=color(None), elinewidth=0.8, zorder=3)
    return found


def level_line(axes: Axes, level: Level, value: Series, alpha: float = 0.1) -> None:
    """Draw one level against scale."""
    by_chi = value.groupby("chi")
    mean = over_seeds(by_chi)
    axes.plot(mean.index, mean, zorder=2, **look(level))
    axes.fill_between(mean.index, by_chi.min(), by_chi.max(), color=color(level), alpha=alpha, linewidth=0)


def langevin_points(axes: Axes, value: Series, error: Series) -> None:
    """Draw measured values against scale with their standard errors."""
    look: Any = {"color": color(None), "markerfacecolor": "white", "markeredgewidth": 0.8, "elinewidth": 0.8}
    chi = value.index.get_level_values("chi")
    axes.errorbar(chi, value, 2 * error, fmt="o", label=label(None), zorder=4, **look)


def chi_axis(axes: Axes) -> None:
    """Make the x axis one of scales, logarithmic."""
    axes.set_xscale("log")
    axes.set_xlabel(r"scale $\chi$")


def plain_ticks(axis: Axis, at: Iterable[float] = ()) -> None:
    """Write ticks as plain numbers; with positions only these."""
    from matplotlib.ticker import FixedLocator

    positions = list(at)
    if positions:
        axis.set_major_locator(FixedLocator(positions))
        axis.set_minor_formatter("")
    axis.set_major_formatter(lambda value, _: f"{value:g}")


def scaling(gamma: float) -> str:
    """Return the formula of the scale with this exponent of the width."""
    return {0.0: r"$\chi = 1$", 1.0: r"$\chi = N$"}.get(float(gamma), rf"$\chi = N^{{{gamma:g}}}$")
