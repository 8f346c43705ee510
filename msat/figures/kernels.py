"""Hidden kernels before and after learning: heat maps and spectra, theory against training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from msat.figures import Declaration, style
from msat.levels import LAPLACE, NNGP
from msat.observables.matrices import read_matrix
from msat.types import Array

NEEDS = Declaration("runs", levels=(NNGP.name, LAPLACE.name))


def draw(theory: style.Dataset, langevin: Sequence[style.Dataset]) -> style.Figure:
    """Return the figure: one row a scale; prior, Laplace and Langevin kernel, and the three spectra.

    Samples are ordered by label, with several outputs by that which is the largest; the colour scale is common to a
    row.
    """
    y = theory["y_train"].to_numpy()
    order = np.argsort(y if y.ndim == 1 else np.argmax(y, axis=1), kind="stable")
    figure, grid = style.subplots(len(langevin), 4, 1.95 * len(langevin), width_ratios=(1, 1, 1, 1.25))
    runs = sorted(langevin, key=lambda item: float(item["chi"][0]))
    for (*maps, spectra), measured in zip(grid, runs, strict=True):
        chi = float(measured["chi"][0])
        kernels = [read_matrix(theory, "hidden_kernel", level.name, chi) for level in (NNGP, LAPLACE)]
        kernels.append(measured["hidden_kernel"].isel(chi=0).to_numpy())
        off_diagonal = np.concatenate([kernel[~np.eye(len(kernel), dtype=bool)] for kernel in kernels])
        extent = float(np.abs(off_diagonal).max())  # the diagonal would hide the structure
        for axes, kernel in zip(maps, kernels, strict=True):
            image = axes.imshow(
                kernel[np.ix_(order, order)], cmap="RdBu_r", vmin=-extent, vmax=extent, interpolation="nearest"
            )
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[["top", "right"]].set_visible(True)
        maps[0].set_ylabel(rf"$\chi = {chi:g}$")
        figure.colorbar(image, ax=maps[-1], fraction=0.05, pad=0.02)
        _spectra(spectra, kernels)
    for axes, title in zip(grid[0], ("prior", LAPLACE.label, "Langevin", "spectrum"), strict=True):
        axes.set_title(title)
    grid[0, 3].legend()
    grid[-1, 3].set_xlabel("rank of the eigenvalue")
    return style.finished(figure, grid)


def _spectra(axes: style.Axes, kernels: Sequence[Array]) -> None:
    points = {"marker": "o", "markersize": 2.2, "markerfacecolor": "none", "markeredgewidth": 0.6}
    looks: tuple[dict[str, Any], ...] = (
        style.look(NNGP) | {"label": "prior"},
        style.look(LAPLACE) | {"linestyle": "solid"},
        points | {"color": style.color(None), "linestyle": "none", "label": "Langevin"},
    )
    for kernel, look in zip(kernels, looks, strict=True):
        values = np.linalg.eigvalsh(kernel)[::-1]
        positive = values > 1e-12 * values[0]
        axes.plot(np.arange(1, len(values) + 1)[positive], values[positive], **look)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylabel("eigenvalue")
