"""Feature learning against scale: what becomes of the hidden kernel and of the first layer's weights."""

from __future__ import annotations

from msat.figures import Declaration, style

NEEDS = Declaration("experiment", ("theory", "langevin"))
_SHOWN = {
    "hidden_kernel_gain": "gain along the target\n" + r"$\mathbf{y}\cdot H\mathbf{y}\,/\,\mathbf{y}\cdot K\mathbf{y}$",
    "hidden_kernel_alignment": "centred alignment\n" + r"of $H$ with $\mathbf{y}\mathbf{y}^\top$",
    "weight_alignment": "weight along $\\mathbf{u}$\n" + r"$\langle(\mathbf{V}_i\cdot\mathbf{u})^2\rangle\,D/g_v$",
    "hidden_kernel_outlier": "largest eigenvalue\nof $H$",
    "hidden_kernel_bulk": "mean of the other\neigenvalues of $H$",
    "hidden_kernel_effective_rank": "effective rank\n" + r"$(\mathrm{tr}\,H)^2/\mathrm{tr}\,H^2$",
}


def draw(theory: style.Table, langevin: style.Table) -> style.Figure:
    """Return the figure: observables of the hidden kernel and the weights, theory as lines, Langevin as points.

    A level that does not give an observable has no line.
    """
    from matplotlib.ticker import MaxNLocator

    figure, grid = style.subplots(2, 3, 4.2, sharex=True)
    for axes, (quantity, label) in zip(grid.flat, _SHOWN.items(), strict=True):
        style.against_scale(axes, style.sources(theory, langevin), quantity, alpha=0.08)
        axes.set_ylabel(label)
        if quantity == "hidden_kernel_bulk":
            axes.yaxis.set_major_locator(MaxNLocator(5))
        else:
            axes.set_ylim(bottom=0)
        axes.ticklabel_format(axis="y", useOffset=False)
    for axes in grid[1]:
        style.chi_axis(axes)
    return style.finished(figure, grid, legend=grid[0, 0])
