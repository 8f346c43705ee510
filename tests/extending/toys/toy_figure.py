"""The toy observable against scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msat.figures import Declaration, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NEEDS = Declaration("experiment", ("theory", "langevin"))


def draw(theory: pd.DataFrame, langevin: pd.DataFrame) -> Figure:
    """Return the figure: theory as lines, Langevin as points with error bars of two standard errors."""
    figure, grid = style.subplots(1, 1, 2.9)
    axes = grid.flat[0]
    style.against_scale(axes, style.sources(theory, langevin), "toy_observable")
    axes.set_ylabel("tr $H$ / P")
    style.chi_axis(axes)
    return figure
