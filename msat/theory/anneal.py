"""The registry of theory levels, and the anneal that carries solutions from scale to scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from msat.activations import get_activation
from msat.errors import InputError
from msat.network import Network
from msat.theory import exact, laplace, nngp, one_loop, rescaling, tree_level
from msat.theory.linear.action import LinearSolution, to_prediction
from msat.theory.linear.spectrum import diagonalise
from msat.theory.prediction import Prediction
from msat.theory.sampled import nonlinear

Array = NDArray[np.float64]

LEVELS = ("nngp", "rescaling", "tree_level", "one_loop", "laplace", "exact")


def check_levels(levels: Sequence[str], activation: str) -> None:
    """Raise InputError if a level is unknown, named twice, or not defined for the activation."""
    get_activation(activation)
    if not levels:
        raise InputError(f"levels is empty: must name at least one of {', '.join(LEVELS)}")
    for name in levels:
        if name not in LEVELS:
            raise InputError(f"level = {name!r}: must be one of {', '.join(LEVELS)}")
        if name == "exact" and activation != "linear":
            raise InputError(
                f"level = 'exact' with activation = {activation!r}: exact needs activation = 'linear'"
            )
        if activation != "linear":
            nonlinear.check_level(name, activation)
    if len(set(levels)) < len(levels):
        raise InputError(f"levels = {','.join(levels)}: a level is named twice")


def defined_levels(activation: str) -> list[str]:
    """Return the levels that are defined for an activation."""
    if activation == "linear":
        return list(LEVELS)
    adaptive = get_activation(activation).linear_growth
    return [name for name in LEVELS if name in nonlinear.KERNEL_LEVELS or (adaptive and name != "exact")]


def anneal(
    x_train: Array,
    y_train: Array,
    x_test: Array,
    network: Network,
    scales: Sequence[float],
    levels: Sequence[str],
    seed: int = 0,
    direction: Array | None = None,
) -> Iterator[tuple[int, str, Prediction]]:
    """Yield (index of the scale, level, prediction), annealing chi upwards (the paper's Algorithm 1).

    Linear networks are solved in closed form in the eigenbasis of the input kernel, others by sampling the
    tilted single-neuron measure (`msat.theory.sampled.nonlinear`).

    Parameters
    ----------
    x_train, y_train, x_test
        Data, shapes (P, D), (P,), (Q, D).
    network
        The network; its chi is replaced by each of the scales.
    scales
        Values of chi in any order; indices refer to this order.
    levels
        Names out of `LEVELS`.
    seed
        Seed of the sampling; closed forms use none.
    direction
        Row-space coordinates of the unit vector of the weight alignment, (r,), for sampled levels.

    Raises
    ------
    InputError
        If a level is unknown or not defined for the activation.
    """
    check_levels(levels, network.activation)
    if network.activation != "linear":
        results = nonlinear.solve_scales(
            x_train, y_train, x_test, network, scales, levels, seed, direction=direction
        )
        for index, chi in enumerate(scales):
            for level in levels:
                yield index, level, results[level, float(chi)]
        return
    spectrum = diagonalise(x_train, y_train, x_test, network.g_v)
    gain = 1.0
    for index in np.argsort(np.asarray(scales, dtype=np.float64), kind="stable"):
        at = network.at(float(scales[index]))
        saddle, iterations = tree_level.saddle(spectrum, at, gain)
        gain = saddle.Q
        for level in levels:
            solution: LinearSolution
            match level:
                case "nngp":
                    solution = nngp.solve(spectrum, at)
                case "rescaling":
                    solution = rescaling.solve(spectrum, at)
                case "tree_level":
                    solution = tree_level.solution(spectrum, at, saddle, iterations)
                case "laplace":
                    solution = laplace.solution(spectrum, at, saddle, iterations)
                case "one_loop":
                    solution = one_loop.solution(spectrum, at, saddle)
                case _:
                    solution = exact.solve(spectrum, at)
            yield int(index), level, to_prediction(spectrum, solution)
