"""Can the error bars be believed? Mixing, precision, agreement of the starts, and the law of the residuals."""

from __future__ import annotations

from typing import Any

import numpy as np

from msat import levels
from msat.figures import Declaration, style

NEEDS = Declaration("experiment", ("langevin", "chains", "samples", "theory"))
_RHAT_LIMIT = 1.01
_START_MARKERS = {"prior": "o", "zero": "s", "informed": "^", "theory": "D"}


def draw(langevin: style.Table, chains: style.Table, samples: style.Table, theory: style.Table) -> style.Figure:
    """Return the figure: R-hat, standard error against target, chains by start, residuals against N(0, 1).

    Residuals are from `levels.reference`; their panel is empty without one.
    """
    figure, grid = style.subplots(2, 2, 4.6)
    _mixing(grid[0, 0], langevin)
    _precision(grid[0, 1], langevin)
    _starts(grid[1, 0], chains, langevin)
    _residuals(grid[1, 1], samples, levels.reference(theory["level"]))
    return style.finished(figure, grid)


def _mixing(axes: style.Axes, langevin: style.Table) -> None:
    largest = ("rhat_max", "o", style.color(None), "largest of a run")
    for name, marker, color, label in (largest, ("rhat_excess", "x", style.palette()[0], "not explained by noise")):
        axes.plot(langevin["chi"], langevin[name], marker, color=color, markerfacecolor="white", label=label)
    axes.axhline(_RHAT_LIMIT, **style.LIMIT, label="limit")
    highest = float(langevin["rhat_max"].max())
    axes.set_ylim(0.9985, max(1.015, 1 + 1.6 * (highest - 1)))
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_ylabel(r"$\hat R$")
    axes.legend(loc="upper right")
    style.chi_axis(axes)


def _precision(axes: style.Axes, langevin: style.Table) -> None:
    target = 100 * float(langevin["target_error"].iloc[0])
    highest = target
    plain = ("train_discrepancy_draws", "x", style.palette()[0], "of the draws themselves")
    for name, marker, color, label in (("train_discrepancy", "o", style.color(None), "readout averaged"), plain):
        relative = 100 * langevin[f"{name}_error"] / langevin[name].abs()
        axes.plot(langevin["chi"], relative, marker, color=color, markerfacecolor="white", label=label)
        highest = max(highest, float(relative.max()))
    axes.axhline(target, **style.LIMIT, label="target")
    axes.set_ylim(0, 1.2 * highest)
    axes.set_ylabel("standard error of train\ndiscrepancy (% of its value)")
    axes.legend(loc="best")  # beside the points: they lie anywhere between zero and the target
    style.chi_axis(axes)


def _starts(axes: style.Axes, chains: style.Table, langevin: style.Table) -> None:
    """Draw each chain's deviation from the ensemble in its own standard errors, by kind of start."""
    mean = langevin.set_index(["seed", "chi"])["train_discrepancy"]
    at = chains.set_index(["seed", "chi"])
    z = (at["train_discrepancy"] - mean.loc[at.index].to_numpy()) / at["train_discrepancy_error"]
    for position, (start, marker) in enumerate(_START_MARKERS.items()):
        chosen = z[(at["start"] == start).to_numpy()]
        if not len(chosen):
            continue
        chi = chosen.index.get_level_values("chi") * 1.12 ** (position - 1)
        axes.plot(chi, chosen, marker, color=style.palette()[position], markersize=2.2, alpha=0.7, label=start)
    for limit in (-2, 2):
        axes.axhline(limit, **style.LIMIT)
    extent = max(5.0, 1.1 * float(np.abs(z).max()))
    axes.set_ylim(-extent, 1.35 * extent)
    axes.set_ylabel("chain minus ensemble\n(standard errors of the chain)")
    axes.legend(title="start of the chain", loc="upper center", ncols=4, columnspacing=0.8, handletextpad=0.1)
    style.chi_axis(axes)


def _residuals(axes: style.Axes, samples: style.Table, reference: levels.Level | None) -> None:
    """Compare the standardised residuals of all training outputs with the standard normal law."""
    if reference is None:
        axes.set_axis_off()
        return
    at = samples[samples["part"] == "train"]
    error = np.hypot(at["langevin_error"].to_numpy(), at[f"{reference.name}_mc_error"].to_numpy())
    z = (at["langevin"] - at[reference.name]).to_numpy() / error
    z = z[np.isfinite(z)]
    grid = np.linspace(-4.5, 4.5, 200)
    bars: Any = {"color": style.color(None), "alpha": 0.4, "label": f"{len(z)} outputs"}
    axes.hist(np.clip(z, -4.5, 4.5), bins=36, range=(-4.5, 4.5), density=True, **bars)
    density = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi)
    axes.plot(grid, density, color="black", label=r"$\mathcal{N}(0,1)$")
    axes.set_xlabel(f"(Langevin $-$ {reference.label}) / error, train outputs")
    axes.set_ylabel("density")
    axes.set_ylim(0, 0.55)
    axes.annotate(rf"$\chi^2/$dof $= {np.mean(z**2):.2f}$", (0.02, 0.97), xycoords="axes fraction", va="top")
    axes.legend(loc="upper right")
