"""Networks with any activation from scale to scale: a population annealed up, and back down as a certificate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import ModuleType

import numpy as np

from msat.activations import get_activation
from msat.geometry import Geometry
from msat.network import Network
from msat.theory.action import joined
from msat.theory.prediction import Prediction
from msat.theory.sampled.anneal import Anneal, carry, draws_per_chain, scores_of, settle, solve_part, start
from msat.theory.sampled.outputs import Sample, answered
from msat.theory.sampled.population import BLOCKS, Snapshots
from msat.theory.sampled.problem import USUAL, Effort, Problem
from msat.types import Indices

_OVERSHOOT = 0.4  # in ln chi, above the highest scale, before the anneal turns back
# of the training points over the neurons on the way back: what their finite number shifts y.ft by at most
# (erf, N = 100, D = 50: 0.3 to 1.3 % at P = 150 and 200, 0.6 to 2.2 % at P = 400; a fifth of it with 4 times as many)
_FINITE = 0.2
Answer = Callable[[Sample, Mapping[str, ModuleType], Problem], dict[str, Prediction]]
UNSETTLED_NOTE = "the neuron population had not settled"


def climb(
    geometry: Geometry, scales: Sequence[Network], levels: Mapping[str, ModuleType], seed: int, effort: Effort = USUAL
) -> Iterator[tuple[float, str, Prediction]]:
    """Yield (chi, level, prediction) as `msat.theory.anneal.ladder` says.

    One population of neurons is carried upwards through all scales (the paper's Algorithm 1); the same seed
    gives the same numbers. Predictions carry Monte Carlo errors, and the verdict of a downward anneal.
    """
    activation, rng = get_activation(geometry.activation), np.random.default_rng(seed)
    problem = Problem(geometry.row_space, geometry.y_train.reshape(-1), activation, effort, rng)
    return climbed(problem, scales, levels, answered)


def climbed(
    problem: Problem, scales: Sequence[Network], levels: Mapping[str, ModuleType], answer: Answer
) -> Iterator[tuple[float, str, Prediction]]:
    """Yield (chi, level, prediction) of a problem; `answer` averages levels over the sample of each scale."""
    state = start(problem, scales[0])
    products: dict[float, tuple[float, float]] = {}
    results: list[tuple[float, str, Prediction]] = []
    for at in scales:
        state, sample, error = _measure(problem, carry(problem, state, at))
        results += [(at.chi, *item) for item in answer(sample, levels, problem).items()]
        # the way back has half the neurons, once: twice the variance of one snapshot's
        once = np.sqrt(2) * (error * float(np.sqrt(draws_per_chain(sample.snapshots))))
        products[at.chi] = float(problem.y @ sample.saddle.action.ft), float(np.hypot(error, once))
    certificates = _turn_back(problem, state, scales, products)
    for chi, name, prediction in results:
        difference, agrees = certificates[chi]
        text = "" if agrees else f"upward and downward anneals differ by {difference:+.2%} in y.ft"
        converged, note = prediction.converged and agrees, joined(prediction.note, text)
        checked = replace(prediction, anneal_difference=difference, anneals_agree=agrees)
        yield chi, name, replace(checked, converged=converged, note=note)


def _turn_back(
    problem: Problem, state: Anneal, scales: Sequence[Network], upward: Mapping[float, tuple[float, float]]
) -> dict[float, tuple[float, bool]]:
    """Anneal from above the highest scale down through all scales with half of the neurons: enough to compare.

    The tree level has one solution (docs/theory.md, section 2): where the two ways differ, one of them has not
    converged.

    Args:
        upward: ``y.ft`` on the way up, and the error of its difference from that on the way down, by chi.

    Returns:
        The relative difference of ``y.ft``, and whether it is none, by chi.
    """
    state = replace(state, population=state.population.half())
    tolerance = max(problem.effort.tolerance, _FINITE * len(problem.space.train) / state.population.size)
    highest = scales[-1]
    state = carry(problem, state, highest.at(highest.chi * float(np.exp(_OVERSHOOT))))
    state, _, _ = settle(problem, state, snapshots=1)
    results = {}
    for at in reversed(scales):
        state, snapshots, _ = settle(problem, carry(problem, state, at), snapshots=1)
        tree = solve_part(problem, snapshots, scores_of(problem, snapshots, at), at, state.conjugate)
        product, error = upward[at.chi]
        difference = float(problem.y @ tree.action.ft) - product
        allowed = max(tolerance * abs(product), 4 * error)
        results[at.chi] = difference / abs(product), tree.converged and bool(abs(difference) < allowed)
    return results


def _measure(problem: Problem, state: Anneal) -> tuple[Anneal, Sample, float]:
    """Settle the population at its scale, collect it, solve the tree level on what was collected; error of ``y.ft``."""
    at, min_ess = state.network, problem.effort.min_ess
    state, snapshots, stationary = settle(problem, state, problem.effort.snapshots)
    scores = scores_of(problem, snapshots, at)
    tree = solve_part(problem, snapshots, scores, at, state.conjugate)
    ft = tree.action.ft
    # batches only repeat what all draws decide: their own domain is not bounded
    parts = _batches(snapshots, len(ft))
    batches = [(rows, solve_part(problem, snapshots, scores, at, ft, rows).action) for rows in parts]
    products = np.array([problem.y @ batch.ft for _, batch in batches])
    error = float(products.std(ddof=1) / np.sqrt(len(products)))
    state = state.integrated(tree.action).with_error(0.5 * error)
    action = replace(tree.action, min_ess=min_ess, origin=(state.action, tree.action.value))
    note = "" if stationary else UNSETTLED_NOTE
    saddle = replace(tree, action=action, converged=tree.converged and stationary, note=note)
    worth = min(draws_per_chain(snapshots), snapshots.count * action.neuron.ess_fraction)
    return state, Sample(snapshots, saddle, batches, state.error, state.population.size * worth), error


def _batches(snapshots: Snapshots, n_train: int) -> list[Indices]:
    """Return the rows of disjoint groups of blocks, as many as leave each group large against P."""
    block = snapshots.block
    count = next((count for count in (BLOCKS, BLOCKS // 2) if len(block) >= 8 * n_train * count), BLOCKS // 4)
    return [np.flatnonzero(block * count // BLOCKS == index) for index in range(count)]
