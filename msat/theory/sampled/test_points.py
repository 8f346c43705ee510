"""Test outputs of levels on draws: means, on batches too, and variances (docs/theory.md, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from msat.activations.base import Activation
from msat.geometry import RowSpace
from msat.theory.sampled.action import SampledAction
from msat.theory.sampled.cumulants import LoopWeights
from msat.theory.sampled.population import BLOCKS, Snapshots
from msat.types import Array, Indices

_SQUARE_DRAWS = 2048  # draws behind the residual part of the test variance


@dataclass(frozen=True, eq=False)
class Averages:
    """How a level averages over the draws.

    Attributes:
        action, weights: The measure, and the level's weights on it.
        parts: The same on each batch.
        loop_covariance: The loop's part of the training covariance, (P, P); None for no loop.
    """

    action: SampledAction
    weights: LoopWeights
    parts: Sequence[tuple[SampledAction, LoopWeights]]
    loop_covariance: Array | None


@dataclass(frozen=True, eq=False)
class TestOutputs:
    """A level's mean test outputs (Q,), the same on each batch (B, Q), and variances (Q,)."""

    mean: Array
    batches: Array
    variance: Array

    __test__ = False  # not a test, whatever its name says to pytest


@dataclass(frozen=True, eq=False)
class _Sums:
    """Weighted sums over the draws of test features (T), with training features (F).

    Attributes:
        first, batches: ``sum T`` with the measure's first moment, then each level's, (1 + levels, Q); by batch,
            (levels, B, Q).
        cross, square, residual: ``sum T F`` (k, Q, P), ``sum T^2`` and the sum of the variances of T about its mean,
            (k, Q), with second moments: the measure's, then of each loop the difference from it.
    """

    first: Array
    batches: Array
    cross: Array
    square: Array
    residual: Array


def test_outputs(
    snapshots: Snapshots,
    levels: Sequence[Averages],
    batches: Sequence[Indices],
    space: RowSpace,
    activation: Activation,
) -> list[TestOutputs]:
    """Return the test outputs of levels that average over one measure, that of the first one's action.

    The tree level's variance is ``W''_** - W''_*a G W''_a*``. With ``f_* = b.f + f_rho``, b such that the
    rest ``w rho = z_* - b.z`` is uncorrelated with z, the loop changes it by b.dCov b plus the change of
    ``N Var(w rho)``; this is complete for a linear network, and otherwise lacks correlations between the
    rests of different neurons.
    """
    average, network = levels[0].action.average, levels[0].action.network
    N, p = network.width, average.weights
    second = p * (average.readout**2 + network.tau)
    loops = [level for level in levels if level.loop_covariance is not None]
    quadratic = [second, *(p * level.weights.second - second for level in loops)]
    sums = _accumulated(snapshots, levels, batches, quadratic, space, activation)
    W_cross = N * (sums.cross[0] - np.outer(sums.first[0], average.mean_feature))
    W_test = N * (sums.square[0] + sums.residual[0] - sums.first[0] ** 2)
    at_tree = W_test - np.sum((W_cross @ average.propagator) * W_cross, axis=1)
    results = []
    for number, level in enumerate(levels):
        variance = at_tree
        if level.loop_covariance is not None:
            index = 1 + [id(loop) for loop in loops].index(id(level))
            along, rest = _loop_variances(level, number, index, quadratic[index], sums, W_cross)
            variance = at_tree + along + rest
        results.append(TestOutputs(N * sums.first[1 + number], N * sums.batches[number], np.maximum(variance, 0.0)))
    return results


test_outputs.__test__ = False  # type: ignore[attr-defined]


def _first_moments(levels: Sequence[Averages], batches: Sequence[Indices]) -> Array:
    """Return by draw the measure's first moment, each level's, and each level's on the draw's batch."""
    average = levels[0].action.average
    n, count, p, m = len(average.weights), len(levels), average.weights, average.readout
    linear = np.column_stack([p * m, *(p * level.weights.first for level in levels), *(np.empty(n) for _ in levels)])
    for index, rows in enumerate(batches):
        for number, level in enumerate(levels):
            action, weights = level.parts[index]
            linear[rows, 1 + count + number] = action.average.weights * weights.first
    return linear


def _accumulated(
    snapshots: Snapshots,
    levels: Sequence[Averages],
    batches: Sequence[Indices],
    quadratic: Sequence[Array],
    space: RowSpace,
    activation: Activation,
) -> _Sums:
    """Return the sums, with the test features of one block of neurons in memory at a time."""
    average = levels[0].action.average
    p, n, n_test, count = average.weights, len(average.weights), len(space.test), len(levels)
    linear = _first_moments(levels, batches)
    owner = np.empty(n, dtype=np.int64)
    for index, rows_of_batch in enumerate(batches):
        owner[rows_of_batch] = index
    rows = n // (snapshots.snapshots * BLOCKS)
    first, by_batch = np.zeros((1 + count, n_test)), np.zeros((count, len(batches), n_test))
    cross = np.zeros((len(quadratic), n_test, len(average.mean_feature)))
    square, residual = np.zeros((2, len(quadratic), n_test))
    stride = max(1, n // _SQUARE_DRAWS)
    thinned_mass = float(p[::stride].sum())
    has_residual = bool(np.any(space.test_residual_sd))
    for start in range(0, n, rows):  # one block of one snapshot, which belongs to one batch
        part = slice(start, start + rows)
        mean = snapshots.positions[part] @ space.test.T
        feature = activation.smoothed_mean(mean, space.test_residual_sd)
        contribution = linear[part].T @ feature
        first += contribution[: 1 + count]
        by_batch[:, owner[start]] += contribution[1 + count :]
        for index, weight in enumerate(quadratic):
            cross[index] += feature.T @ (weight[part, None] * average.features[part])
        square += np.array([weight[part] for weight in quadratic]) @ feature**2
        if has_residual:
            # the other terms of the variance come from the same draws, which keeps their sum non-negative;
            # this one is non-negative by itself and may use fewer
            thin = slice((-start) % stride, rows, stride)
            spread = activation.smoothed_square(mean[thin], space.test_residual_sd) - feature[thin] ** 2
            spread = np.maximum(spread, 0.0) / thinned_mass
            residual += np.array([weight[part][thin] for weight in quadratic]) @ spread
    return _Sums(first, by_batch, cross, square, residual)


def _loop_variances(
    level: Averages, number: int, index: int, quadratic: Array, sums: _Sums, W_cross: Array
) -> tuple[Array, Array]:
    """Return what the loop adds to the tree level's test variances: b.dCov b and that of ``w rho``, (Q,) each."""
    average, N = level.action.average, level.action.network.width
    # W'' has the rank of the features, which may be below P
    ridge = 1e-8 * float(np.trace(average.curvature)) * np.eye(len(average.curvature))
    b = cho_solve(cho_factor(average.curvature + ridge, lower=True), W_cross.T).T
    loop_train = (average.features * quadratic[:, None]).T @ average.features
    mean_rho = sums.first[0] - b @ average.mean_feature
    loop_mean_rho = sums.first[1 + number] - b @ ((average.weights * level.weights.first) @ average.features)
    loop_rest = sums.square[index] + sums.residual[index] - 2 * np.sum(b * sums.cross[index], axis=1)
    loop_rest += np.sum((b @ loop_train) * b, axis=1)
    along = np.sum((b @ level.loop_covariance) * b, axis=1)
    return along, N * (loop_rest + mean_rho**2 - loop_mean_rho**2)
