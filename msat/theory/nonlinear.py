"""All levels for a network with any activation, annealed over scales (docs/theory.md, sections 3 to 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from msat.activations import Activation, get_activation
from msat.errors import InputError
from msat.network import Network
from msat.row_space import RowSpace, row_space
from msat.theory import kernel_levels, neuron_levels
from msat.theory.neuron_levels import Batch, Sample
from msat.theory.population import (
    BLOCKS,
    Population,
    Snapshots,
    as_draws,
    collect,
    field,
    move,
    prior_population,
)
from msat.theory.prediction import Prediction
from msat.theory.tilted_neuron import Draws, solve_tree

Array = NDArray[np.float64]

KERNEL_LEVELS = ("nngp", "rescaling")
NEURON_LEVELS = ("tree_level", "one_loop", "laplace")

_LOG_STEP = 0.2  # of chi while annealing
_ANNEAL_SWEEPS = 3
_START_ESS = 0.98  # the anneal starts where draws from the prior are worth this much


@dataclass(frozen=True)
class Effort:
    """How much sampling the neuron levels do.

    Attributes
    ----------
    neurons
        Size of the population, rounded up to a multiple of 16; None: ``max(4096, 8 P)``. Its finite size
        biases the answer by about (loop correction of a network of that width).
    snapshots, spacing
        Number of population states per scale, and sweeps between them.
    settle
        Sweeps at a scale before the first snapshot. Settling and collecting are repeated, twice as long each
        time, up to `rounds` times in all, until the sweeps at this scale exceed `relaxations` times the
        autocorrelation time of the neurons and the training outputs no longer drift.
    relaxations, rounds
        See there.
    drift
        Relative change of ``y.ft`` between two halves of the collected sweeps that counts as none.
    min_ess
        Smallest fraction of effective draws in Newton's method on the collected states.
    """

    neurons: int | None = None
    snapshots: int = 4
    spacing: int = 4
    settle: int = 12
    relaxations: float = 4.0
    rounds: int = 4
    drift: float = 5e-3
    min_ess: float = 0.3


@dataclass(frozen=True, eq=False)
class _Problem:
    space: RowSpace
    y: Array
    activation: Activation
    effort: Effort
    rng: np.random.Generator


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

    problem = _Problem(
        space=row_space(x_train, x_test, network.g_v),
        y=y_train,
        activation=activation,
        effort=effort or Effort(),
        rng=np.random.default_rng(seed),
    )
    space, y = problem.space, problem.y
    population, anneal = _start(problem, min(scales, key=lambda at: at.chi))
    for at in sorted(scales, key=lambda at: at.chi):
        population, anneal = _anneal(problem, population, anneal, at)
        population, anneal, sample = _measure(problem, population, anneal, at)
        if "tree_level" in levels:
            results["tree_level", at.chi] = neuron_levels.tree_level(sample, space, y, at, activation)
        if "laplace" in levels:
            results["laplace", at.chi] = neuron_levels.laplace(sample, space, y, at, activation)
        if "one_loop" in levels:
            results["one_loop", at.chi] = neuron_levels.one_loop(
                sample, space, y, at, activation, problem.effort.min_ess
            )
    return results


@dataclass(frozen=True)
class _Anneal:
    """Where the anneal stands: the action there and its first two derivatives in ln chi.

    ``dS*/d ln chi = -y.ft/2`` and ``d ft/d ln chi = (ft + G y)/2``: W depends on ft and tau through
    ``sqrt(tau) ft`` only, and kappa and tau are both proportional to 1/chi.
    """

    log_chi: float
    action: float
    slope: float
    bend: float

    def to(self, log_chi: float, slope: float, bend: float) -> _Anneal:
        """Return the state at another scale: the action by the trapezoid rule with end correction."""
        step = log_chi - self.log_chi
        change = 0.5 * step * (self.slope + slope) + step**2 / 12 * (self.bend - bend)
        return _Anneal(log_chi, self.action + change, slope, bend)


def _derivatives(y: Array, conjugate: Array, propagator: Array) -> tuple[float, float]:
    product = float(y @ conjugate)
    return -0.5 * product, -0.25 * (product + float(y @ propagator @ y))


def _start(problem: _Problem, lowest: Network) -> tuple[Population, _Anneal]:
    """Return neurons from the prior and a scale low enough that they represent the tilted measure."""
    effort, y = problem.effort, problem.y
    size = effort.neurons or max(4096, 8 * len(y))
    population = prior_population(problem.space, problem.activation, -(-size // BLOCKS) * BLOCKS, problem.rng)
    draws = Draws(population.features, np.zeros(population.size))
    at = lowest
    while True:
        tree = solve_tree(draws, y, at, field(population.features, y, at), min_ess=0.5)
        if tree.converged and tree.tilt.ess_fraction > _START_ESS:
            break
        at = at.at(at.chi / 2)
    slope, bend = _derivatives(y, tree.conjugate, tree.propagator)
    return population, _Anneal(float(np.log(at.chi)), tree.action, slope, bend)


def _anneal(
    problem: _Problem, population: Population, state: _Anneal, target: Network
) -> tuple[Population, _Anneal]:
    """Carry the population from its scale to just below the target's."""
    distance = float(np.log(target.chi)) - state.log_chi
    steps = int(np.ceil(distance / _LOG_STEP - 1e-9))
    origin = state.log_chi
    for step in range(1, steps):
        log_chi = origin + distance * step / steps
        at = target.at(float(np.exp(log_chi)))
        population, conjugates = move(
            population, problem.space, problem.y, at, problem.activation, _ANNEAL_SWEEPS, problem.rng
        )
        # a calibrated solution removes most of the lag and of the finite population's bias, both of which
        # the integral of the action would add up
        conjugate = conjugates[-1]
        draws = as_draws(
            population.positions, population.features, conjugate, problem.space, at, problem.activation
        )
        tree = solve_tree(draws, problem.y, at, conjugate, problem.effort.min_ess)
        state = state.to(log_chi, *_derivatives(problem.y, tree.conjugate, tree.propagator))
    return population, state


def _measure(
    problem: _Problem, population: Population, state: _Anneal, at: Network
) -> tuple[Population, _Anneal, Sample]:
    """Settle the population at a scale, collect it, and solve the tree level on what was collected."""
    effort, space, y, activation, rng = (
        problem.effort,
        problem.space,
        problem.y,
        problem.activation,
        problem.rng,
    )
    sweeps, done = effort.settle, 0
    for _ in range(effort.rounds):
        for _ in range(-(-sweeps // _ANNEAL_SWEEPS)):  # short runs: each renews the preconditioner
            population, _ = move(population, space, y, at, activation, _ANNEAL_SWEEPS, rng)
        population, snapshots = collect(
            population, space, y, at, activation, effort.snapshots, effort.spacing, rng
        )
        window = len(snapshots.conjugates)
        done += sweeps + window
        relaxation = window / _draws_per_chain(snapshots)
        stationary = _is_stationary(snapshots.conjugates @ y, effort.drift)
        if stationary and done > effort.relaxations * relaxation:
            break
        sweeps *= 2
    conjugate = snapshots.conjugates.mean(axis=0)
    everything = np.arange(len(snapshots.block))
    whole = _solve_part(problem, snapshots, everything, conjugate, at)
    tree = whole.tree
    batches = [_solve_part(problem, snapshots, rows, tree.conjugate, at) for rows in _batches(snapshots, len(y))]
    state = state.to(float(np.log(at.chi)), *_derivatives(y, tree.conjugate, tree.propagator))
    sample = Sample(
        snapshots=snapshots,
        draws=whole.draws,
        tree=tree,
        batches=batches,
        action=state.action,
        stationary=stationary,
        effective_sample_size=population.size
        * min(_draws_per_chain(snapshots), snapshots.snapshots * tree.tilt.ess_fraction),
    )
    return population, state, sample


def _solve_part(
    problem: _Problem, snapshots: Snapshots, rows: NDArray[np.int64], conjugate: Array, at: Network
) -> Batch:
    """Solve the tree level on some of the draws; the field at which they were sampled is the snapshots'."""
    sampled_at = snapshots.conjugates.mean(axis=0)
    draws = as_draws(
        snapshots.positions[rows], snapshots.features[rows], sampled_at, problem.space, at, problem.activation
    )
    return Batch(rows, draws, solve_tree(draws, problem.y, at, conjugate, problem.effort.min_ess))


def _batches(snapshots: Snapshots, n_train: int) -> list[NDArray[np.int64]]:
    """Return the rows of disjoint groups of blocks, as many as leave each group large against P."""
    count = BLOCKS
    while count > 4 and len(snapshots.block) < 12 * n_train * count:
        count //= 2
    return [np.flatnonzero(snapshots.block * count // BLOCKS == index) for index in range(count)]


def _is_stationary(series: Array, tolerance: float) -> bool:
    """Return whether the two halves of a series agree, within the tolerance or four standard errors."""
    half = len(series) // 2
    first, second = series[:half], series[half:]
    # sweeps are correlated: a factor 2 on the naive standard error
    error = 2 * np.sqrt(first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second))
    allowed = tolerance * abs(float(series.mean()))
    return bool(abs(float(first.mean() - second.mean())) < max(allowed, min(4 * error, 4 * allowed)))


def _draws_per_chain(snapshots: Snapshots) -> float:
    """Return how many independent draws one neuron contributes, between 1 and the number of snapshots.

    Neurons are independent given ft, so the variance of a draw over that of a neuron's mean counts its draws.
    """
    u = np.abs(snapshots.features @ snapshots.conjugates.mean(axis=0)).reshape(snapshots.snapshots, -1)
    between = float(u.mean(axis=0).var())
    most = float(snapshots.snapshots)
    return min(max(float(u.var()) / between, 1.0), most) if between > 0 else most
