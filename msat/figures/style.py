"""The one style of all figures: sizes, fonts, colours, and what every figure draws in the same way.

The libraries that draw are imported inside functions: the workflow reads the figures' declarations when it starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from msat.errors import InputError
from msat.levels import Level, ordered

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

    Sources = dict[Level | None, pd.DataFrame]  # rows over (seed, chi); None is Langevin

WIDTH = 6.75  # inches: the text width of an ICML page


@contextmanager
def context() -> Iterator[None]:
    """Apply the style within the block."""
    import matplotlib as mpl

    settings: Any = {
        **dict.fromkeys(("font.size", "axes.titlesize", "axes.labelsize"), 8),
        **dict.fromkeys(("legend.fontsize", "xtick.labelsize", "ytick.labelsize"), 7),
        "figure.titlesize": 9,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "lines.linewidth": 1.2,
        "lines.markersize": 3.5,
        "legend.frameon": False,
        "figure.dpi": 200,
        "savefig.dpi": 200,
        "pdf.fonttype": 42,  # embedded TrueType: text stays text
        "svg.hashsalt": "msat",
        "figure.constrained_layout.use": True,
    }
    with mpl.rc_context(settings):
        yield


def subplots(rows: int, columns: int, height: float, **options: Any) -> tuple[Figure, Any]:
    """Return a figure of full width and its grid of axes, (rows, columns)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def palette() -> list[str]:
    """Return the colours that the colour-blind can tell apart too."""
    import seaborn as sns

    return list(sns.color_palette("colorblind").as_hex())


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


def sources(theory: pd.DataFrame, langevin: pd.DataFrame | None = None) -> Sources:
    """Return the rows over (seed, chi) of each level, as the registry orders them, then of Langevin.

    Args:
        theory: Table with a column ``level``; or ``source``, which holds Langevin too.
    """
    groups = [*theory.groupby("level" if "level" in theory else "source"), ("langevin", langevin)]
    rows = {name: at.set_index(["seed", "chi"]) for name, at in groups if at is not None}
    return {level: rows[level.name] for level in ordered(rows)} | {None: rows["langevin"]}


def over_seeds(by_chi: Any) -> pd.Series:
    """Return the mean over seeds; NaN where a level has no solution for some seed, so that its line ends."""
    mean: pd.Series = by_chi.agg(lambda values: values.mean(skipna=False))
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
) -> dict[Level | None, pd.Series]:
    """Draw a column less the reference's, seed by seed, so that the spread of data sets drops out; return it."""
    base = rows[reference][value]
    axes.axhline(0, color="0.6", linewidth=0.6, zorder=0)
    found = {level: 100 * (at[value] / base - 1) if per_cent else at[value] - base for level, at in rows.items()}
    for level, deviation in found.items():
        if level:
            level_line(axes, level, deviation, 0.15 if per_cent else 0.1)
    spread = rows[None][error or f"{value}_error"]
    points_by_seed(axes, found[None], 200 * spread / base if per_cent else 2 * spread)
    return found


def level_line(axes: Axes, level: Level, value: pd.Series, alpha: float = 0.1) -> None:
    """Draw one level against scale: the mean over seeds as its line, the range over seeds as a band."""
    by_chi = value.groupby("chi")
    mean = over_seeds(by_chi)
    axes.plot(mean.index, mean, zorder=2, **look(level))
    axes.fill_between(mean.index, by_chi.min(), by_chi.max(), color=color(level), alpha=alpha, linewidth=0)


def langevin_points(axes: Axes, value: pd.Series, error: pd.Series) -> None:
    """Draw measured values with error bars of two standard errors."""
    look: Any = {"color": color(None), "markerfacecolor": "white", "markeredgewidth": 0.8, "elinewidth": 0.8}
    chi = value.index.get_level_values("chi")
    axes.errorbar(chi, value, 2 * error, fmt="o", label="Langevin", zorder=4, **look)


def points_by_seed(axes: Axes, value: pd.Series, error: pd.Series) -> None:
    """Draw measured values with their error bars, the seeds side by side, or their bars would hide each other."""
    seeds = sorted(value.index.get_level_values("seed").unique())
    for position, seed in enumerate(seeds):
        at, spread = (series.xs(seed, level="seed") for series in (value, error))
        chi = at.index.to_numpy() * 1.05 ** (position - (len(seeds) - 1) / 2)
        axes.errorbar(chi, at, spread, fmt="o", markersize=2, color=color(None), elinewidth=0.8, zorder=3)


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
        no_minor_labels(axis)
    axis.set_major_formatter(lambda value, _: f"{value:g}")


def no_minor_labels(axis: Axis) -> None:
    """Label major ticks only."""
    from matplotlib.ticker import NullFormatter

    axis.set_minor_formatter(NullFormatter())


def note(axes: Axes, x: float, y: float, text: str, **options: Any) -> None:
    """Write text into a panel, placed in fractions of it."""
    axes.text(x, y, text, transform=axes.transAxes, **options)


def scaling(gamma: float) -> str:
    """Return the formula of the scale with this exponent of the width."""
    return {0.0: r"$\chi = 1$", 1.0: r"$\chi = N$"}.get(float(gamma), rf"$\chi = N^{{{gamma:g}}}$")


def panel_labels(grid: Any) -> None:
    """Put each panel's letter at its top left, outside the axes, row by row."""
    for letter, axes in zip(ascii_lowercase, grid.flat, strict=False):
        if axes.axison:
            axes.set_title(f"({letter})", loc="left", fontweight="bold")


def legend_below(figure: Figure, axes: Axes) -> None:
    """Put the entries of one panel into a row below all panels."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=max(len(labels), 1))


def check_formats(out: Sequence[Path]) -> None:
    """Raise InputError unless every file's suffix is a format."""
    for path in out:
        if path.suffix not in (".pdf", ".png", ".svg"):
            raise InputError(f"--out {path}: suffix must be .pdf, .png or .svg")


def save(figure: Figure, out: Sequence[Path]) -> None:
    """Write a figure to files; the same figure gives the same bytes."""
    from msat.store import atomic

    for path in out:
        kind = path.suffix.removeprefix(".")
        metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind, {})
        with atomic(path) as temporary:
            figure.savefig(temporary, format=kind, metadata=metadata)
