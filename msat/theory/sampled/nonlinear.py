"""All levels for a network with any activation, annealed over scales (docs/theory.md, sections 3 to 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from msat.activations import get_activation
from msat.errors import InputError
from msat.geometry import row_space
from msat.network import Network
from msat.theory import kernel_levels
from msat.theory.prediction import Prediction, batch_error
from msat.theory.sampled import neuron_levels
from msat.theory.sampled.annealing import (
    Anneal,
    Effort,
    Problem,
    carry,
    draws_per_chain,
    settle,
    solve_part,
    start,
)
from msat.theory.sampled.neuron_levels import Sample
from msat.theory.sampled.population import BLOCKS, Snapshots

Array = NDArray[np.float64]

KERNEL_LEVELS = ("nngp", "rescaling")
NEURON_LEVELS = ("tree_level", "one_loop", "laplace")

_OVERSHOOT = 0.4  # in ln chi, above the highest scale, before the anneal turns back


def check_level(level: str, activation: str) -> None:
    """Raise InputError if the level is not defined for the activation."""
    if level not in KERNEL_LEVELS + NEURON_LEVELS:
        known = ", ".join(KERNEL_LEVELS + NEURON_LEVELS)
        raise InputError(f"level = {level!r} with activation = {activation!r}: must be one of {known}")
    if level in NEURON_LEVELS and not get_activation(activation).linear_growth:
        raise InputError(
            f"level = {level!r} with activation = {activation!r}: not defined, since the activation grows"
            f" faster than linearly and E exp(ft.z) diverges; must be one of {', '.join(KERNEL_LEVELS)}"
        )


def solve_scales(
    x_train: Array,
    y_train: Array,
    x_test: Array,
    network: Network,
    chis: Sequence[float],
    levels: Sequence[str],
    seed: int = 0,
    effort: Effort | None = None,
    direction: Array | None = None,
) -> dict[tuple[str, float], Prediction]:
    """Return the predictions of levels at scales, as ``{(level, chi): Prediction}``.

    One population of neurons is carried upwards through all scales (the paper's Algorithm 1); the same seed
    gives the same numbers. Predictions of sampled levels carry Monte Carlo errors.

    Parameters
    ----------
    x_train, y_train, x_test
        Data, shapes (P, D), (P,), (Q, D); Q may be 0.
    network
        The network; its chi is replaced by each of the scales.
    chis
        Scales, positive, in any order.
    levels
        Names out of nngp, rescaling, tree_level, laplace, one_loop.
    seed
        Of the sampling, a non-negative integer.
    effort
        How much sampling; None is the default `Effort`.
    direction
        Row-space coordinates of the unit vector of the weight alignment, (r,); None for no weight alignment.

    Raises
    ------
    InputError
        If a level is unknown or not defined for the activation, or a scale is not positive.
    """
    for level in levels:
        check_level(level, network.activation)
    scales = [network.at(float(chi)) for chi in chis]
    activation = get_activation(network.activation)
    results: dict[tuple[str, float], Prediction] = {}

    if any(level in KERNEL_LEVELS for level in levels):
        kernels = kernel_levels.prior_kernels(x_train, x_test, network.g_v, activation)
        for at in scales:
            if "nngp" in levels:
                results["nngp", at.chi] = kernel_levels.nngp(kernels, y_train, at)
            if "rescaling" in levels:
                results["rescaling", at.chi] = kernel_levels.rescaling(kernels, y_train, at)
    if not scales or not any(level in NEURON_LEVELS for level in levels):
        return results

    problem = Problem(
        space=row_space(x_train, x_test, network.g_v),
        y=y_train,
        activation=activation,
        effort=effort or Effort(),
        rng=np.random.default_rng(seed),
        direction=direction,
    )
    scales = sorted(scales, key=lambda at: at.chi)
    state = start(problem, scales[0])
    upward: dict[float, _Field] = {}
    for at in scales:
        state, sample = _measure(problem, carry(problem, state, at))
        for level, prediction in _predict(problem, sample, levels, at).items():
            results[level, at.chi] = prediction
        upward[at.chi] = _Field.of(sample, y_train)
    for chi, certificate in _turn_back(problem, state, scales, upward).items():
        for level in NEURON_LEVELS:
            if level in levels:
                results[level, chi] = certificate.judge(results[level, chi])
    return results


def _predict(problem: Problem, sample: Sample, levels: Sequence[str], at: Network) -> dict[str, Prediction]:
    """Return the sampled levels among `levels` at one scale."""
    space, y, activation = problem.space, problem.y, problem.activation
    results = {}
    if "tree_level" in levels and "laplace" in levels:
        both = neuron_levels.tree_and_laplace(sample, space, y, at, activation)
        results["tree_level"], results["laplace"] = both
    elif "tree_level" in levels:
        results["tree_level"] = neuron_levels.tree_level(sample, space, y, at, activation)
    elif "laplace" in levels:
        results["laplace"] = neuron_levels.laplace(sample, space, y, at, activation)
    if "one_loop" in levels:
        results["one_loop"] = neuron_levels.one_loop(sample, space, y, at, activation, problem.effort.min_ess)
    return results


@dataclass(frozen=True)
class _Field:
    """``y.ft`` at one scale, its Monte Carlo error, and that of one snapshot alone."""

    product: float
    error: float
    snapshot_error: float

    @staticmethod
    def of(sample: Sample, y: Array) -> _Field:
        batches = np.array([y @ batch.tree.conjugate for batch in sample.batches])
        error = float(batch_error(batches))
        once = error * float(np.sqrt(draws_per_chain(sample.snapshots)))
        return _Field(float(y @ sample.tree.conjugate), error, once)


@dataclass(frozen=True)
class _Certificate:
    """How the tree level of the downward anneal compares with that of the upward one.

    The tree level has one solution (docs/theory.md, section 2): where the two differ, one of them has not
    converged.
    """

    difference: float
    agrees: bool

    def judge(self, prediction: Prediction) -> Prediction:
        note = prediction.note
        if not self.agrees:
            text = f"upward and downward anneals differ by {self.difference:+.2%} in y.ft"
            note = f"{note}; {text}" if note else text
        return replace(
            prediction,
            anneal_difference=self.difference,
            converged=prediction.converged and self.agrees,
            note=note,
        )


def _turn_back(
    problem: Problem, state: Anneal, scales: Sequence[Network], upward: Mapping[float, _Field]
) -> dict[float, _Certificate]:
    """Anneal from above the highest scale down through all scales, and compare.

    Half of the neurons are enough for a comparison.
    """
    effort, y = problem.effort, problem.y
    state = replace(state, population=state.population.half())
    highest = scales[-1]
    state = carry(problem, state, highest.at(highest.chi * float(np.exp(_OVERSHOOT))))
    state, _, _ = settle(problem, state, snapshots=1)
    results = {}
    for at in reversed(scales):
        state, snapshots, _ = settle(problem, carry(problem, state, at), snapshots=1)
        tree = solve_part(problem, snapshots, np.arange(len(snapshots.block)), at, state.conjugate).tree
        up = upward[at.chi]
        difference = float(y @ tree.conjugate) - up.product
        error = np.hypot(up.error, np.sqrt(2) * up.snapshot_error)  # half the neurons, once
        allowed = max(effort.tolerance * abs(up.product), 4 * error)
        agrees = tree.converged and bool(abs(difference) < allowed)
        results[at.chi] = _Certificate(difference / abs(up.product), agrees)
    return results


def _measure(problem: Problem, state: Anneal) -> tuple[Anneal, Sample]:
    """Settle the population at its scale, collect it, and solve the tree level on what was collected."""
    y, at = problem.y, state.network
    state, snapshots, stationary = settle(problem, state, problem.effort.snapshots)
    whole = solve_part(problem, snapshots, np.arange(len(snapshots.block)), at, state.conjugate)
    tree = whole.tree
    batches = [solve_part(problem, snapshots, rows, at, tree.conjugate) for rows in _batches(snapshots, len(y))]
    products = np.array([y @ batch.tree.conjugate for batch in batches])
    state = state.integrated(tree, y).with_error(0.5 * float(batch_error(products)))
    sample = Sample(
        snapshots=snapshots,
        draws=whole.draws,
        tree=tree,
        batches=batches,
        action=state.action,
        action_error=state.error,
        stationary=stationary,
        direction=problem.direction,
        effective_sample_size=state.population.size
        * min(draws_per_chain(snapshots), snapshots.snapshots * tree.tilt.ess_fraction),
    )
    return state, sample


def _batches(snapshots: Snapshots, n_train: int) -> list[NDArray[np.int64]]:
    """Return the rows of disjoint groups of blocks, as many as leave each group large against P."""
    count = BLOCKS
    while count > 4 and len(snapshots.block) < 8 * n_train * count:
        count //= 2
    return [np.flatnonzero(snapshots.block * count // BLOCKS == index) for index in range(count)]
