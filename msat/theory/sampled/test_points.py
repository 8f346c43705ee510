"""Test outputs of levels on draws: means, on batches too, and variances (docs/theory.md, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from msat.theory.sampled.action import SampledAction
from msat.theory.sampled.cumulants import LoopWeights
from msat.theory.sampled.population import Snapshots
from msat.theory.sampled.problem import Problem
from msat.types import Array, Indices

_SQUARE_DRAWS = 2048  # draws behind the residual part of the test variance


class Average(NamedTuple):
    """How a level averages over draws: the measure, the mean field (P,), and the level's weights on the measure."""

    rows: Indices | slice  # of its draws in the sample
    action: SampledAction
    field: Array
    weights: LoopWeights


class Averages(NamedTuple):
    """A level's average over all draws, over each batch, and the loop's part of the training covariance if any."""

    whole: Average
    parts: Sequence[Average]
    loop_covariance: Array | None


def at_test_points(
    snapshots: Snapshots, levels: Sequence[Averages], problem: Problem
) -> list[tuple[Array, Array, Array]]:
    """Return the mean test outputs (Q,), the same on each batch (B, Q), and variances (Q,) of levels.

    All levels average over one measure, that of the first one's action.

    The tree level's variance is ``W''_** - W''_*a G W''_a*``. With ``f_* = b.f + f_rho``, b such that the
    rest ``w rho = z_* - b.z`` is uncorrelated with z, the loop changes it by b.dCov b plus the change of
    ``N Var(w rho)``; this is complete for a linear network, and otherwise lacks correlations between the
    rests of different neurons.
    """
    neuron = levels[0].whole.action.neuron
    N, p = neuron.network.width, neuron.weights
    second = p * neuron.moments[1]
    loops = [number for number, level in enumerate(levels) if level.loop_covariance is not None]
    quadratic = [second, *(p * levels[number].whole.weights.second - second for number in loops)]
    first, by_batch, cross, square, residual = _accumulated(snapshots, levels, quadratic, problem)
    W_cross = N * (cross[0] - np.outer(first[0], neuron.mean))
    W_test = N * (square[0] + residual[0] - first[0] ** 2)
    at_tree = W_test - np.sum((W_cross @ neuron.G) * W_cross, axis=1)
    variances = [at_tree] * len(levels)
    if loops:
        # W'' has the rank of the features, which may be below P
        ridge = 1e-8 * float(np.trace(neuron.W2)) * np.eye(len(neuron.W2))
        b = cho_solve(cho_factor(neuron.W2 + ridge, lower=True), W_cross.T).T
        mean_rho = first[0] - b @ neuron.mean
    for index, number in enumerate(loops, start=1):
        level = levels[number]
        loop_train = (neuron.features * quadratic[index][:, None]).T @ neuron.features
        loop_mean_rho = first[1 + number] - b @ ((p * level.whole.weights.first) @ neuron.features)
        loop_rest = square[index] + residual[index] - 2 * np.sum(b * cross[index], axis=1)
        loop_rest += np.sum((b @ loop_train) * b, axis=1)
        along = np.sum((b @ level.loop_covariance) * b, axis=1)
        variances[number] = at_tree + along + N * (loop_rest + mean_rho**2 - loop_mean_rho**2)
    return [
        (N * mean, N * batches, np.maximum(variance, 0.0))
        for mean, batches, variance in zip(first[1:], by_batch, variances, strict=True)
    ]


def _accumulated(
    snapshots: Snapshots, levels: Sequence[Averages], quadratic: Sequence[Array], problem: Problem
) -> tuple[Array, Array, Array, Array, Array]:
    """Return weighted sums over the draws of test features T, with training features F.

    ``sum T`` with first moments, the measure's and then each level's, (1 + levels, Q), and each level's by batch,
    (levels, B, Q); with the k second moments given, ``sum T F``, (k, Q, P), ``sum T^2``, (k, Q), and the sum of the
    variances of T about its mean, (k, Q). The test features of one block of neurons are in memory at a time.
    """
    neuron, space, activation = levels[0].whole.action.neuron, problem.space, problem.activation
    p, n, n_test, count = neuron.weights, len(neuron.weights), len(space.test), len(levels)
    # first moments by draw: the measure's, each level's, and each level's on the draw's batch
    linear = np.empty((n, 1 + 2 * count))
    linear[:, 0] = p * neuron.readout
    owner = np.empty(n, dtype=np.int64)
    for number, level in enumerate(levels, start=1):
        linear[:, number] = p * level.whole.weights.first
        for index, average in enumerate(level.parts):
            linear[average.rows, count + number] = average.action.neuron.weights * average.weights.first
            owner[average.rows] = index
    first, by_batch = np.zeros((1 + count, n_test)), np.zeros((count, len(levels[0].parts), n_test))
    cross = np.zeros((len(quadratic), n_test, len(neuron.mean)))
    square, residual = np.zeros((2, len(quadratic), n_test))
    stride = max(1, n // _SQUARE_DRAWS)
    thinned_mass = float(p[::stride].sum())
    has_residual = bool(np.any(space.test_residual_sd))
    for start in range(0, n, snapshots.rows):  # one block of one snapshot, which belongs to one batch
        part = slice(start, start + snapshots.rows)
        mean = snapshots.positions[part] @ space.test.T
        feature = activation.smoothed_mean(mean, space.test_residual_sd)
        contribution = linear[part].T @ feature
        first += contribution[: 1 + count]
        by_batch[:, owner[start]] += contribution[1 + count :]
        for index, weight in enumerate(quadratic):
            cross[index] += feature.T @ (weight[part, None] * neuron.features[part])
        square += np.array([weight[part] for weight in quadratic]) @ feature**2
        if has_residual:
            # the other terms of the variance come from the same draws, which keeps their sum non-negative;
            # this one is non-negative by itself and may use fewer
            thin = slice((-start) % stride, snapshots.rows, stride)
            spread = activation.smoothed_square(mean[thin], space.test_residual_sd) - feature[thin] ** 2
            spread = np.maximum(spread, 0.0) / thinned_mass
            residual += np.array([weight[part][thin] for weight in quadratic]) @ spread
    return first, by_batch, cross, square, residual
