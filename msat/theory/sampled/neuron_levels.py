"""Levels tree_level, laplace and one_loop from a sample of the tilted neuron (docs/theory.md, sections 3, 4).

Everything is computed on one fixed set of draws, so that the tree level, its loop corrections and the test
outputs belong together: a test point equal to a training point gets the same prediction. Monte Carlo errors
come from solving each level again on disjoint batches of neurons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from msat.activations.base import Activation
from msat.geometry import RowSpace
from msat.network import Network
from msat.theory.prediction import Prediction, batch_error
from msat.theory.sampled.loop_expansion import (
    LoopWeights,
    NeuronAverage,
    loop_matrix,
    loop_vector,
    loop_weights,
    third_cumulant,
)
from msat.theory.sampled.population import BLOCKS, Snapshots
from msat.theory.sampled.tilted_neuron import Draws, TreeSolution, action, curvature, tilt

Array = NDArray[np.float64]

VARIANCE_NOTE = "of the loop corrections, test variances hold those of <w^2> and of the training covariance"
UNSETTLED_NOTE = "the neuron population had not settled"

_TENSOR_LIMIT = 400  # largest P for which (P, P, P) cumulants are formed
_TENSOR_DRAWS = 4096  # draws used for them
_SQUARE_DRAWS = 2048  # draws behind the residual part of the test variance
_SMALLEST_STEP = 0.06  # of the loop strength
_LARGEST_BEND = 0.25  # of the path of one_loop: distance of a root from its tangent, relative to the step
_SMALLEST_CURVATURE = 0.1  # of one_loop, relative to kappa + W'': below, noise decides what is a root


@dataclass(frozen=True, eq=False)
class Batch:
    """The tree level solved on some of the blocks of neurons alone.

    Attributes
    ----------
    rows
        Indices of its draws in the sample, (n_b,).
    draws, tree
        Those draws and the solution on them.
    """

    rows: NDArray[np.int64]
    draws: Draws
    tree: TreeSolution


@dataclass(frozen=True, eq=False)
class Sample:
    """Draws at one scale, with all that the levels share.

    Attributes
    ----------
    snapshots, draws
        The population's states, and the same as weighted draws.
    tree
        The tree level on these draws.
    batches
        The tree level on disjoint parts of them.
    action, action_error
        S(ft*) with all constants, and its Monte Carlo error.
    stationary
        Whether the population had settled before it was collected.
    effective_sample_size
        Independent neurons that the sample is worth.
    monte_carlo
        Whether the draws are random; False for quadrature nodes.
    direction
        Row-space coordinates of the unit vector of the weight alignment, (r,); None for none.
    """

    snapshots: Snapshots
    draws: Draws
    tree: TreeSolution
    batches: Sequence[Batch]
    action: float
    stationary: bool
    effective_sample_size: float
    monte_carlo: bool = True
    action_error: float = 0.0
    direction: Array | None = None


@dataclass(frozen=True, eq=False)
class _Expansion:
    """A level's answer on one set of draws: its ``<ft>``, the measure, and weights for observables."""

    field: Array
    average: NeuronAverage
    weights: LoopWeights


@dataclass(frozen=True, eq=False)
class _Level:
    """A level on a sample: its expansion on all draws and on each batch, and how the loop changes Cov f.

    `change_of_covariance` is the loop's part of the training covariance, (P, P); None for the tree level.
    """

    full: _Expansion
    parts: Sequence[_Expansion]
    change_of_covariance: Array | None = None


@dataclass(frozen=True, eq=False)
class _Outputs:
    """What all levels report of an expansion and of its repetition on the batches."""

    mean_train: Array
    mean_train_mc_error: Array
    mean_test: Array
    mean_test_mc_error: Array
    mean_train_batches: Array
    mean_test_batches: Array
    variance_test: Array
    hidden_kernel: Array
    hidden_kernel_batches: Array
    covariance_train_batches: Array
    readout_norm: float
    weight_alignment: float
    weight_alignment_mc_error: float


def tree_level(sample: Sample, space: RowSpace, y: Array, network: Network, activation: Activation) -> Prediction:
    """Return the tree level, ``S'(ft) = 0``; covariances are ``kappa - kappa^2 G``."""
    level = _tree(sample, network)
    return _tree_prediction(sample, _outputs(sample, [level], space, y, network, activation)[0], y, network)


def laplace(sample: Sample, space: RowSpace, y: Array, network: Network, activation: Activation) -> Prediction:
    """Return one loop about the tree level.

    Means, hidden kernel and readout norm by eq. (5). The training covariance is the second derivative of the
    log evidence, eq. (2), for P up to 400 and the tree level's beyond.
    """
    level = _laplace(sample, y, network)
    return _laplace_prediction(
        sample, level, _outputs(sample, [level], space, y, network, activation)[0], y, network
    )


def tree_and_laplace(
    sample: Sample, space: RowSpace, y: Array, network: Network, activation: Activation
) -> tuple[Prediction, Prediction]:
    """Return `tree_level` and `laplace`, which share the features of the test points."""
    tree, loop = _tree(sample, network), _laplace(sample, y, network)
    of_tree, of_loop = _outputs(sample, [tree, loop], space, y, network, activation)
    return (
        _tree_prediction(sample, of_tree, y, network),
        _laplace_prediction(sample, loop, of_loop, y, network),
    )


def _tree(sample: Sample, network: Network) -> _Level:
    def expand(draws: Draws, tree: TreeSolution) -> _Expansion:
        m = tree.tilt.readout
        plain = LoopWeights(zeroth=np.ones_like(m), first=m, second=m**2 + network.tau)
        return _Expansion(tree.conjugate, _at_tree(draws, tree), plain)

    return _Level(expand(sample.draws, sample.tree), [expand(batch.draws, batch.tree) for batch in sample.batches])


def _tree_prediction(sample: Sample, outputs: _Outputs, y: Array, network: Network) -> Prediction:
    tree = sample.tree
    return Prediction(
        **vars(outputs),
        covariance_train=network.kappa * (np.eye(len(y)) - network.kappa * tree.propagator),
        action=sample.action,
        converged=tree.converged and sample.stationary,
        residual=tree.residual,
        iterations=tree.iterations,
        effective_sample_size=sample.effective_sample_size,
        note="" if sample.stationary else UNSETTLED_NOTE,
    )


def _laplace(sample: Sample, y: Array, network: Network) -> _Level:
    tree, kappa, width = sample.tree, network.kappa, network.width

    def expand(draws: Draws, tree: TreeSolution) -> _Expansion:
        average = _at_tree(draws, tree)
        vector = loop_vector(average, network)
        shift = 0.5 * width * (tree.propagator @ vector.T)
        return _Expansion(tree.conjugate + shift, average, loop_weights(average, vector, shift, network))

    G = tree.propagator
    change_of_covariance = np.zeros_like(G)
    if len(y) <= _TENSOR_LIMIT:
        # d<ft>/dy = (1 + (N/2) d(G T)/dft) G
        subset = _subset(_at_tree(sample.draws, tree))
        third = third_cumulant(subset, network.tau)
        GT = G @ loop_vector(subset, network).T
        change = loop_matrix(subset, third, network, sample.monte_carlo) - width * (third @ GT)
        correction = 0.5 * width * (G @ change @ G)
        change_of_covariance = -0.5 * kappa**2 * (correction + correction.T)
    return _Level(
        expand(sample.draws, tree),
        [expand(batch.draws, batch.tree) for batch in sample.batches],
        change_of_covariance,
    )


def _laplace_prediction(
    sample: Sample, level: _Level, outputs: _Outputs, y: Array, network: Network
) -> Prediction:
    tree, kappa, G = sample.tree, network.kappa, sample.tree.propagator
    note = VARIANCE_NOTE
    if len(y) > _TENSOR_LIMIT:
        note = f"the training covariance is the tree level's, leading order; {VARIANCE_NOTE}"
    return Prediction(
        **vars(outputs),
        covariance_train=kappa * (np.eye(len(y)) - kappa * G) + _loop_part(level, len(y)),
        log_evidence=sample.action + _fluctuations(G),
        log_evidence_mc_error=_evidence_error(sample, level),
        converged=tree.converged and sample.stationary,
        residual=tree.residual,
        iterations=tree.iterations,
        effective_sample_size=sample.effective_sample_size,
        note=note if sample.stationary else f"{note}; {UNSETTLED_NOTE}",
    )


def _loop_part(level: _Level, n_train: int) -> Array:
    return np.zeros((n_train, n_train)) if level.change_of_covariance is None else level.change_of_covariance


def _evidence_error(sample: Sample, level: _Level) -> float:
    """Return the error of the action and, from the batches, of the fluctuations about it."""
    fluctuations = np.array([_fluctuations(part.average.propagator) for part in level.parts])
    return float(np.hypot(sample.action_error, batch_error(fluctuations)))


def one_loop(
    sample: Sample, space: RowSpace, y: Array, network: Network, activation: Activation, min_ess: float
) -> Prediction:
    """Return the self-consistent one-loop solution, ``S'(ft) = (N/2) T(ft)``.

    The root is followed from the tree level along ``S'(ft) = eps (N/2) T(ft)``, eps from 0 to 1, in steps
    that stay near the tangent. It is kept only while the curvature J is positive definite with a margin: its
    lowest eigenvalue relative to ``kappa + W''`` exceeds 0.1, since nearer to a fold Monte Carlo noise is
    amplified more than tenfold. If the path ends before eps = 1, converged is False, loop_strength is the
    largest eps reached, and the predictions are NaN.
    """
    path = _follow(sample, y, network, min_ess)
    if path.average is None or path.jacobian is None:
        P, Q = len(y), len(space.test)
        return Prediction(
            mean_train=np.full(P, np.nan),
            mean_test=np.full(Q, np.nan),
            covariance_train=np.full((P, P), np.nan),
            variance_test=np.full(Q, np.nan),
            hidden_kernel=np.full((P, P), np.nan),
            readout_norm=float("nan"),
            converged=False,
            residual=path.residual,
            iterations=path.iterations,
            loop_strength=path.strength,
            effective_sample_size=sample.effective_sample_size,
            mean_train_mc_error=np.full(P, np.nan),
            mean_test_mc_error=np.full(Q, np.nan),
            note=path.note,
        )
    factor = cho_factor(path.jacobian, lower=True)

    def expand(draws: Draws, tree: TreeSolution) -> _Expansion:
        ft = path.conjugate
        if draws is not sample.draws:
            # one Newton step with the full sample's Jacobian: to first order the batch's own root
            slope = _loop_gradient(_average(draws, ft, network), ft, y, network, strength=1.0)
            ft = ft - cho_solve(factor, slope)
        average = _average(draws, ft, network)
        vector = loop_vector(average, network)
        return _Expansion(ft, average, loop_weights(average, vector, np.zeros(len(y)), network))

    J_inverse = cho_solve(factor, np.eye(len(y)))
    level = _Level(
        expand(sample.draws, sample.tree),
        [expand(batch.draws, batch.tree) for batch in sample.batches],
        network.kappa**2 * (path.average.propagator - J_inverse),
    )
    at = tilt(sample.draws, path.conjugate, network.tau)
    change = action(sample.draws, at, path.conjugate, y, network) - sample.tree.action
    return Prediction(
        **vars(_outputs(sample, [level], space, y, network, activation)[0]),
        covariance_train=network.kappa * (np.eye(len(y)) - network.kappa * J_inverse),
        log_evidence=sample.action + change + _fluctuations(path.average.propagator),
        log_evidence_mc_error=_evidence_error(sample, level),
        converged=sample.stationary,
        residual=path.residual,
        iterations=path.iterations,
        loop_strength=path.strength,
        effective_sample_size=sample.effective_sample_size,
        note=VARIANCE_NOTE if sample.stationary else f"{VARIANCE_NOTE}; {UNSETTLED_NOTE}",
    )


@dataclass(frozen=True, eq=False)
class _Path:
    """Where the one-loop root was followed to; average and jacobian are None if it was lost."""

    conjugate: Array
    average: NeuronAverage | None
    jacobian: Array | None
    strength: float
    residual: float
    iterations: int
    note: str = ""


def _follow(sample: Sample, y: Array, network: Network, min_ess: float) -> _Path:
    """Follow the root of ``S' - eps (N/2) T`` from the tree level to eps = 1."""
    ft = sample.tree.conjugate
    if len(y) > _TENSOR_LIMIT:
        note = f"one_loop is implemented for at most {_TENSOR_LIMIT} training samples"
        return _Path(ft, None, None, 0.0, float("nan"), 0, note)
    average = _at_tree(sample.draws, sample.tree)
    strength, step, iterations, residual = 0.0, 0.5, 0, sample.tree.residual
    loop = _loop_matrix(average, network, sample.monte_carlo)
    jacobian = _jacobian(average, loop, network, strength)
    while strength < 1.0:
        target = min(1.0, strength + step)
        tangent = np.linalg.solve(jacobian, 0.5 * network.width * loop_vector(average, network).T)
        predicted = ft + (target - strength) * tangent
        trial = _correct(sample, predicted, loop, y, network, target, min_ess)
        iterations, residual = iterations + trial.iterations, trial.residual
        # a root far from the tangent may lie on another branch, beyond a fold
        if trial.average is None:
            reason = "no root was found beyond"
        elif _distance(trial.conjugate - predicted, average) > (
            _LARGEST_BEND * _distance(trial.conjugate - ft, average)
        ):
            reason = "the root turns away from its tangent, as at a fold"
        else:
            new_loop = _loop_matrix(trial.average, network, sample.monte_carlo)
            candidate = _jacobian(trial.average, new_loop, network, target)
            if _is_stable(candidate, trial.average):
                ft, average, strength = trial.conjugate, trial.average, target
                loop, jacobian = new_loop, candidate
                continue
            reason = "its curvature is about to lose its sign"
        step /= 2
        if step < _SMALLEST_STEP:
            note = f"the one-loop root ends at loop strength {strength:.2f}: {reason}"
            return _Path(ft, None, None, strength, residual, iterations, note)
    return _Path(ft, average, jacobian, strength, residual, iterations)


def _correct(
    sample: Sample,
    start: Array,
    loop: Array,
    y: Array,
    network: Network,
    strength: float,
    min_ess: float,
) -> _Path:
    """Solve ``S' = eps (N/2) T`` from a nearby root by Broyden's method; average is None if it fails.

    The first Jacobian comes from part of the draws; the residual, from all of them, decides.
    """
    norm = float(np.linalg.norm(y))
    tolerance = 1e-8 if strength == 1.0 else 1e-4
    ft = start
    average = _average(sample.draws, ft, network)
    jacobian = _jacobian(average, loop, network, strength)
    residual = _loop_gradient(average, ft, y, network, strength)
    first = size = float(np.linalg.norm(residual)) / norm
    for iteration in range(1, 26):
        step = -np.linalg.solve(jacobian, residual)
        ft = ft + step
        if tilt(sample.draws, ft, network.tau).ess_fraction < min_ess:
            break
        average = _average(sample.draws, ft, network)
        residual = _loop_gradient(average, ft, y, network, strength)
        size = float(np.linalg.norm(residual)) / norm
        if size < tolerance:
            return _Path(ft, average, jacobian, strength, size, iteration)
        if not size < 2 * first:
            break
        jacobian = jacobian + np.outer(residual, step) / float(step @ step)
    return _Path(ft, None, None, strength, size, iteration)


def _loop_gradient(average: NeuronAverage, ft: Array, y: Array, network: Network, strength: float) -> Array:
    """Return ``S' - eps (N/2) T`` at ft, (P,); the average must be that at ft."""
    slope = network.kappa * ft + network.width * average.mean_feature - y
    return np.asarray(slope - 0.5 * strength * network.width * loop_vector(average, network).T)


def _jacobian(average: NeuronAverage, loop: Array, network: Network, strength: float) -> Array:
    """Return the second derivative of ``S - (eps/2) ln det(kappa + W'')``, (P, P)."""
    J = average.curvature + network.kappa * np.eye(len(loop)) - 0.5 * strength * network.width * loop
    return np.asarray(0.5 * (J + J.T))


def _distance(step: Array, average: NeuronAverage) -> float:
    """Return the length of a step of ft in the metric ``kappa + W''``."""
    return float(np.sqrt(step @ np.linalg.solve(average.propagator, step)))


def _is_stable(jacobian: Array, average: NeuronAverage) -> bool:
    root = np.linalg.cholesky(average.propagator)
    return bool(np.linalg.eigvalsh(root.T @ jacobian @ root)[0] > _SMALLEST_CURVATURE)


def _loop_matrix(average: NeuronAverage, network: Network, monte_carlo: bool) -> Array:
    subset = _subset(average)
    return loop_matrix(subset, third_cumulant(subset, network.tau), network, monte_carlo)


def _subset(average: NeuronAverage) -> NeuronAverage:
    """Return every k-th draw: the tensors cost n P^3, and only correct what the full sample gives.

    The propagator and W'' stay those of the full sample; the mean is the subset's own.
    """
    n = len(average.weights)
    # neighbours in memory are neurons of one block, so that a stride takes all blocks and snapshots
    stride = max(1, n // _TENSOR_DRAWS)
    features, readout = average.features[::stride], average.readout[::stride]
    weights = average.weights[::stride] / average.weights[::stride].sum()
    return NeuronAverage(
        features=features,
        weights=weights,
        readout=readout,
        mean_feature=(weights * readout) @ features,
        curvature=average.curvature,
        propagator=average.propagator,
    )


def _at_tree(draws: Draws, tree: TreeSolution) -> NeuronAverage:
    return NeuronAverage(
        features=draws.features,
        weights=tree.tilt.weights,
        readout=tree.tilt.readout,
        mean_feature=tree.mean_feature,
        curvature=tree.curvature,
        propagator=tree.propagator,
    )


def _average(draws: Draws, conjugate: Array, network: Network) -> NeuronAverage:
    at = tilt(draws, conjugate, network.tau)
    bend = curvature(draws, at, network)
    identity = np.eye(len(conjugate))
    return NeuronAverage(
        features=draws.features,
        weights=at.weights,
        readout=at.readout,
        mean_feature=(at.weights * at.readout) @ draws.features,
        curvature=bend,
        propagator=cho_solve(cho_factor(bend + network.kappa * identity, lower=True), identity),
    )


def _fluctuations(propagator: Array) -> float:
    """Return ``-(1/2) ln det(kappa + W'') - (P/2) ln 2 pi``."""
    return 0.5 * float(np.linalg.slogdet(propagator)[1]) - 0.5 * len(propagator) * float(np.log(2 * np.pi))


def _outputs(
    sample: Sample,
    levels: Sequence[_Level],
    space: RowSpace,
    y: Array,
    network: Network,
    activation: Activation,
) -> list[_Outputs]:
    """Evaluate levels about one measure on all draws, and on each batch for the Monte Carlo errors."""
    results = []
    tests = _test_outputs(sample, levels, space, network, activation)
    for level, (mean_test, part_means, variance_test) in zip(levels, tests, strict=True):
        train_parts = y - network.kappa * np.array([part.field for part in level.parts])
        loop_part = _loop_part(level, len(y))
        covariances = [
            network.kappa * (np.eye(len(y)) - network.kappa * part.average.propagator) + loop_part
            for part in level.parts
        ]
        alignment, parts_alignment = _weight_alignments(sample, level)
        results.append(
            _Outputs(
                mean_train=y - network.kappa * level.full.field,
                mean_train_mc_error=batch_error(train_parts),
                mean_train_batches=train_parts,
                mean_test=mean_test,
                mean_test_mc_error=batch_error(part_means),
                mean_test_batches=part_means,
                variance_test=variance_test,
                hidden_kernel=_hidden_kernel(level.full),
                hidden_kernel_batches=np.array([_hidden_kernel(part) for part in level.parts]),
                covariance_train_batches=np.array(covariances),
                readout_norm=network.width * float(level.full.average.weights @ level.full.weights.second),
                weight_alignment=alignment,
                weight_alignment_mc_error=float(batch_error(parts_alignment)),
            )
        )
    return results


def _weight_alignments(sample: Sample, level: _Level) -> tuple[float, Array]:
    """Return the weight alignment on all draws, and on each batch, (B,): eq. (5) with o = (a.u)^2."""
    if sample.direction is None:
        return float("nan"), np.full(len(level.parts), np.nan)
    squares = (sample.snapshots.positions @ sample.direction) ** 2
    outside = 1 - float(sample.direction @ sample.direction)
    full = level.full
    parts = [
        float((part.average.weights * part.weights.zeroth) @ squares[batch.rows])
        for batch, part in zip(sample.batches, level.parts, strict=True)
    ]
    return float((full.average.weights * full.weights.zeroth) @ squares) + outside, np.array(parts) + outside


def _hidden_kernel(expansion: _Expansion) -> Array:
    average = expansion.average
    kernel = (average.features * (average.weights * expansion.weights.zeroth)[:, None]).T @ average.features
    return np.asarray(0.5 * (kernel + kernel.T))


def _test_outputs(
    sample: Sample, levels: Sequence[_Level], space: RowSpace, network: Network, activation: Activation
) -> list[tuple[Array, Array, Array]]:
    """Return for each level mean test outputs (Q,), the same on each batch (B, Q), and variances (Q,).

    The levels must expand about the same measure: that of the first one's average.

    The tree level's variance is ``W''_** - W''_*a G W''_a*``. With ``f_* = b.f + f_rho``, b such that the
    rest ``w rho = z_* - b.z`` is uncorrelated with z, the loop changes it by b.dCov b plus the change of
    ``N Var(w rho)``; this is complete for a linear network, and otherwise lacks correlations between the
    rests of different neurons.
    """
    average, N = levels[0].full.average, network.width
    n, n_test, count = len(average.weights), len(space.test), len(levels)
    p, m = average.weights, average.readout
    second = p * (m**2 + network.tau)
    # first moments: the tree's m, then each level's own, then each level's own on the batches
    linear = np.column_stack(
        [p * m, *(p * level.full.weights.first for level in levels), *(np.empty(n) for _ in levels)]
    )
    owner = np.empty(n, dtype=np.int64)
    for index, batch in enumerate(sample.batches):
        owner[batch.rows] = index
        for number, level in enumerate(levels):
            part = level.parts[index]
            linear[batch.rows, 1 + count + number] = part.average.weights * part.weights.first
    # second moments: the tree's, and of each loop the difference from it
    loops = [level for level in levels if level.change_of_covariance is not None]
    quadratic = [second, *(p * level.full.weights.second - second for level in loops)]

    rows = n // (sample.snapshots.snapshots * BLOCKS)
    sums, part_sums = np.zeros((1 + count, n_test)), np.zeros((count, len(sample.batches), n_test))
    cross = np.zeros((len(quadratic), n_test, len(average.mean_feature)))
    square, residual_square = np.zeros((2, len(quadratic), n_test))
    stride = max(1, n // _SQUARE_DRAWS)
    thinned_mass = float(p[::stride].sum())
    has_residual = bool(np.any(space.test_residual_sd))
    for start in range(0, n, rows):  # one block of one snapshot, which belongs to one batch
        part_rows = slice(start, start + rows)
        mean = sample.snapshots.positions[part_rows] @ space.test.T
        feature = activation.smoothed_mean(mean, space.test_residual_sd)
        contribution = linear[part_rows].T @ feature
        sums += contribution[: 1 + count]
        part_sums[:, owner[start]] += contribution[1 + count :]
        for index, weight in enumerate(quadratic):
            cross[index] += feature.T @ (weight[part_rows, None] * average.features[part_rows])
        square += np.array([weight[part_rows] for weight in quadratic]) @ feature**2
        if has_residual:
            # the other terms of the variance come from the same draws, which keeps their sum non-negative;
            # this one is non-negative by itself and may use fewer
            thin = slice((-start) % stride, rows, stride)
            spread = activation.smoothed_square(mean[thin], space.test_residual_sd) - feature[thin] ** 2
            spread = np.maximum(spread, 0.0) / thinned_mass
            residual_square += np.array([weight[part_rows][thin] for weight in quadratic]) @ spread
    W_cross = N * (cross[0] - np.outer(sums[0], average.mean_feature))
    W_test = N * (square[0] + residual_square[0] - sums[0] ** 2)
    at_tree = W_test - np.sum((W_cross @ average.propagator) * W_cross, axis=1)
    results = []
    for number, level in enumerate(levels):
        variance = at_tree.copy()
        if level.change_of_covariance is not None:
            index = 1 + [id(loop) for loop in loops].index(id(level))
            # W'' has the rank of the features, which may be below P
            ridge = 1e-8 * float(np.trace(average.curvature)) * np.eye(len(average.curvature))
            b = cho_solve(cho_factor(average.curvature + ridge, lower=True), W_cross.T).T
            loop_train = (average.features * quadratic[index][:, None]).T @ average.features
            mean_rho = sums[0] - b @ average.mean_feature
            loop_mean_rho = sums[1 + number] - b @ ((p * level.full.weights.first) @ average.features)
            loop_rest = square[index] + residual_square[index] - 2 * np.sum(b * cross[index], axis=1)
            loop_rest += np.sum((b @ loop_train) * b, axis=1)
            variance += np.sum((b @ level.change_of_covariance) * b, axis=1)
            variance += N * (loop_rest + mean_rho**2 - loop_mean_rho**2)
        results.append((N * sums[1 + number], N * part_sums[number], np.maximum(variance, 0.0)))
    return results
