"""A population of neurons carried from scale to scale (the paper's Algorithm 1; docs/theory.md, section 5c).

From one scale to the next the tree level is solved on the population reweighted to the new measure, and neurons
are resampled with these weights, as in sequential Monte Carlo: the dynamics move neurons within a region, the
resampling moves mass between regions that the dynamics would take long to cross (a few strongly tilted neurons
and a bulk near the prior). Then the population moves on at the new scale with its field solved block by block.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from msat.network import Network
from msat.theory.action import Saddle
from msat.theory.sampled.action import SampledAction, minimum, on_draws
from msat.theory.sampled.draws import Draws
from msat.theory.sampled.population import (
    BLOCKS,
    Population,
    Snapshots,
    as_draws,
    collect,
    field,
    from_prior,
    move,
    stein_scores,
)
from msat.theory.sampled.problem import Problem
from msat.types import Array, Indices

_LOG_STEP = 0.4  # of chi while annealing
_SMALLEST_LOG_STEP = 1e-3
_STEP_ESS = 0.5  # of the weights of one step
_ANNEAL_SWEEPS = 2  # one in each metric
_START_ESS = 0.98  # the anneal starts where draws from the prior are worth this much


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

    def integrated(self, tree: SampledAction) -> Anneal:
        """Return the state with the action at its scale: the trapezoid rule with end correction."""
        log_chi = float(np.log(self.network.chi))
        step = log_chi - self.log_chi
        slope, bend = _derivatives(tree)
        change = 0.5 * step * (self.slope + slope) + step**2 / 12 * (self.bend - bend)
        return replace(self, log_chi=log_chi, action=self.action + change, slope=slope, bend=bend)

    def with_error(self, slope_error: float) -> Anneal:
        """Return the state with the error gathered since the last scale, given the slope's error at this one."""
        gathered = self.error + slope_error * abs(self.log_chi - self.measured)
        return replace(self, error=gathered, measured=self.log_chi)


def start(problem: Problem, lowest: Network) -> Anneal:
    """Return neurons from the prior and a scale low enough that they represent the tilted measure."""
    y, at = problem.y, lowest
    size = problem.effort.neurons or max(4096, 8 * len(y))
    population = from_prior(problem, -(-size // BLOCKS) * BLOCKS)
    draws = Draws(population.neurons.features, np.zeros(population.size))
    while True:
        tree = minimum(on_draws(draws, y, at, field(draws.features, y, at)), min_ess=0.5)
        neuron = tree.action.neuron
        if tree.converged and neuron.ess_fraction > _START_ESS:
            break
        at = at.at(at.chi / 2)
    # N times the error of a logarithm of a mean; moment matching makes the true one smaller
    error = at.width * float(np.sqrt((1 / neuron.ess_fraction - 1) / population.size))
    population = _resampled(population, neuron.weights, problem.rng)
    log_chi, action = float(np.log(at.chi)), tree.action
    return Anneal(at, population, action.ft, log_chi, action.value, *_derivatives(action), error, measured=log_chi)


def carry(problem: Problem, state: Anneal, target: Network) -> Anneal:
    """Return the anneal at the target's scale, above or below its own."""
    end, longest = float(np.log(target.chi)), _LOG_STEP
    while state.network.chi != target.chi:
        (positions, h, features), here = state.population.neurons, float(np.log(state.network.chi))
        step = float(np.clip(end - here, -longest, longest))
        # the last step ends on the target exactly
        at = target if abs(end - here) <= longest else target.at(float(np.exp(here + step)))
        scores = stein_scores(problem, state.network, positions, features, state.conjugate, h)
        draws = as_draws(state.network, features, state.conjugate, scores)
        if state.log_chi != here:
            # calibrated draws take most of the finite population's bias out of the action's integral
            now = on_draws(draws, problem.y, state.network, state.conjugate)
            state = state.integrated(minimum(now, _STEP_ESS).action)
        # at the same sqrt(tau) ft every neuron keeps its weight
        tree = minimum(on_draws(draws, problem.y, at, state.conjugate * np.exp(0.5 * step)), _STEP_ESS)
        if not tree.converged and longest > _SMALLEST_LOG_STEP:
            longest /= 2
            continue
        population = _resampled(state.population, tree.action.neuron.weights, problem.rng)
        population, conjugates = move(problem, at, population, _ANNEAL_SWEEPS)
        state = replace(state, network=at, population=population, conjugate=conjugates[-1])
    return state


def settle(problem: Problem, state: Anneal, snapshots: int) -> tuple[Anneal, Snapshots, bool]:
    """Return the anneal with its population settled, snapshots of it, and whether it has settled."""
    effort, y, at, population = problem.effort, problem.y, state.network, state.population
    sweeps, done = effort.settle, 0
    for _ in range(effort.rounds):
        products: list[float] = []
        while len(products) < sweeps:  # short runs: each renews the metric of the population
            population, fields = move(problem, at, population, _ANNEAL_SWEEPS)
            products.extend(fields @ y)
        population, collected = collect(problem, at, population, snapshots)
        done += len(products) + len(collected.conjugates)
        late = np.array(products[len(products) // 2 :])
        stationary = _agree(late, collected.conjugates @ y, effort.tolerance)
        # one snapshot says nothing of the autocorrelation time
        slow = snapshots > 1 and done < effort.relaxations * effort.spacing * _relaxation(collected)
        if stationary and not slow:
            break
        sweeps *= 2
    return replace(state, population=population, conjugate=collected.conjugate), collected, stationary


def scores_of(problem: Problem, snapshots: Snapshots, at: Network) -> Array:
    """Return the `stein_scores` of all draws, (n, r)."""
    return stein_scores(problem, at, snapshots.positions, snapshots.features, snapshots.conjugate)


def solve_part(
    problem: Problem,
    snapshots: Snapshots,
    scores: Array,
    at: Network,
    guess: Array,
    rows: Indices | slice = slice(None),
) -> Saddle[SampledAction]:
    """Return the tree level solved on some of the draws, which were sampled at the snapshots' mean field.

    Args:
        scores: Those of all draws, by `scores_of`.
        guess: The first field, (P,).
        rows: Which draws.
    """
    draws = as_draws(at, snapshots.features[rows], snapshots.conjugate, scores[rows])
    return minimum(on_draws(draws, problem.y, at, guess), problem.effort.min_ess)


def draws_per_chain(snapshots: Snapshots) -> float:
    """Return how many independent draws one neuron contributes, between 1 and the number of snapshots.

    Neurons are independent given ft, so the variance of a draw over that of a neuron's mean counts its draws.
    """
    u, most = np.abs(snapshots.u), float(snapshots.count)
    between = float(u.mean(axis=0).var())
    return min(max(float(u.var()) / between, 1.0), most) if between > 0 else most


def _relaxation(snapshots: Snapshots) -> float:
    """Return the autocorrelation time of u^2 of one neuron, in snapshots, from its fall over the whole window.

    The square is what a neuron adds to the field: the few strongly tilted neurons count as much as all others.
    """
    u = snapshots.u**2
    u = u - u.mean()
    correlation = float(np.mean(u[0] * u[-1]) / np.mean(u**2))
    return float((snapshots.count - 1) / -np.log(np.clip(correlation, 0.01, 0.99)))


def _resampled(population: Population, weights: Array, rng: np.random.Generator) -> Population:
    """Return neurons drawn with the weights, systematically within each block, which keeps blocks independent."""
    rows = population.size // BLOCKS
    chosen = []
    for block in range(BLOCKS):
        cumulative = np.cumsum(weights[block * rows : (block + 1) * rows])
        points = (np.arange(rows) + rng.random()) / rows * cumulative[-1]
        chosen.append(block * rows + np.minimum(np.searchsorted(cumulative, points), rows - 1))
    return population.chosen(np.concatenate(chosen))


def _derivatives(tree: SampledAction) -> tuple[float, float]:
    """Return the first and second derivative of S* in ln chi."""
    product = float(tree.y @ tree.ft)
    return -0.5 * product, -0.25 * (product + float(tree.y @ tree.G @ tree.y))


def _agree(first: Array, second: Array, tolerance: float) -> bool:
    """Return whether the means of two series agree, within the tolerance or four standard errors."""
    if len(first) < 2:
        return False
    # sweeps are correlated: a factor 2 on the naive standard error
    error = 2 * np.sqrt(first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second))
    allowed = tolerance * abs(float(second.mean()))
    return bool(abs(float(first.mean() - second.mean())) < max(allowed, min(4 * error, 4 * allowed)))
