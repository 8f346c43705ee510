"""What is learned from how many samples: discrepancies, the teacher's components and the weights against P/D."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from msat import levels
from msat.figures import Declaration, style

NEEDS = Declaration(
    "experiment", ("theory", "langevin", "components", "half_learned"), needs_direction=True, against_samples=True
)
_GAMMAS = (0.0, 0.5, 1.0)  # the scales shown: 1, sqrt(N) and N, or what is nearest
_NONE = 1e-9  # a component of the teacher below it is none
_LABELS = {
    "train_discrepancy": "train\ndiscrepancy",
    "test_discrepancy": "test\ndiscrepancy",
    "component_1": "learned share\nof $\\mathrm{He}_1$",
    "component_2": "learned share\nof $\\mathrm{He}_2$",
    "component_3": "learned share\nof $\\mathrm{He}_3$",
    "weight_alignment": "weight\nalong $\\mathbf{u}$",
}


def draw(
    theory: style.Table, langevin: style.Table, components: style.Table, half_learned: style.Table
) -> style.Figure:
    """Return the figure: one row a quantity, one column a scale; theory as lines, Langevin as points.

    Points of training runs that have not mixed are hollow. In the panels of the highest component of the teacher marks
    on the dotted line, and numbers, are where half of it is learned.
    """
    teacher = components.groupby("degree")["teacher"].apply(lambda values: values.abs().max())
    degrees = [int(degree) for degree in teacher.index[teacher > _NONE]]
    shown = sorted({*degrees[-1:], *(degree for degree in degrees if degree == 1)})
    quantities = ["train_discrepancy", "test_discrepancy", *(f"component_{k}" for k in shown), "weight_alignment"]
    highest = degrees[-1] if degrees and degrees[-1] > 1 else None
    heights = [2.2 if quantity == f"component_{highest}" else 1.0 for quantity in quantities]
    scales = _scales(theory)
    dimension = float(half_learned["dimension"].iloc[0])
    unit = dimension if np.isfinite(dimension) else 1.0
    rows = style.sources(*_joined(theory, langevin, components))
    figure, grid = style.subplots(
        len(quantities), len(scales), 1.25 * sum(heights) + 0.6, sharex=True, sharey="row", height_ratios=heights
    )
    for line, quantity in zip(grid, quantities, strict=True):
        for axes, chi in zip(line, scales, strict=True):
            _curves(axes, rows, quantity, chi, unit)
            if quantity == f"component_{highest}":
                _half(axes, half_learned[(half_learned["degree"] == highest) & (half_learned["chi"] == chi)], unit)
        line[0].set_ylabel(_LABELS[quantity])
        low, high = line[0].get_ylim()
        line[0].set_ylim(min(low, 0), max(high, 1.1) if quantity == f"component_{highest}" else high)
    for axes, chi in zip(grid[0], scales, strict=True):
        axes.set_title(rf"$\chi = {chi:g}$")
    _axis(grid, np.sort(theory["n_train"].unique()) / unit, _unit(unit))
    return style.finished(figure, grid, legend=grid[0, 0])


def _scales(theory: style.Table) -> list[float]:
    """Return the scales nearest to 1, sqrt(N) and N."""
    known = theory[["chi", "gamma"]].drop_duplicates().to_numpy()
    nearest = (known[np.argmin(np.abs(known[:, 1] - gamma)), 0] for gamma in _GAMMAS)
    return sorted({float(chi) for chi in nearest})


def _joined(theory: style.Table, langevin: style.Table, components: style.Table) -> Iterator[style.Table]:
    """Yield both tables with the learned shares of the components as ``component_k``, with their errors."""
    place = ["seed", "chi", "n_train"]
    teacher = components.groupby(["seed", "degree"])["teacher"].transform("first")
    shares = components.assign(share=components["strength"] / teacher, error=components["error"] / teacher.abs())
    for table, key, suffix in ((theory, "level", "mc_error"), (langevin, "source", "error")):
        own = table if key == "level" else table.assign(source="langevin")
        for degree, at in shares.groupby("degree"):
            names = {"share": f"component_{degree}", "error": f"component_{degree}_{suffix}", "source": key}
            own = own.merge(at[[*place, *names]].rename(columns=names), how="left", on=[*place, key])
        yield own


def _curves(axes: style.Axes, rows: style.Sources, quantity: str, chi: float, unit: float) -> None:
    """Draw one quantity at one scale against the number of samples."""
    for level, every in rows.items():
        at = every.xs(chi, level="chi").reset_index()
        if level is None:
            _points(axes, at, quantity, unit)
            continue
        by_samples = at.groupby("n_train")
        mean, low, high = style.over_seeds(by_samples[quantity]), by_samples[quantity].min(), by_samples[quantity].max()
        error = by_samples[f"{quantity}_mc_error"].agg(lambda errors: float(np.sqrt(np.sum(errors**2))) / len(errors))
        axes.errorbar(mean.index / unit, mean, 2 * error, elinewidth=0.8, zorder=2, **style.look(level))
        axes.fill_between(mean.index / unit, low, high, color=style.color(level), alpha=0.1, linewidth=0)


def _points(axes: style.Axes, at: style.Table, quantity: str, unit: float) -> None:
    """Draw training: runs that have mixed filled, others hollow."""
    look: Any = {"fmt": "o", "color": style.color(None), "markeredgewidth": 0.8, "elinewidth": 0.8, "zorder": 4}
    for mixed, face, label in (
        (True, style.color(None), style.label(None)),
        (False, "white", f"{style.label(None)}, not mixed"),
    ):
        runs = at[at["mixed"] == mixed]
        if len(runs) or mixed:
            bars = 2 * runs[f"{quantity}_error"]
            axes.errorbar(runs["n_train"] / unit, runs[quantity], bars, markerfacecolor=face, label=label, **look)


def _half(axes: style.Axes, half: style.Table, unit: float) -> None:
    """Mark where half of a component is learned, and write down where, or why there is no such place."""
    axes.axhline(1, color="0.4", linestyle="--", linewidth=0.8, zorder=1)
    axes.axhline(0.5, color="0.4", linestyle=":", linewidth=0.8, zorder=1)
    places: list[str] = []
    others: dict[str, list[str]] = {}  # labels by note
    for level in (*levels.ordered(half["source"]), None):
        at = half[half["source"] == (level.name if level else "langevin")]
        missing = at["n_half"].isna()
        if missing.any():
            others.setdefault(at.loc[missing, "note"].iloc[0], []).append(style.label(level))
        elif len(at):
            where = float(np.exp(np.log(at["n_half"]).mean())) / unit
            error = where * float(np.sqrt(np.sum((at["n_half_error"] / at["n_half"]) ** 2))) / len(at)
            look: Any = {"color": style.color(level), "marker": "|", "markersize": 9, "markeredgewidth": 1.2}
            axes.errorbar(where, 0.5, xerr=2 * error, elinewidth=0.8, zorder=5, **look)
            places.append(f"{style.label(level)} {_rounded(where, error)}")
    lines = [f"half at {_unit(unit)} =", *places] if places else []
    for note, labels in others.items():
        lines += [f"half {note}:", *(", ".join(labels[k : k + 2]) for k in range(0, len(labels), 2))]
    frame = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
    # behind curves and points, before the lines at all and at half
    look = {"va": "top", "fontsize": 5.5, "bbox": frame, "zorder": 1.5}
    axes.annotate("\n".join(lines), (0.03, 0.93), xycoords=axes.get_yaxis_transform(), **look)


def _unit(unit: float) -> str:
    return "P" if unit == 1 else "P/D"


def _rounded(value: float, error: float) -> str:
    """Return value and standard error to the error's first digit, at most two decimals."""
    digits = 2 if error <= 0 else min(2, max(0, -int(np.floor(np.log10(error)))))
    return rf"{value:.{digits}f}" + (rf" $\pm$ {error:.{digits}f}" if error > 0 else "")


def _axis(grid: Any, ratios: np.ndarray, label: str) -> None:
    from matplotlib.ticker import NullLocator

    for axes in grid.flat:
        axes.set_xscale("log")
        style.plain_ticks(axes.xaxis, [float(f"{ratio:.2g}") for ratio in ratios])
        axes.xaxis.set_minor_locator(NullLocator())
    for axes in grid[-1]:
        axes.set_xlabel(label)
