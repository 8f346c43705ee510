"""Networks with any activation from scale to scale: a population annealed up, and back down as a certificate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np

from msat.activations import get_activation
from msat.geometry import Geometry
from msat.network import Network
from msat.theory.action import Saddle, Solution, joined
from msat.theory.prediction import Prediction
from msat.theory.sampled.action import at_saddle
from msat.theory.sampled.anneal import Anneal, Effort, Problem, carry, draws_per_chain, settle, solve_part, start
from msat.theory.sampled.outputs import Answer, Batch, Sample, predict
from msat.theory.sampled.population import BLOCKS, Snapshots
from msat.types import Array, Indices

_OVERSHOOT = 0.4  # in ln chi, above the highest scale, before the anneal turns back
UNSETTLED_NOTE = "the neuron population had not settled"


def climb(
    geometry: Geometry,
    scales: Sequence[Network],
    levels: Mapping[str, ModuleType],
    seed: int,
    effort: Effort | None = None,
) -> Iterator[tuple[float, str, Prediction]]:
    """Yield (chi, level, prediction) of levels about the action.

    One population of neurons is carried upwards through all scales (the paper's Algorithm 1); the same seed
    gives the same numbers. Predictions carry Monte Carlo errors, and the verdict of a downward anneal.

    Args:
        scales: The network at each scale, ascending.
        levels: Modules of the levels by name.
        seed: Of the sampling, a non-negative integer.
        effort: How much sampling; None is the default `Effort`.
    """
    problem = Problem(
        space=geometry.row_space,
        y=geometry.y_train,
        activation=get_activation(geometry.activation),
        effort=effort or Effort(),
        rng=np.random.default_rng(seed),
    )
    state = start(problem, scales[0])
    upward: dict[float, _Field] = {}
    results: list[tuple[float, str, Prediction]] = []
    for at in scales:
        state, sample = _measure(problem, carry(problem, state, at))
        results += [(at.chi, *item) for item in answered(sample, levels, problem).items()]
        upward[at.chi] = _Field.of(sample, problem.y)
    certificates = _turn_back(problem, state, scales, upward)
    for chi, name, prediction in results:
        yield chi, name, certificates[chi].judge(prediction)


def answered(sample: Sample, levels: Mapping[str, ModuleType], problem: Problem) -> dict[str, Prediction]:
    """Return the predictions of levels at one scale by name; those about one measure share its test points."""
    answers: dict[str, Answer] = {}
    for name, level in levels.items():
        solution: Solution = level.solve(sample.saddle)
        parts = [level.again(solution, b.action) for b in sample.batches] if solution.expansion else []
        answers[name] = Answer(solution, parts)
    measures = {
        name: id(answer.solution.expansion.action) if answer.solution.expansion else 0
        for name, answer in answers.items()
    }
    results: dict[str, Prediction] = {}
    for measure in dict.fromkeys(measures.values()):
        names = [name for name in answers if measures[name] == measure]
        found = predict(sample, [answers[name] for name in names], problem.space, problem.activation)
        results |= zip(names, found, strict=True)
    return results


@dataclass(frozen=True)
class _Field:
    """``y.ft`` at one scale, its Monte Carlo error, and that of one snapshot alone."""

    product: float
    error: float
    snapshot_error: float

    @staticmethod
    def of(sample: Sample, y: Array) -> _Field:
        error = _product_error(y, [batch.action.ft for batch in sample.batches])
        once = error * float(np.sqrt(draws_per_chain(sample.snapshots)))
        return _Field(float(y @ sample.saddle.action.ft), error, once)


def _product_error(y: Array, fields: Sequence[Array]) -> float:
    """Return the standard error of ``y.ft`` from that on batches."""
    products = np.array([y @ ft for ft in fields])
    return float(products.std(ddof=1) / np.sqrt(len(products)))


@dataclass(frozen=True)
class _Certificate:
    """How the tree level of the downward anneal compares with that of the upward one.

    The tree level has one solution (docs/theory.md, section 2): where the two differ, one of them has not
    converged.
    """

    difference: float
    agrees: bool

    def judge(self, prediction: Prediction) -> Prediction:
        text = "" if self.agrees else f"upward and downward anneals differ by {self.difference:+.2%} in y.ft"
        return replace(
            prediction,
            anneal_difference=self.difference,
            converged=prediction.converged and self.agrees,
            note=joined(prediction.note, text),
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
        _, tree = solve_part(problem, snapshots, np.arange(len(snapshots.block)), at, state.conjugate)
        up = upward[at.chi]
        difference = float(y @ tree.conjugate) - up.product
        error = np.hypot(up.error, np.sqrt(2) * up.snapshot_error)  # half the neurons, once
        allowed = max(effort.tolerance * abs(up.product), 4 * error)
        agrees = tree.converged and bool(abs(difference) < allowed)
        results[at.chi] = _Certificate(difference / abs(up.product), agrees)
    return results


def _measure(problem: Problem, state: Anneal) -> tuple[Anneal, Sample]:
    """Settle the population at its scale, collect it, and solve the tree level on what was collected."""
    y, at, min_ess = problem.y, state.network, problem.effort.min_ess
    state, snapshots, stationary = settle(problem, state, problem.effort.snapshots)
    draws, tree = solve_part(problem, snapshots, np.arange(len(snapshots.block)), at, state.conjugate)
    batches = []
    for rows in _batches(snapshots, len(y)):
        part = solve_part(problem, snapshots, rows, at, tree.conjugate)
        # batches only repeat what all draws decide: their own domain does not matter
        batches.append(Batch(rows, at_saddle(*part, y, at, part[1].action, min_ess=0.0)))
    state = state.integrated(tree, y).with_error(0.5 * _product_error(y, [b.action.ft for b in batches]))
    saddle = Saddle(
        at_saddle(draws, tree, y, at, state.action, min_ess),
        converged=tree.converged and stationary,
        residual=tree.residual,
        iterations=tree.iterations,
        note="" if stationary else UNSETTLED_NOTE,
    )
    worth = min(draws_per_chain(snapshots), snapshots.snapshots * tree.tilt.ess_fraction)
    return state, Sample(snapshots, saddle, batches, state.error, state.population.size * worth)


def _batches(snapshots: Snapshots, n_train: int) -> list[Indices]:
    """Return the rows of disjoint groups of blocks, as many as leave each group large against P."""
    count = BLOCKS
    while count > 4 and len(snapshots.block) < 8 * n_train * count:
        count //= 2
    return [np.flatnonzero(snapshots.block * count // BLOCKS == index) for index in range(count)]
