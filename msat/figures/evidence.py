"""The log evidence against scale, and the scale that the data prefer."""

from __future__ import annotations

from typing import Any

import numpy as np

from msat import levels
from msat.figures import Declaration, style
from msat.levels import LAPLACE, Level

NEEDS = Declaration("experiment", ("evidence", "evidence_maximum"))
_CHANGE = "log_evidence_change"
_LINEAR = 10.0  # the axis is linear below, logarithmic above
_NOTE: Any = {"va": "top", "fontsize": 6, "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1.5}, "zorder": 5}
_ZOOM = 2.5  # factor of chi on either side of the maximum


def draw(evidence: style.Table, evidence_maximum: style.Table) -> style.Figure:
    """Return the figure: change of the log evidence over all scales, near its maximum, and against the reference.

    The reference is `levels.reference` or the first that there is, and the right panel says which level to
    quote (`levels.quoted`); the middle panel is the first seed. Curves between
    scales are those of `msat.tables.evidence.along`, straight lines where it has none.
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
    quoted = levels.quoted(evidence["source"])
    if quoted:
        text = f"to quote: {style.label(quoted)}"
        if not quoted.exact:  # an ansatz for other networks, which these tables do not tell apart
            text += " if linear" + (f",\nelse differences of {style.label(LAPLACE)}" if LAPLACE in rows else "")
        differences.set_title(text, fontsize=_NOTE["fontsize"])
    return style.finished(figure, grid, legend=whole)


def _source(level: Level | None) -> str:
    return level.name if level else "langevin"


def _curve(rows: style.Table, low: float, high: float) -> style.Series:
    """Return the log evidence over seed and 300 scales; NaN where `along` has none."""
    import pandas as pd

    from msat.tables.evidence import along

    scales = np.geomspace(low, high, 300)
    curves = {seed: pd.Series(along(at.reset_index(), scales), scales) for seed, at in rows.groupby("seed")}
    whole: style.Series = pd.concat(curves, names=["seed", "chi"])
    return whole


def _change(axes: style.Axes, rows: style.Sources) -> None:
    """Draw the log evidence over all scales."""
    heights = [at[_CHANGE] for at in rows.values()]
    for level, at in rows.items():
        if level is None:
            style.langevin_points(axes, at[_CHANGE], at["error"])
            continue
        scales = at.index.get_level_values("chi")
        heights.append(_curve(at, scales.min(), scales.max()))
        style.level_line(axes, level, heights[-1] if heights[-1].notna().all() else at[_CHANGE])
    values = np.concatenate(heights)
    axes.set_yscale("symlog", linthresh=_LINEAR)
    axes.set_ylim(min(1.5 * float(np.nanmin(values)), -1), max(1.5 * float(np.nanmax(values)), 0.3 * _LINEAR))
    axes.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    style.plain_ticks(axes.yaxis)
    axes.set_ylabel(r"$\ln p(\mathbf{y})$ relative to the lowest scale")
    style.chi_axis(axes)


def _near_maximum(axes: style.Axes, rows: style.Sources, centre: float) -> None:
    """Draw one seed about the reference's maximum; all scales if that is NaN."""
    from matplotlib.ticker import LogLocator

    inside = not np.isnan(centre)
    scales = np.concatenate([at.index.get_level_values("chi") for at in rows.values()])
    low, high = np.fmax(scales.min(), centre / _ZOOM), np.fmin(scales.max(), centre * _ZOOM)
    heights = []
    for level, at in rows.items():
        if level is None:
            near = at.query("0.99 * @low <= chi <= 1.01 * @high")
            style.langevin_points(axes, near[_CHANGE], near["error"])
            continue
        curve = _curve(at, low, high).droplevel("seed")
        if curve.notna().all():
            axes.plot(curve, zorder=2, **style.look(level))
            heights.append(curve.to_numpy())
    bottom, top = (float(np.min(heights)), float(np.max(heights))) if heights else (-1.0, 0.0)
    if heights and inside:  # the lower of the reference's ends may be far below
        bottom = min(min(curve[[0, -1]].max() for curve in heights), top - 1)
    reach = max(top - bottom, 1e-3)
    axes.set_ylim(bottom - 0.05 * reach, top + 0.6 * reach)  # room for the numbers above the arch
    axes.set_ylabel(r"$\ln p(\mathbf{y})$, relative")
    style.chi_axis(axes)
    if inside:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        style.plain_ticks(axes.xaxis)
        axes.xaxis.set_minor_formatter("")


def _maxima(axes: style.Axes, best: style.Table, reference: Level | None) -> None:
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
    axes.annotate("\n".join(lines), (0.02, 0.97), xycoords="axes fraction", **_NOTE)
