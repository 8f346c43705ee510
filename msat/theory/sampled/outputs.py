"""What follows from levels on a sample of the tilted neuron: averages on all draws and on batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from msat.activations.base import Activation
from msat.geometry import RowSpace
from msat.theory.action import Expansion, Saddle, Solution, fluctuations
from msat.theory.prediction import FirstLayer, Outputs, Prediction
from msat.theory.sampled.action import SampledAction
from msat.theory.sampled.cumulants import LoopWeights, loop_weights
from msat.theory.sampled.population import Snapshots
from msat.theory.sampled.test_points import Averages, TestOutputs, test_outputs
from msat.types import Array, Indices


@dataclass(frozen=True, eq=False)
class Batch:
    """The saddle on some of the blocks of neurons alone.

    Attributes:
        rows: Indices of its draws in the sample, (n_b,).
        action: At the saddle on those draws.
    """

    rows: Indices
    action: SampledAction


@dataclass(frozen=True, eq=False)
class Sample:
    """Draws at one scale, with all that the levels share.

    Attributes:
        snapshots: The population's states, whose neurons are the draws.
        saddle: The tree level on these draws, with the solver's account.
        batches: The tree level on disjoint parts of them.
        action_error: Monte Carlo error of S(ft*).
        effective_sample_size: Independent neurons that the sample is worth.
    """

    snapshots: Snapshots
    saddle: Saddle
    batches: Sequence[Batch]
    action_error: float
    effective_sample_size: float


@dataclass(frozen=True, eq=False)
class Answer:
    """A level's solution on all draws, and its expansion on each batch."""

    solution: Solution
    parts: Sequence[Expansion]


def predict(sample: Sample, answers: Sequence[Answer], space: RowSpace, activation: Activation) -> list[Prediction]:
    """Return the predictions of levels that average over the same measure, that of the first one's action.

    They share the features of the test points. A level without a solution is NaN.
    """
    averages = [_averages(answer) for answer in answers if answer.solution.expansion is not None]
    rows = [batch.rows for batch in sample.batches]
    points = test_outputs(sample.snapshots, averages, rows, space, activation) if averages else []
    found = iter(zip(averages, points, strict=True))
    return [
        _nothing(sample, answer.solution, len(space.test))
        if answer.solution.expansion is None
        else _prediction(sample, answer, *next(found))
        for answer in answers
    ]


def _averages(answer: Answer) -> Averages:
    expansion = cast(Expansion, answer.solution.expansion)
    return Averages(
        action=cast(SampledAction, expansion.action),
        weights=weights_of(expansion),
        parts=[(cast(SampledAction, part.action), weights_of(part)) for part in answer.parts],
        loop_covariance=answer.solution.loop_covariance,
    )


def weights_of(expansion: Expansion) -> LoopWeights:
    """Return the weights that turn averages over the expansion's measure into the level's averages, eq. (5)."""
    action = cast(SampledAction, expansion.action)
    if not expansion.loop:
        m = action.average.readout
        return LoopWeights(zeroth=np.ones_like(m), first=m, second=m**2 + action.network.tau)
    shift = np.zeros(len(action.y)) if expansion.shift is None else expansion.shift
    return loop_weights(action.average, action.vector, shift, action.network)


def _prediction(sample: Sample, answer: Answer, averages: Averages, points: TestOutputs) -> Prediction:
    solution, action = answer.solution, averages.action
    expansion = cast(Expansion, solution.expansion)
    network, y, positions = action.network, action.y, sample.snapshots.positions
    batches = []
    for batch, part, (there, weights), mean_test in zip(
        sample.batches, answer.parts, averages.parts, points.batches, strict=True
    ):
        covariance = network.kappa * (action.identity - network.kappa * there.G)
        if solution.loop_covariance is not None:
            covariance = covariance + solution.loop_covariance
        batches.append(
            Outputs(
                mean_train=y - network.kappa * part.field,
                mean_test=mean_test,
                covariance_train=covariance,
                hidden_kernel=_hidden_kernel(there, weights),
                first_layer=_first_layer(there, weights, positions[batch.rows]),
            )
        )
    return Prediction(
        mean_train=y - network.kappa * expansion.field,
        mean_test=points.mean,
        covariance_train=solution.covariance,
        variance_test=points.variance,
        hidden_kernel=_hidden_kernel(action, averages.weights),
        first_layer=_first_layer(action, averages.weights, positions),
        readout_norm=network.width * float(action.average.weights @ averages.weights.second),
        batches=batches,
        log_evidence_mc_error=_evidence_error(sample, answer) if np.isfinite(solution.log_evidence) else 0.0,
        effective_sample_size=sample.effective_sample_size,
        **solution.account(),
    )


def _nothing(sample: Sample, solution: Solution, n_test: int) -> Prediction:
    P = len(sample.saddle.action.y)
    train, test, matrix = np.full(P, np.nan), np.full(n_test, np.nan), np.full((P, P), np.nan)
    return Prediction(
        mean_train=train,
        mean_test=test,
        covariance_train=matrix,
        hidden_kernel=matrix,
        variance_test=test,
        readout_norm=float("nan"),
        batches=[Outputs(mean_train=train, mean_test=test, covariance_train=matrix, hidden_kernel=matrix)] * 2,
        effective_sample_size=sample.effective_sample_size,
        **solution.account(),
    )


def _evidence_error(sample: Sample, answer: Answer) -> float:
    """Return the error of the action and, from the batches, of the fluctuations about it."""
    parts = np.array([fluctuations(part.action) for part in answer.parts])
    return float(np.hypot(sample.action_error, parts.std(ddof=1) / np.sqrt(len(parts))))


def _hidden_kernel(action: SampledAction, weights: LoopWeights) -> Array:
    features = action.average.features
    kernel = (features * (action.average.weights * weights.zeroth)[:, None]).T @ features
    return np.asarray(0.5 * (kernel + kernel.T))


def _first_layer(action: SampledAction, weights: LoopWeights, positions: Array) -> FirstLayer:
    by_draw = action.average.weights * weights.zeroth
    return lambda u: float(by_draw @ (positions @ u) ** 2)
