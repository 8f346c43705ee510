"""What of the teacher is learned: Hermite components of the mean test outputs against scale."""

from __future__ import annotations

from msat.figures import Declaration, style

NEEDS = Declaration("experiment", ("components",), needs_direction=True)
_SHOWN = {1: r"linear component, $\mathrm{He}_1$", 3: r"cubic component, $\mathrm{He}_3$"}


def draw(components: style.Table) -> style.Figure:
    """Return the figure: linear and cubic component along the teacher (dashed), theory as lines, Langevin as points."""
    figure, grid = style.subplots(1, 2, 2.9)
    for axes, (degree, label) in zip(grid.flat, _SHOWN.items(), strict=True):
        rows = components[components["degree"] == degree]
        style.against_scale(axes, style.sources(rows), "strength", "error")
        teacher = float(rows["teacher"].mean())
        axes.axhline(teacher, **style.LIMIT, label="teacher", zorder=1)
        axes.axhline(0, color="0.8", linewidth=0.6, zorder=0)
        axes.set_ylabel(f"learned {label}")
        style.chi_axis(axes)
    return style.finished(figure, grid, legend=grid[0, 0])
