"""A population of neurons carried from scale to scale (the paper's Algorithm 1; docs/theory.md, section 5c).

From one scale to the next the tree level is solved on the population reweighted to the new measure, and neurons
are resampled with these weights, as in sequential Monte Carlo: the dynamics move neurons within a region, the
resampling moves mass between regions that the dynamics would take long to cross (a few strongly tilted neurons
and a bulk near the prior). Then the population moves on at the new scale with its field solved block by block.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from msat.activations.base import Activation
from msat.geometry import RowSpace
from msat.network import Network
from msat.theory.sampled.draws import Draws, TreeSolution, solve_tree
from msat.theory.sampled.population import (
    BLOCKS,
    Population,
    Snapshots,
    as_draws,
    collect,
    field,
    move,
    prior_population,
)
from msat.types import Array, Indices

_LOG_STEP = 0.4  # of chi while annealing
_SMALLEST_LOG_STEP = 1e-3
_STEP_ESS = 0.5  # of the weights of one step
_ANNEAL_SWEEPS = 2  # one in each metric
_START_ESS = 0.98  # the anneal starts where draws from the prior are worth this much


@dataclass(frozen=True)
class Effort:
    """How much sampling the neuron levels do.

    Attributes:
        neurons: Size of the population, rounded up to a multiple of 16; None: ``max(4096, 8 P)``. Its finite size
            biases the answer by about (loop correction of a network of that width).
        snapshots, spacing: Number of population states per scale, and sweeps between them.
        settle: Sweeps at a scale before the first snapshot. Settling and collecting are repeated, twice as long each
            time, up to `rounds` times in all, until the sweeps at this scale exceed `relaxations` times the
            autocorrelation time of the neurons' u^2 and the training outputs no longer drift.
        relaxations, rounds: See there.
        tolerance: Relative change of ``y.ft`` that counts as none: between settling and collecting, and between the
            upward and the downward anneal.
        min_ess: Smallest fraction of effective draws in Newton's method on the collected states.
    """

    neurons: int | None = None
    snapshots: int = 3
    spacing: int = 2
    settle: int = 4
    relaxations: float = 3.0
    rounds: int = 7
    tolerance: float = 5e-3
    min_ess: float = 0.3


@dataclass(frozen=True, eq=False)
class Problem:
    """What stays the same along an anneal: data in row-space coordinates, activation, effort, randomness."""

    space: RowSpace
    y: Array
    activation: Activation
    effort: Effort
    rng: np.random.Generator


@dataclass(frozen=True, eq=False)
class Anneal:
    """Where an anneal stands: the population, its field, and the action with its derivatives in ln chi.

    ``dS*/d ln chi = -y.ft/2`` and ``d ft/d ln chi = (ft + G y)/2``: W depends on ft and tau through
    ``sqrt(tau) ft`` only, and kappa and tau are both proportional to 1/chi.

    Attributes:
        network: The network at the scale reached.
        population, conjugate: The neurons and the ft to which they are tilted, (P,).
        log_chi, action, slope, bend: ln chi to which the action has been integrated, S* and its derivatives in ln chi
            there.
        error: Monte Carlo error of the action. Neurons that do not move between two scales make the errors of the slope
            add up, so the integral of the slope's error is taken.
        measured: ln chi at the scale up to which `error` has been taken.
    """

    network: Network
    population: Population
    conjugate: Array
    log_chi: float
    action: float
    slope: float
    bend: float
    error: float
    measured: float

    def integrated(self, tree: TreeSolution, y: Array) -> Anneal:
        """Return the state with the action at its scale: the trapezoid rule with end correction."""
        log_chi = float(np.log(self.network.chi))
        step = log_chi - self.log_chi
        slope, bend = _derivatives(y, tree)
        change = 0.5 * step * (self.slope + slope) + step**2 / 12 * (self.bend - bend)
        return replace(self, log_chi=log_chi, action=self.action + change, slope=slope, bend=bend)

    def with_error(self, slope_error: float) -> Anneal:
        """Return the state with the error gathered since the last scale, given the slope's error at this one."""
        gathered = self.error + slope_error * abs(self.log_chi - self.measured)
        return replace(self, error=gathered, measured=self.log_chi)


def start(problem: Problem, lowest: Network) -> Anneal:
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
    # N times the error of a logarithm of a mean; moment matching makes the true one smaller
    error = at.width * float(np.sqrt((1 / tree.tilt.ess_fraction - 1) / population.size))
    population = _resampled(population, tree.tilt.weights, problem.rng)
    slope, bend = _derivatives(y, tree)
    log_chi = float(np.log(at.chi))
    return Anneal(at, population, tree.conjugate, log_chi, tree.action, slope, bend, error, measured=log_chi)


def carry(problem: Problem, state: Anneal, target: Network) -> Anneal:
    """Return the anneal at the target's scale, above or below its own."""
    space, y, activation = problem.space, problem.y, problem.activation
    end, longest = float(np.log(target.chi)), _LOG_STEP
    while state.network.chi != target.chi:
        population, here = state.population, float(np.log(state.network.chi))
        step = float(np.clip(end - here, -longest, longest))
        # the last step ends on the target exactly
        at = target if abs(end - here) <= longest else target.at(float(np.exp(here + step)))
        draws = as_draws(population.positions, population.features, state.conjugate, space, state.network, activation)
        if state.log_chi != here:
            # calibrated draws take most of the finite population's bias out of the action's integral
            state = state.integrated(solve_tree(draws, y, state.network, state.conjugate, _STEP_ESS), y)
        # at the same sqrt(tau) ft every neuron keeps its weight
        tree = solve_tree(draws, y, at, state.conjugate * np.exp(0.5 * step), _STEP_ESS)
        if not tree.converged and longest > _SMALLEST_LOG_STEP:
            longest /= 2
            continue
        population = _resampled(population, tree.tilt.weights, problem.rng)
        population, conjugates = move(population, space, y, at, activation, _ANNEAL_SWEEPS, problem.rng)
        state = replace(state, network=at, population=population, conjugate=conjugates[-1])
    return state


def settle(problem: Problem, state: Anneal, snapshots: int) -> tuple[Anneal, Snapshots, bool]:
    """Return the anneal with its population settled, snapshots of it, and whether it has settled."""
    space, y, activation, effort, rng = (problem.space, problem.y, problem.activation, problem.effort, problem.rng)
    at, population = state.network, state.population
    sweeps, done = effort.settle, 0
    for _ in range(effort.rounds):
        products: list[float] = []
        while len(products) < sweeps:  # short runs: each renews the metric of the population
            population, fields = move(population, space, y, at, activation, _ANNEAL_SWEEPS, rng)
            products.extend(fields @ y)
        population, collected = collect(population, space, y, at, activation, snapshots, effort.spacing, rng)
        window = len(collected.conjugates)
        done += len(products) + window
        late = np.array(products[len(products) // 2 :])
        stationary = _agree(late, collected.conjugates @ y, effort.tolerance)
        # one snapshot says nothing of the autocorrelation time
        slow = snapshots > 1 and done < effort.relaxations * effort.spacing * _relaxation(collected)
        if stationary and not slow:
            break
        sweeps *= 2
    state = replace(state, population=population, conjugate=collected.conjugates.mean(axis=0))
    return state, collected, stationary


def solve_part(
    problem: Problem, snapshots: Snapshots, rows: Indices, at: Network, guess: Array
) -> tuple[Draws, TreeSolution]:
    """Return some of the draws, sampled at the snapshots' mean field, and the tree level solved on them."""
    sampled_at = snapshots.conjugates.mean(axis=0)
    draws = as_draws(
        snapshots.positions[rows], snapshots.features[rows], sampled_at, problem.space, at, problem.activation
    )
    return draws, solve_tree(draws, problem.y, at, guess, problem.effort.min_ess)


def draws_per_chain(snapshots: Snapshots) -> float:
    """Return how many independent draws one neuron contributes, between 1 and the number of snapshots.

    Neurons are independent given ft, so the variance of a draw over that of a neuron's mean counts its draws.
    """
    u = np.abs(snapshots.features @ snapshots.conjugates.mean(axis=0)).reshape(snapshots.snapshots, -1)
    between = float(u.mean(axis=0).var())
    most = float(snapshots.snapshots)
    return min(max(float(u.var()) / between, 1.0), most) if between > 0 else most


def _relaxation(snapshots: Snapshots) -> float:
    """Return the autocorrelation time of u^2 of one neuron, in snapshots, from its fall over the whole window.

    The square is what a neuron adds to the field: the few strongly tilted neurons count as much as all others.
    """
    u = ((snapshots.features @ snapshots.conjugates.mean(axis=0)) ** 2).reshape(snapshots.snapshots, -1)
    u = u - u.mean()
    correlation = float(np.mean(u[0] * u[-1]) / np.mean(u**2))
    return float((snapshots.snapshots - 1) / -np.log(np.clip(correlation, 0.01, 0.99)))


def _resampled(population: Population, weights: Array, rng: np.random.Generator) -> Population:
    """Return neurons drawn with the weights, systematically within each block, which keeps blocks independent."""
    rows = population.size // BLOCKS
    chosen = []
    for block in range(BLOCKS):
        cumulative = np.cumsum(weights[block * rows : (block + 1) * rows])
        points = (np.arange(rows) + rng.random()) / rows * cumulative[-1]
        chosen.append(block * rows + np.minimum(np.searchsorted(cumulative, points), rows - 1))
    return population.chosen(np.concatenate(chosen))


def _derivatives(y: Array, tree: TreeSolution) -> tuple[float, float]:
    product = float(y @ tree.conjugate)
    return -0.5 * product, -0.25 * (product + float(y @ tree.propagator @ y))


def _agree(first: Array, second: Array, tolerance: float) -> bool:
    """Return whether the means of two series agree, within the tolerance or four standard errors."""
    if len(first) < 2:
        return False
    # sweeps are correlated: a factor 2 on the naive standard error
    error = 2 * np.sqrt(first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second))
    allowed = tolerance * abs(float(second.mean()))
    return bool(abs(float(first.mean() - second.mean())) < max(allowed, min(4 * error, 4 * allowed)))
