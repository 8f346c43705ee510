"""What follows from levels on a sample of the tilted neuron: averages on all draws and on batches of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, cast

import numpy as np

from msat.theory.action import Expansion, Saddle, Solution, fluctuations
from msat.theory.prediction import Outputs, Prediction, nothing
from msat.theory.sampled.action import SampledAction
from msat.theory.sampled.cumulants import LoopWeights, loop_weights
from msat.theory.sampled.population import BLOCKS, Snapshots
from msat.theory.sampled.problem import Problem
from msat.theory.sampled.test_points import Average, Averages, at_test_points
from msat.types import Array, Indices

POPULATION = 512  # neurons that a file keeps of each scale


@dataclass(frozen=True, eq=False)
class Sample:
    """Draws at one scale, with all that the levels share.

    Attributes:
        snapshots: The population's states, whose neurons are the draws.
        saddle: The tree level on these draws, with the solver's account.
        batches: The rows of disjoint parts of them, (n_b,), and S at the tree level on each.
        action_error: Monte Carlo error of S(ft*).
        effective_sample_size: Independent neurons that the sample is worth.
    """

    snapshots: Snapshots
    saddle: Saddle[SampledAction]
    batches: Sequence[tuple[Indices, SampledAction]]
    action_error: float
    effective_sample_size: float

    def neurons(self, problem: Problem) -> Array:
        """Return the pre-activations of `POPULATION` neurons of the last snapshot, spread over its blocks."""
        last = self.snapshots.positions[-self.snapshots.rows * BLOCKS :]
        return np.asarray(last[:: -(-len(last) // POPULATION)] @ problem.space.train.T)


def answered(sample: Sample, levels: Mapping[str, ModuleType], problem: Problem) -> dict[str, Prediction]:
    """Return the predictions of levels by name; those about one measure share the features of its test points.

    A level without a solution is NaN.
    """
    solutions: dict[str, Solution] = {name: level.solve(sample.saddle) for name, level in levels.items()}
    measures: dict[int, dict[str, Averages]] = {}
    for name, solution in solutions.items():
        if solution.expansion is not None:
            parts = [_average(levels[name].again(solution, action), rows) for rows, action in sample.batches]
            averages = Averages(_average(solution.expansion), parts, solution.loop_covariance)
            measures.setdefault(id(solution.expansion.action), {})[name] = averages
    found: dict[str, Prediction] = {}
    for group in measures.values():
        points = at_test_points(sample.snapshots, list(group.values()), problem)
        for (name, averages), outputs in zip(group.items(), points, strict=True):
            found[name] = _prediction(problem, sample, solutions[name], averages, *outputs)
    sizes, worth = (len(problem.y), len(problem.space.test)), sample.effective_sample_size
    return {
        name: found.get(name) or nothing(*sizes, 2, effective_sample_size=worth, **solution.account())
        for name, solution in solutions.items()
    }


def _average(expansion: Expansion, rows: Indices | slice = slice(None)) -> Average:
    """Return how a level averages over the measure that it expands about, eq. (5)."""
    action = cast(SampledAction, expansion.action)
    neuron = action.neuron
    if not expansion.loop:
        m, square, *_ = neuron.moments
        return Average(rows, action, expansion.field, LoopWeights(np.ones_like(m), m, square))
    shift = np.zeros(len(action.y)) if expansion.shift is None else expansion.shift
    return Average(rows, action, expansion.field, loop_weights(neuron, shift))


def _prediction(
    problem: Problem,
    sample: Sample,
    solution: Solution,
    averages: Averages,
    mean: Array,
    by_batch: Array,
    variance: Array,
) -> Prediction:
    whole, positions = averages.whole, sample.snapshots.positions
    action, network = whole.action, whole.action.network
    batches = []
    for part, mean_test in zip(averages.parts, by_batch, strict=True):
        covariance = network.kappa * (action.identity - network.kappa * part.action.G)
        if averages.loop_covariance is not None:
            covariance = covariance + averages.loop_covariance
        batches.append(Outputs(mean_test=mean_test, covariance_train=covariance, **_train(part, positions)))
    error = 0.0
    if np.isfinite(solution.log_evidence):  # that of the action and, from the batches, of the fluctuations about it
        around = np.array([fluctuations(part.action) for part in averages.parts])
        error = float(np.hypot(sample.action_error, around.std(ddof=1) / np.sqrt(len(around))))
    return Prediction(
        mean_test=mean,
        covariance_train=solution.covariance,
        variance_test=variance,
        readout_norm=network.width * float(action.neuron.weights @ whole.weights.second),
        batches=batches,
        log_evidence_mc_error=error,
        effective_sample_size=sample.effective_sample_size,
        population=sample.neurons(problem),
        **_train(whole, positions),
        **solution.account(),
    )


def _train(average: Average, positions: Array) -> dict[str, Any]:
    """Return the averages on training points and of weights, given the positions of all draws."""
    action, neuron, positions = average.action, average.action.neuron, positions[average.rows]
    by_draw = neuron.weights * average.weights.zeroth
    kernel = (neuron.features * by_draw[:, None]).T @ neuron.features
    moment = (positions * by_draw[:, None]).T @ positions  # the draws themselves would stay in memory
    return {
        "mean_train": action.y - action.network.kappa * average.field,
        "hidden_kernel": 0.5 * (kernel + kernel.T),
        "first_layer": lambda u: float(u @ moment @ u),
    }
