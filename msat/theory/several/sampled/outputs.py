"""What follows from levels on a sample of the tilted neuron with m outputs (docs/theory.md, eq. 5 and section 12)."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple, cast

import numpy as np

from msat.theory.action import Expansion, fluctuations
from msat.theory.prediction import Outputs, Prediction
from msat.theory.sampled.action import SampledAction
from msat.theory.sampled.cumulants import LoopWeights
from msat.theory.sampled.outputs import Sample
from msat.theory.sampled.population import Snapshots
from msat.theory.sampled.problem import Problem
from msat.theory.sampled.several import SeveralNeuron, loop_weights_several
from msat.types import Array, Indices


class Average(NamedTuple):
    """How a level averages over draws: which of the sample's, their measure, the mean field (P m,), its weights."""

    rows: Indices | slice
    action: SampledAction
    field: Array
    weights: LoopWeights

    @property
    def neuron(self) -> SeveralNeuron:
        """The draws under the tilt."""
        return cast(SeveralNeuron, self.action.neuron)


def answered(sample: Sample, levels: Mapping[str, ModuleType], problem: Problem) -> dict[str, Prediction]:
    """Return the predictions of levels by name, each of which expands about the saddle.

    Covariances, those of test outputs too, are of leading order, ``W'' - W'' G W''`` between any two points.
    """
    variance = _test_variance(sample, problem)
    found = {}
    for name, level in levels.items():
        solution = level.solve(sample.saddle)
        assert solution.expansion is not None
        whole = _average(solution.expansion)
        parts = [_average(level.again(solution, action), rows) for rows, action in sample.batches]
        means = _test_means(sample.snapshots, [whole, *parts], problem)
        error = 0.0
        if np.isfinite(solution.log_evidence):
            around = np.array([fluctuations(part.action) for part in parts])
            error = float(np.hypot(sample.action_error, around.std(ddof=1) / np.sqrt(len(around))))
        outputs = _moments(whole, means[0], sample.snapshots, solution.covariance)
        found[name] = Prediction(
            **outputs,
            variance_test=variance,
            readout_norm=float(np.trace(outputs["readout_covariance"])),
            batches=[
                Outputs(**_moments(part, mean, sample.snapshots)) for part, mean in zip(parts, means[1:], strict=True)
            ],
            log_evidence_mc_error=error,
            effective_sample_size=sample.effective_sample_size,
            population=sample.neurons(problem),
            **solution.account(),
        )
    return found


def _average(expansion: Expansion, rows: Indices | slice = slice(None)) -> Average:
    action = cast(SampledAction, expansion.action)
    shift = np.zeros(len(action.y)) if expansion.loop and expansion.shift is None else expansion.shift
    return Average(rows, action, expansion.field, loop_weights_several(cast(SeveralNeuron, action.neuron), shift))


def _moments(
    average: Average, mean_test: Array, snapshots: Snapshots, covariance: Array | None = None
) -> dict[str, Any]:
    """Return the fields of `Outputs`; without a covariance that of leading order."""
    action, neuron, network = average.action, average.neuron, average.action.network
    samples, positions = neuron.features.shape[1], snapshots.positions[average.rows]
    by_draw = neuron.weights * average.weights.zeroth
    kernel = (neuron.features * by_draw[:, None]).T @ neuron.features
    moment = (positions * by_draw[:, None]).T @ positions  # the draws themselves would stay in memory
    if covariance is None:
        covariance = network.kappa * (action.identity - network.kappa * action.G)
    return {
        "mean_train": (action.y - network.kappa * average.field).reshape(samples, -1),
        "mean_test": mean_test,
        "covariance_train": covariance,
        "hidden_kernel": 0.5 * (kernel + kernel.T),
        "first_layer": lambda u: float(u @ moment @ u),
        "readout_covariance": network.width * np.tensordot(neuron.weights, average.weights.second, axes=1),
    }


def _test_means(snapshots: Snapshots, averages: list[Average], problem: Problem) -> list[Array]:
    """Return the mean test outputs of averages, (Q, m) each; test features of one block of neurons at a time."""
    space, outputs = problem.space, averages[0].neuron.readout.shape[1]
    by_draw = np.zeros((len(snapshots.positions), len(averages), outputs))
    for index, average in enumerate(averages):
        by_draw[average.rows, index] = average.neuron.weights[:, None] * average.weights.first
    flat = by_draw.reshape(len(by_draw), -1)
    total = np.zeros((len(space.test), flat.shape[1]))
    for start in range(0, len(flat), snapshots.rows):
        rows = slice(start, start + snapshots.rows)
        features = problem.activation.smoothed_mean(snapshots.positions[rows] @ space.test.T, space.test_residual_sd)
        total += features.T @ flat[rows]
    network = averages[0].action.network
    return list(network.width * total.reshape(len(space.test), len(averages), outputs).transpose(1, 0, 2))


def _test_variance(sample: Sample, problem: Problem) -> Array:
    """Return ``W''_** - W''_*a G W''_a*`` of every test point and output, (Q, m)."""
    action, snapshots, space = sample.saddle.action, sample.snapshots, problem.space
    neuron = cast(SeveralNeuron, action.neuron)
    N, tau, (n, outputs) = action.network.width, action.network.tau, neuron.readout.shape
    tests, samples = len(space.test), neuron.features.shape[1]
    mean, square = np.zeros((2, tests, outputs))
    cross = np.zeros((outputs, tests, samples * outputs))
    for start in range(0, n, snapshots.rows):
        rows = slice(start, start + snapshots.rows)
        M, phi, p = neuron.readout[rows], neuron.features[rows], neuron.weights[rows, None]
        h = snapshots.positions[rows] @ space.test.T
        feature = problem.activation.smoothed_mean(h, space.test_residual_sd)
        mean += feature.T @ (p * M)
        square += problem.activation.smoothed_square(h, space.test_residual_sd).T @ (p * (M**2 + tau))
        spread = tau * (feature.T @ (p * phi))
        products = (phi[:, :, None] * M[:, None, :]).reshape(len(phi), -1)
        for c in range(outputs):
            cross[c] += (feature * (p * M[:, [c]])).T @ products
            cross[c, :, c::outputs] += spread
    variance = np.empty((tests, outputs))
    for c in range(outputs):
        W = N * (cross[c] - np.outer(mean[:, c], neuron.mean))
        variance[:, c] = N * (square[:, c] - mean[:, c] ** 2) - np.sum((W @ neuron.G) * W, axis=1)
    return np.maximum(variance, 0.0)
