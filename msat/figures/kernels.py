"""Hidden kernels before and after learning: heat maps and spectra, theory against training."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from msat.figures import style


def draw(theory: xr.Dataset, langevin: Sequence[xr.Dataset]) -> Figure:
    """Return the figure: one row a scale; prior, Laplace and Langevin kernel, and the three spectra.

    Samples are ordered by label; the colour scale is common to a row.
    """
    order = np.argsort(theory["y_train"].to_numpy(), kind="stable")
    figure, grid = plt.subplots(
        len(langevin), 4, figsize=(style.WIDTH, 1.95 * len(langevin)), squeeze=False, width_ratios=(1, 1, 1, 1.25)
    )
    for row, measured in enumerate(sorted(langevin, key=lambda item: float(item["chi"][0]))):
        chi = float(measured["chi"][0])
        at = theory["hidden_kernel"].sel(chi=chi, method="nearest")
        kernels = {
            "prior": at.sel(level="nngp").to_numpy(),
            "Laplace": at.sel(level="laplace").to_numpy(),
            "Langevin": measured["hidden_kernel"].isel(chi=0).to_numpy(),
        }
        off_diagonal = np.concatenate([kernel[~np.eye(len(kernel), dtype=bool)] for kernel in kernels.values()])
        extent = float(np.abs(off_diagonal).max())  # the diagonal would hide the structure
        for column, (name, kernel) in enumerate(kernels.items()):
            axes = grid[row, column]
            image = axes.imshow(
                kernel[np.ix_(order, order)], cmap="RdBu_r", vmin=-extent, vmax=extent, interpolation="nearest"
            )
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[["top", "right"]].set_visible(True)
            if row == 0:
                axes.set_title(name)
            if column == 0:
                axes.set_ylabel(rf"$\chi = {chi:g}$")
            style.panel_label(axes, "abcdefghijkl"[4 * row + column])
        figure.colorbar(image, ax=grid[row, 2], fraction=0.05, pad=0.02)
        _spectra(grid[row, 3], kernels)
        style.panel_label(grid[row, 3], "abcdefghijkl"[4 * row + 3])
        if row == 0:
            grid[row, 3].set_title("spectrum")
            grid[row, 3].legend()
    grid[-1, 3].set_xlabel("rank of the eigenvalue")
    return figure


def _spectra(axes: Axes, kernels: dict[str, np.ndarray]) -> None:
    looks = {
        "prior": {"color": style.LEVEL_STYLE["nngp"][0], "linestyle": style.LEVEL_STYLE["nngp"][1]},
        "Laplace": {"color": style.LEVEL_STYLE["laplace"][0], "linestyle": "solid"},
        "Langevin": {
            "color": style.LANGEVIN_COLOR,
            "marker": "o",
            "markersize": 2.2,
            "linestyle": "none",
            "markerfacecolor": "none",
            "markeredgewidth": 0.6,
        },
    }
    for name, kernel in kernels.items():
        values = np.linalg.eigvalsh(kernel)[::-1]
        positive = values > 1e-12 * values[0]
        axes.plot(np.arange(1, len(values) + 1)[positive], values[positive], label=name, **looks[name])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylabel("eigenvalue")
