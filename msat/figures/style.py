"""The one style of all figures: sizes, fonts, a colour and a marker for each level."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from msat.errors import InputError
from msat.store import atomic

WIDTH = 6.75  # inches: the text width of an ICML page

_PALETTE = sns.color_palette("colorblind").as_hex()

# colour, line style: every line is told apart without colour too
LEVEL_STYLE = {
    "nngp": (_PALETTE[7], (0, (1, 1))),
    "rescaling": (_PALETTE[1], (0, (4, 1.5))),
    "tree_level": (_PALETTE[4], (0, (4, 1.5, 1, 1.5))),
    "one_loop": (_PALETTE[2], (0, (6, 1, 1, 1, 1, 1))),
    "laplace": (_PALETTE[0], (0, (7, 2))),
    "exact": ("black", "solid"),
}
LEVEL_LABEL = {
    "nngp": "NNGP",
    "rescaling": "rescaling",
    "tree_level": "tree level",
    "one_loop": "one loop",
    "laplace": "Laplace",
    "exact": "exact",
}
LANGEVIN_COLOR = _PALETTE[3]
CHI_LABEL = r"scale $\chi$"


@contextmanager
def context() -> Iterator[None]:
    """Apply the style within the block."""
    settings: Any = {
        "font.size": 8,
        "axes.titlesize": 8,
        "axes.labelsize": 8,
        "figure.titlesize": 9,
        "legend.fontsize": 7,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
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
    plt.close("all")


def over_seeds(by_chi: Any) -> pd.Series:
    """Return the mean over seeds; NaN where a level has no solution for some seed, so that its line ends."""
    mean: pd.Series = by_chi.agg(lambda values: values.mean(skipna=False))
    return mean


def langevin_points(axes: Axes, chi: Any, value: Any, error: Any) -> None:
    """Draw measured values with error bars of two standard errors."""
    axes.errorbar(
        chi,
        value,
        2 * error,
        fmt="o",
        color=LANGEVIN_COLOR,
        markerfacecolor="white",
        markeredgewidth=0.8,
        elinewidth=0.8,
        label="Langevin",
        zorder=4,
    )


def points_by_seed(axes: Axes, value: pd.Series, error: pd.Series, label: str | None = None) -> None:
    """Draw measured values with their error bars, the seeds side by side, or their bars would hide each other.

    Parameters
    ----------
    value, error
        Series over (seed, chi); the error is drawn as it is given.
    """
    seeds = sorted(value.index.get_level_values("seed").unique())
    for position, seed in enumerate(seeds):
        offset = 1.05 ** (position - (len(seeds) - 1) / 2)
        at = value.xs(seed, level="seed")
        axes.errorbar(
            at.index.to_numpy() * offset,
            at,
            error.xs(seed, level="seed"),
            fmt="o",
            markersize=2,
            color=LANGEVIN_COLOR,
            elinewidth=0.8,
            label=label if position == 0 else None,
            zorder=3,
        )


def level_line(axes: Axes, level: str, by_chi: Any, alpha: float = 0.1) -> None:
    """Draw one level against scale: the mean over seeds as its line, the range over seeds as a band."""
    color, line = LEVEL_STYLE[level]
    mean = over_seeds(by_chi)
    axes.plot(mean.index, mean, color=color, linestyle=line, label=LEVEL_LABEL[level], zorder=2)
    axes.fill_between(mean.index, by_chi.min(), by_chi.max(), color=color, alpha=alpha, linewidth=0)


def check_formats(out: Sequence[Path]) -> None:
    """Raise InputError unless every file's suffix is a format."""
    for path in out:
        if path.suffix not in (".pdf", ".png", ".svg"):
            raise InputError(f"--out {path}: suffix must be .pdf, .png or .svg")


def save(figure: Figure, out: Sequence[Path]) -> None:
    """Write a figure to files; the same figure gives the same bytes."""
    for path in out:
        kind = path.suffix.removeprefix(".")
        metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind, {})
        with atomic(path) as temporary:
            figure.savefig(temporary, format=kind, metadata=metadata)


def chi_axis(axes: Axes) -> None:
    """Make the x axis one of scales, logarithmic."""
    axes.set_xscale("log")
    axes.set_xlabel(CHI_LABEL)


def panel_label(axes: Axes, letter: str) -> None:
    """Put a panel's letter at its top left, outside the axes."""
    axes.set_title(f"({letter})", loc="left", fontweight="bold")
