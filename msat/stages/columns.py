"""The engine of all maps: the levels of one network on one data set, annealed once over a column of scales.

Every map is a list of columns; what its axes are, and how its rows are named, is its own affair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq

from msat.geometry import Geometry, decompose
from msat.keys import derived_seed
from msat.levels import EXACT, why_undefined
from msat.network import Network
from msat.observables.functions import discrepancy, gain
from msat.theory.anneal import anneal
from msat.theory.prediction import Prediction
from msat.types import Array

if TYPE_CHECKING:
    from msat.tasks.base import Task

_PRECISION = 1e-13  # of ln chi*
_SAME = 1e-6  # of two scales, relative
_ZERO = 1e-6  # of ln (discrepancy / kappa) there


@dataclass(frozen=True)
class Cell:
    """What one level says at one scale.

    Attributes:
        train_discrepancy: ``y.(y - <f>)/P``; NaN where the level has no solution.
        hidden_kernel_gain: ``y.H y / y.K y``; NaN likewise.
        relative_error: Of the train discrepancy against the exact level; NaN where there is none.
        transition: Whether a downward and an upward anneal end in different places, as at a first-order transition.
            Never in closed form: a linear network's tree level has one root (docs/theory.md, section 3).
        converged, loop_strength, anneal_difference, note: As in `msat.theory.prediction.Prediction`.
    """

    converged: bool
    train_discrepancy: float
    hidden_kernel_gain: float
    relative_error: float
    loop_strength: float
    anneal_difference: float
    transition: bool
    note: str


class Preferred(NamedTuple):
    """Scale at which the train discrepancy equals kappa (docs/theory.md, eq. 6); NaN with the reason if there is none.

    Where ln p(y) has more than one maximum it is the lowest, and the note has the others.
    """

    chi: float
    note: str = ""


@dataclass(frozen=True)
class Column:
    """Cells by (scale, level), and the preferred scale of each level if it was looked for."""

    cells: dict[tuple[float, str], Cell]
    preferred: dict[str, Preferred]


def column(
    task: Task,
    network: Network,
    scales: Sequence[float],
    levels: Sequence[str],
    seed: int = 0,
    searched: Sequence[float] = (),
) -> Column:
    """Return all levels at all scales, from one anneal, on the training data of a task.

    The numbers are those of ``msat.solve`` with the same scales, levels and seed on the data without test points.

    Args:
        scales: Values of chi, in any order; a value may be repeated.
        levels: Names of levels; the exact one is solved beside them where it is defined.
        searched: Ascending scales between which the preferred scale is looked for; empty not to look for it. For
            networks that are not linear they are solved in the same anneal.

    Raises:
        InputError: If a level is not defined for the activation.
    """
    geometry, linear = decompose(task, network), network.activation == "linear"
    # a scale that rounding doubles would be solved twice, and interpolated over nothing
    beside = [] if linear else [chi for chi in searched if not np.isclose(chi, scales, rtol=_SAME, atol=0).any()]
    solved = sorted({*scales, *beside})
    compared = EXACT.name not in levels and not why_undefined(
        EXACT, network.activation, task.n_outputs, network.widths[-1], network.depth
    )
    asked = [*levels, *([EXACT.name] if compared else [])]
    sampling_seed = derived_seed({"stage": "theory", "seed": seed, "data": task.digest()})
    found = {(solved[i], name): at for i, name, at in anneal(geometry, network, solved, asked, sampling_seed)}
    values = {place: _discrepancy(geometry, at) for place, at in found.items()}
    cells = {}
    for chi in scales:
        exact = values.get((chi, EXACT.name), float("nan"))
        for name in levels:
            cells[chi, name] = _cell(geometry, found[chi, name], values[chi, name], exact)
    if not searched:
        return Column(cells, {})
    if linear:
        return Column(cells, {name: _closed(geometry, network, name, searched) for name in levels})
    low, high = searched[0] * (1 - _SAME), searched[-1] * (1 + _SAME)
    inside = [chi for chi in solved if low <= chi <= high]
    return Column(cells, {name: _sampled(network, name, inside, values) for name in levels})


def _discrepancy(geometry: Geometry, at: Prediction) -> float:
    return discrepancy(geometry.y_train, at.mean_train, at.delta_train)


def _cell(geometry: Geometry, at: Prediction, value: float, exact: float) -> Cell:
    return Cell(
        converged=at.converged,
        train_discrepancy=value,
        hidden_kernel_gain=gain(geometry.y_train, at.hidden_kernel, geometry.prior_kernel),
        relative_error=value / exact - 1,
        loop_strength=at.loop_strength,
        anneal_difference=at.anneal_difference,
        transition=not at.anneals_agree,
        note=at.note,
    )


def _closed(geometry: Geometry, network: Network, level: str, scales: Sequence[float]) -> Preferred:
    """Return the preferred scale of a linear network: bracketed on the scales, then solved for."""

    def excess(log_chi: float) -> float:
        at = network.at(float(np.exp(log_chi)))
        ((_, _, found),) = anneal(geometry, at, [at.chi], [level])
        return _log_ratio(_discrepancy(geometry, found), at.kappa)

    solved = anneal(geometry, network, scales, [level])
    ratios = {i: _log_ratio(_discrepancy(geometry, at), network.at(scales[i]).kappa) for i, _, at in solved}
    return _maximum(scales, np.array([ratios[i] for i in range(len(scales))]), excess)


def _sampled(
    network: Network, level: str, scales: Sequence[float], values: dict[tuple[float, str], float]
) -> Preferred:
    """Return the preferred scale by monotone cubic interpolation of ``ln (discrepancy / kappa)`` over ``ln chi``."""
    ratios = np.array([_log_ratio(values[chi, level], network.at(chi).kappa) for chi in scales])
    finite = np.isfinite(ratios)
    if finite.sum() < 2:
        return Preferred(float("nan"), "no solution at two scales of the range")
    curve = PchipInterpolator(np.log(scales)[finite], ratios[finite])
    return _maximum(scales, ratios, lambda log_chi: float(curve(log_chi)))


def _log_ratio(value: float, kappa: float) -> float:
    """Return ``ln (discrepancy / kappa)``: negative where ln p(y) rises with chi; NaN without a positive value."""
    return float(np.log(value / kappa)) if value > 0 else float("nan")


def _maximum(scales: Sequence[float], ratios: Array, excess: Callable[[float], float]) -> Preferred:
    """Return the lowest scale at which ln p(y) goes over from rising to falling with chi."""
    tops = [i for i in range(len(scales) - 1) if ratios[i] < 0 <= ratios[i + 1]]
    span = f"from chi = {scales[0]:.3g} to {scales[-1]:.3g}"
    if not tops:
        if np.any(np.isnan(ratios)):
            return Preferred(float("nan"), f"no solution everywhere {span}, and no maximum of ln p where there is one")
        way = "rises" if np.all(ratios < 0) else "falls" if np.all(ratios >= 0) else "has its maximum at an end"
        return Preferred(float("nan"), f"not reached: ln p {way} {span}")
    i = tops[0]
    ends = {float(np.log(scales[j])): float(ratios[j]) for j in (i, i + 1)}  # as found, whatever rounding says again
    try:
        log_chi = brentq(lambda at: ends.get(at) or excess(at), *ends, xtol=_PRECISION, rtol=_PRECISION)
    except ValueError:  # NaN between two scales
        log_chi = float("nan")
    if np.isnan(log_chi) or not abs(excess(log_chi)) < _ZERO:
        return Preferred(float("nan"), f"no solution between chi = {scales[i]:.3g} and {scales[i + 1]:.3g}")
    others = ", ".join(f"{np.sqrt(scales[j] * scales[j + 1]):.2g}" for j in tops[1:])
    return Preferred(float(np.exp(log_chi)), f"ln p has further maxima near chi = {others}" if others else "")
