"""Train and test discrepancy against scale: theory as lines, Langevin as points."""

from __future__ import annotations

from msat.figures import Declaration, style

NEEDS = Declaration("experiment", ("theory", "langevin"))
_LINEAR = 1.0  # per cent: linear below, logarithmic above, so that 0.1 and 300 per cent are both seen
_PARTS = {
    "train": (r"\mathbf{y}\cdot(\mathbf{y}-\langle\mathbf{f}\rangle)", "P"),
    "test": (r"\mathbf{y}_*\cdot(\mathbf{y}_*-\langle\mathbf{f}_*\rangle)", "Q"),
}


def draw(theory: style.Table, langevin: style.Table) -> style.Figure:
    """Return the figure: discrepancies above, relative deviations from the reference below.

    The reference is the exact level where there is one, else the Langevin measurement.
    """
    rows = style.sources(theory, langevin)
    reference = next((level for level in rows if level and level.exact), None)
    figure, grid = style.subplots(2, 2, 4.4, sharex=True, height_ratios=(3, 2))
    for (above, below), (part, (symbol, samples)) in zip(grid.T, _PARTS.items(), strict=True):
        quantity = f"{part}_discrepancy"
        style.against_scale(above, rows, quantity, alpha=0.08)
        over = style.over(style.number_of_labels(theory, samples))
        above.set_ylabel(f"{part} discrepancy\n${symbol}{over}$")
        above.set_ylim(bottom=0)
        shown = [values for level, values in style.deviations(below, rows, reference, quantity).items() if level]
        below.set_yscale("symlog", linthresh=_LINEAR, linscale=1.0)
        lowest, highest = min([-10.0, *(at.min() for at in shown)]), max([10.0, *(at.max() for at in shown)])
        below.set_ylim(1.3 * lowest, 1.3 * highest)
        style.plain_ticks(below.yaxis)
        below.axhspan(-_LINEAR, _LINEAR, color="0.95", zorder=-1, linewidth=0)
        style.chi_axis(below)
    grid[1, 0].set_ylabel(f"deviation from {style.label(reference)} (%)")
    return style.finished(figure, grid, legend=grid[0, 0])
