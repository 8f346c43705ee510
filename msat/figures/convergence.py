"""Can the error bars be believed? Mixing, precision, agreement of the starts, and the law of the residuals."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from msat.figures import style

_RHAT_LIMIT = 1.01
_START_MARKERS = {"prior": "o", "zero": "s", "informed": "^"}


def draw(langevin: pd.DataFrame, chains: pd.DataFrame, samples: pd.DataFrame, theory: pd.DataFrame) -> Figure:
    """Return the figure: R-hat, standard error against target, chains by start, residuals against N(0, 1)."""
    figure, grid = plt.subplots(2, 2, figsize=(style.WIDTH, 4.6))
    _mixing(grid[0, 0], langevin)
    _precision(grid[0, 1], langevin)
    _starts(grid[1, 0], chains, langevin)
    _residuals(grid[1, 1], samples, "exact" if "exact" in set(theory["level"]) else "laplace")
    for letter, axes in zip("abcd", grid.flat, strict=True):
        style.panel_label(axes, letter)
    return figure


def _mixing(axes: Axes, langevin: pd.DataFrame) -> None:
    axes.plot(langevin["chi"], langevin["rhat_max"], "o", color=style.LANGEVIN_COLOR, markerfacecolor="white")
    axes.axhline(_RHAT_LIMIT, color="0.4", linestyle="--", linewidth=0.8)
    axes.annotate(
        "limit",
        (1, _RHAT_LIMIT),
        (0, 2),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        fontsize=7,
    )
    axes.set_ylim(0.9995, max(1.015, 1.002 * float(langevin["rhat_max"].max())))
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_ylabel(r"largest $\hat R$ of a run")
    style.chi_axis(axes)


def _precision(axes: Axes, langevin: pd.DataFrame) -> None:
    relative = 100 * langevin["train_discrepancy_error"] / langevin["train_discrepancy"].abs()
    axes.plot(
        langevin["chi"], relative, "o", color=style.LANGEVIN_COLOR, markerfacecolor="white", label="plain mean"
    )
    blackwell = 100 * langevin["train_discrepancy_rb_error"] / langevin["train_discrepancy_rb"].abs()
    axes.plot(langevin["chi"], blackwell, "x", color=style.LEVEL_STYLE["laplace"][0], label="Rao-Blackwell")
    target = 100 * float(langevin["target_error"].iloc[0])
    axes.axhline(target, color="0.4", linestyle="--", linewidth=0.8, label="target")
    axes.set_ylim(0, 1.2 * max(target, float(relative.max()), float(blackwell.max())))
    axes.set_ylabel("standard error of train\ndiscrepancy (% of its value)")
    axes.legend(loc="lower left")
    style.chi_axis(axes)


def _starts(axes: Axes, chains: pd.DataFrame, langevin: pd.DataFrame) -> None:
    """Draw each chain's deviation from the ensemble in its own standard errors, by kind of start."""
    mean = langevin.set_index(["seed", "chi"])["train_discrepancy"]
    keys = pd.MultiIndex.from_frame(chains[["seed", "chi"]])
    z = (chains["train_discrepancy"].to_numpy() - mean.loc[keys].to_numpy()) / chains["train_discrepancy_error"]
    colors = [style.LEVEL_STYLE[level][0] for level in ("laplace", "rescaling", "one_loop")]
    for position, (start, marker) in enumerate(_START_MARKERS.items()):
        chosen = (chains["start"] == start).to_numpy()
        offset = 1.12 ** (position - 1)
        axes.plot(
            chains["chi"][chosen] * offset,
            z[chosen],
            marker,
            color=colors[position],
            markersize=2.2,
            alpha=0.7,
            label=start,
            linestyle="none",
        )
    for limit in (-2, 2):
        axes.axhline(limit, color="0.4", linestyle="--", linewidth=0.8)
    extent = max(5.0, 1.1 * float(np.abs(z).max()))
    axes.set_ylim(-extent, 1.35 * extent)
    axes.set_ylabel("chain minus ensemble\n(standard errors of the chain)")
    axes.legend(title="start of the chain", loc="upper center", ncols=3)
    style.chi_axis(axes)


def _residuals(axes: Axes, samples: pd.DataFrame, reference: str) -> None:
    """Compare the standardised residuals of all training outputs with the standard normal law."""
    at = samples[samples["part"] == "train"]
    measured, predicted, error, sampled = (
        at[name].to_numpy() for name in ("langevin", reference, "langevin_error", f"{reference}_mc_error")
    )
    z = (measured - predicted) / np.hypot(error, sampled)
    z = z[np.isfinite(z)]
    grid = np.linspace(-4.5, 4.5, 200)
    axes.hist(
        np.clip(z, -4.5, 4.5),
        bins=36,
        range=(-4.5, 4.5),
        density=True,
        color=style.LANGEVIN_COLOR,
        alpha=0.4,
        label=f"{len(z)} outputs",
    )
    axes.plot(grid, stats.norm.pdf(grid), color="black", label=r"$\mathcal{N}(0,1)$")
    axes.set_xlabel(f"(Langevin $-$ {style.LEVEL_LABEL[reference]}) / error, train outputs")
    axes.set_ylabel("density")
    axes.set_ylim(0, 0.55)
    axes.text(0.02, 0.97, rf"$\chi^2/$dof $= {np.mean(z**2):.2f}$", transform=axes.transAxes, va="top")
    axes.legend(loc="upper right")
