"""The log evidence against scale, and the scale that the data prefer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from msat import levels
from msat.figures import style
from msat.figures.base import Declaration
from msat.levels import Level

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from msat.figures.style import Sources
    from msat.types import Array

NEEDS = Declaration("experiment", ("evidence", "evidence_maximum"))
_CHANGE = "log_evidence_change"
_LINEAR = 10.0  # the axis is linear below, logarithmic above
_ZOOM = 2.5  # factor of chi on either side of the maximum


def draw(evidence: pd.DataFrame, evidence_maximum: pd.DataFrame) -> Figure:
    """Return the figure: change of the log evidence over all scales, near its maximum, and against the reference.

    The reference is `levels.reference` or the first that there is. In the first and last panel lines are
    means over seeds, bands the range over seeds and points single seeds; the middle panel is the first seed.
    Curves between scales are those of `msat.tables.evidence.along`, straight lines where it has none. Error bars:
    two standard errors.
    """
    rows = style.sources(evidence)
    reference = levels.reference(evidence["source"]) or next(iter(rows))
    figure, grid = style.subplots(1, 3, 2.7)
    whole, near, differences = grid[0]
    _change(whole, rows)
    seed = evidence["seed"].min()
    best = evidence_maximum[evidence_maximum["seed"] == seed].set_index("source")
    centre = float(best["chi_best"].get(_source(reference), np.nan))
    _near_maximum(near, {level: at.loc[[seed]] for level, at in rows.items() if seed in at.index}, centre)
    _maxima(near, best, reference)
    near.set_title(f"seed {seed}")
    style.deviations(differences, rows, reference, _CHANGE, "error", per_cent=False)
    differences.set_yscale("symlog", linthresh=1.0)
    style.plain_ticks(differences.yaxis)
    differences.set_ylabel(rf"$\ln p(\mathbf{{y}})$ less {style.label(reference)}")
    style.chi_axis(differences)
    style.panel_labels(grid)
    style.legend_below(figure, whole)
    return figure


def _source(level: Level | None) -> str:
    return level.name if level else "langevin"


def _curves(rows: pd.DataFrame, low: float, high: float) -> tuple[Array, Array]:
    """Return scales (n,) and each seed's log evidence along them, (seeds, n); NaN where a seed lacks a value."""
    from msat.tables.evidence import along

    points = np.geomspace(low, high, 300)
    curves = [
        along(at.reset_index(), points) if len(at) > 1 else np.full(len(points), np.nan)
        for _, at in rows.groupby("seed")
    ]
    return points, np.array(curves)


def _change(axes: Axes, rows: Sources) -> None:
    """Draw the log evidence over all scales."""
    heights = [at[_CHANGE].to_numpy() for at in rows.values()]
    for level, at in rows.items():
        if level is None:
            style.langevin_points(axes, at[_CHANGE], at["error"])
            continue
        scales = at.index.get_level_values("chi")
        chi, curves = _curves(at, scales.min(), scales.max())
        if np.isnan(curves).all():  # the scales are too far apart for a curve
            style.level_line(axes, level, at[_CHANGE])
            continue
        heights.append(curves.ravel())
        axes.plot(chi, curves.mean(axis=0), zorder=2, **style.look(level))
        low, high = curves.min(axis=0), curves.max(axis=0)
        axes.fill_between(chi, low, high, color=style.color(level), alpha=0.1, linewidth=0)
    values = np.concatenate(heights)
    axes.set_yscale("symlog", linthresh=_LINEAR)
    axes.set_ylim(min(1.5 * float(np.nanmin(values)), -1), max(1.5 * float(np.nanmax(values)), 0.3 * _LINEAR))
    axes.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    style.plain_ticks(axes.yaxis)
    axes.set_ylabel(r"$\ln p(\mathbf{y})$ relative to the lowest scale")
    style.chi_axis(axes)


def _near_maximum(axes: Axes, rows: Sources, centre: float) -> None:
    """Draw one seed about the reference's maximum; all scales if that is NaN."""
    from matplotlib.ticker import LogLocator

    inside = not np.isnan(centre)
    scales = np.concatenate([at.index.get_level_values("chi") for at in rows.values()])
    low, high = scales.min(), scales.max()
    if inside:
        low, high = max(low, centre / _ZOOM), min(high, centre * _ZOOM)
    heights = []
    for level, at in rows.items():
        if level is None:
            near = at.query("0.99 * @low <= chi <= 1.01 * @high")
            style.langevin_points(axes, near[_CHANGE], near["error"])
            continue
        points, curves = _curves(at, low, high)
        if np.isfinite(curves).all():
            axes.plot(points, curves[0], zorder=2, **style.look(level))
            heights.append(curves[0])
    bottom, top = (float(np.min(heights)), float(np.max(heights))) if heights else (-1.0, 0.0)
    if heights and inside:  # the lower of the reference's ends may be far below
        bottom = min(min(curve[[0, -1]].max() for curve in heights), top - 1)
    reach = max(top - bottom, 1e-3)
    axes.set_ylim(bottom - 0.6 * reach, top + 0.15 * reach)  # room for the numbers under the arch
    axes.set_ylabel(r"$\ln p(\mathbf{y})$, relative")
    style.chi_axis(axes)
    if inside:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        style.plain_ticks(axes.xaxis)
        style.no_minor_labels(axes.xaxis)


def _maxima(axes: Axes, best: pd.DataFrame, reference: Level | None) -> None:
    """Mark the maxima of reference and Langevin and write them down."""
    lines = []
    for level in dict.fromkeys((reference, None)):
        if _source(level) not in best.index:
            continue
        at, error = (float(best[name][_source(level)]) for name in ("chi_best", "chi_best_error"))
        if np.isnan(at):
            lines.append(f"{style.label(level)}: no maximum inside")
            continue
        axes.axvline(at, color=style.color(level), linewidth=0.7, linestyle=":", zorder=1)
        if level is None:
            axes.axvspan(at - 2 * error, at + 2 * error, color=style.color(None), alpha=0.25, linewidth=0)
        text = f"{at:.3f}"
        if error > 0:
            digits = max(0, -int(np.floor(np.log10(error))))
            text = rf"{at:.{digits}f} \pm {error:.{digits}f}"
        lines.append(rf"{style.label(level)}: $\chi^* = {text}$")
    frame = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    style.note(axes, 0.02, 0.03, "\n".join(lines), va="bottom", fontsize=6, bbox=frame, zorder=5)
