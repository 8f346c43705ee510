"""A population of M neurons that samples the tilted measure while it solves for the conjugate field.

The population is a wide network: M = cN neurons at ``g' = g/c``, ``kappa' = kappa/c``, whose posterior
tends to the tree level of (N, g, kappa) for large c (docs/theory.md, section 5c). Given the population the
field is ``ft = (g H + kappa)^-1 y`` with the hidden kernel ``H = (1/M) sum phi phi^T``; given ft every neuron
moves by Metropolis-adjusted Hamiltonian trajectories that leave ``q ~ exp(-|a|^2/2 + tau u^2/2)`` invariant.

Strong feature learning splits the neurons into a bulk near the prior and a few far out in narrow cones (for ReLU
the tilt cancels most of the prior along a ray). No one scale of motion suits both: trajectories alternate between
the metric of the population and that of the prior, and every neuron draws a step size of its own.

The neurons move in blocks, and ft is solved again after each block. Were they all moved at a fixed ft, the
population would overshoot (the collective mode is stiff by a factor g H / kappa), and at strong feature
learning a field that lies slightly outside the domain of W would let neurons run away. Solved blockwise, ft
answers at once, and the free energy ``N KL(q | prior) + (1/2) y.(g H + kappa)^-1 y``, which is convex in q,
is descended to its only minimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from msat.network import Network
from msat.theory.matrices import solve
from msat.theory.sampled.draws import Draws
from msat.theory.sampled.problem import Problem
from msat.types import Array, Indices

BLOCKS = 16  # equal parts of the population: moved one after the other, and the batches of error estimates

_ACCEPTANCE = 0.75
_MAX_ANGLE = 1.5  # just below pi/2, at which a step on an exactly normal measure is an independent draw
_LONGEST = 8  # leapfrog steps of one trajectory
_ROWS = 2048  # draws whose derivatives are in memory at once
_SMALLEST_SHARE = 0.25  # of a neuron's step size, drawn log-uniformly, in the largest


class Neurons(NamedTuple):
    """Neurons in whitened row-space coordinates: positions a, (M, r), ``h = Z a`` and ``phi(h)``, (M, P)."""

    positions: Array
    pre_activations: Array
    features: Array


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons, their number M a multiple of `BLOCKS`, and how they move.

    Attributes:
        angles: Largest step size in the metric of the population and of the prior, in radians of its exact rotation.
    """

    neurons: Neurons
    angles: tuple[float, float] = (0.5, 0.5)

    @property
    def size(self) -> int:
        """Number of neurons M."""
        return len(self.neurons.positions)

    def chosen(self, rows: Indices) -> Population:
        """Return the population of some of the neurons, with repetition; their number a multiple of `BLOCKS`."""
        return Population(Neurons(*(array[rows] for array in self.neurons)), self.angles)

    def half(self) -> Population:
        """Return every second neuron, as far as `BLOCKS` divides their number; all of a very small population."""
        rows = np.arange(0, self.size, 2)
        rows = rows[: len(rows) - len(rows) % BLOCKS]
        return self.chosen(rows) if len(rows) else self


@dataclass(frozen=True, eq=False)
class Snapshots:
    """Populations collected at one scale. Fields are (P,), or of m outputs (P m,), sample by sample.

    Attributes:
        positions, features: All draws, (n, r) and (n, P), n = count x M.
        conjugates: ft after every sweep, (sweeps, P).
        count: Number of snapshots.
    """

    positions: Array
    features: Array
    conjugates: Array
    count: int

    @property
    def rows(self) -> int:
        """Number of draws in one block of one snapshot."""
        return len(self.positions) // (self.count * BLOCKS)

    @property
    def block(self) -> Indices:
        """The block each draw belongs to, (n,)."""
        return np.arange(len(self.positions)) // self.rows % BLOCKS

    @cached_property
    def conjugate(self) -> Array:
        """The mean field, (P,)."""
        return np.asarray(self.conjugates.mean(axis=0))

    @cached_property
    def u(self) -> Array:
        """``u`` at the mean field of every neuron in every snapshot, (count, M); of several outputs ``|u|``."""
        if self.conjugate.size == self.features.shape[1]:
            return (self.features @ self.conjugate).reshape(self.count, -1)
        return np.sqrt(_squared(self.features, self.conjugate)).reshape(self.count, -1)


def from_prior(problem: Problem, size: int) -> Population:
    """Return `size` neurons drawn from the prior, with sample mean 0 and covariance I exactly."""
    positions = problem.rng.standard_normal((size, problem.space.rank))
    positions -= positions.mean(axis=0)
    factor = np.linalg.cholesky(positions.T @ positions / size)
    positions = solve_triangular(factor, positions.T, lower=True).T
    h = positions @ problem.space.train.T
    return Population(Neurons(positions, h, problem.activation.phi(h)))


def field(features: Array, y: Array, network: Network) -> Array:
    """Return ``ft = (g H + kappa)^-1 y`` of features (M, P) with equal weights; y and ft (P,) or (P m,)."""
    kernel = network.g / len(features) * (features.T @ features)
    kernel[np.diag_indices_from(kernel)] += network.kappa
    return _solved(kernel, y)


def _solved(kernel: Array, y: Array) -> Array:
    if y.size == len(kernel):
        return solve(kernel, y, definite=True)
    return solve(kernel, y.reshape(len(kernel), -1), definite=True).reshape(-1)


def _squared(features: Array, conjugate: Array) -> Array:
    """Return ``|u|^2`` of every draw, (n,)."""
    if conjugate.size == features.shape[1]:
        return np.asarray((features @ conjugate) ** 2)
    return np.asarray(np.sum((features @ conjugate.reshape(features.shape[1], -1)) ** 2, axis=1))


class _Metric(NamedTuple):
    """Coordinates ``s = (axes^T a - center) / spread`` in which a measure is standard normal to second order."""

    center: Array
    spread: Array
    axes: Array | None  # None for the coordinates as they are
    train: Array  # training inputs along the axes, (P, r)


def _metrics(positions: Array, train: Array) -> tuple[_Metric, _Metric]:
    """Return the metric of the population's covariance and that of the prior."""
    rank = train.shape[1]
    variances, axes = np.linalg.eigh(np.cov(positions, rowvar=False, ddof=0).reshape(rank, rank))
    learned = _Metric(axes.T @ positions.mean(axis=0), np.sqrt(np.maximum(variances, 1e-6)), axes, train @ axes)
    return learned, _Metric(np.zeros(rank), np.ones(rank), None, np.ascontiguousarray(train))


def move(problem: Problem, network: Network, population: Population, sweeps: int) -> tuple[Population, Array]:
    """Return the population after some sweeps over all blocks, and ft after each sweep, (sweeps, P).

    Sweeps alternate between two metrics, that of the population's covariance, taken once at the start, and that
    of the prior.
    """
    y, rows = problem.y, population.size // BLOCKS
    neurons, angles = Neurons(*(array.copy() for array in population.neurons)), list(population.angles)
    metrics = _metrics(neurons.positions, problem.space.train)

    def share(block: slice) -> Array:
        """Return a block's part of ``g H``, (P, P)."""
        features = neurons.features[block]
        return np.asarray(network.g / population.size * (features.T @ features))

    blocks = [slice(b * rows, (b + 1) * rows) for b in range(BLOCKS)]
    shares = [share(block) for block in blocks]
    noise = network.kappa * np.eye(len(shares[0]))
    conjugates = np.empty((sweeps, len(y)))
    kernel = noise + reduce(np.add, shares)
    for sweep in range(sweeps):
        kind, accepted = sweep % 2, 0.0
        for b in problem.rng.permutation(BLOCKS):
            state = Neurons(*(array[blocks[b]] for array in neurons))
            ft = _solved(kernel, y)
            ends, accept = _trajectory(problem, network, state, ft, metrics[kind], angles[kind])
            for array, end in zip(state, ends, strict=True):
                array[accept] = end[accept]  # a view: this writes into the population
            accepted += float(accept.mean()) / BLOCKS
            before, shares[b] = shares[b], share(blocks[b])
            kernel += shares[b] - before
        angles[kind] = float(np.clip(angles[kind] * np.exp(0.5 * (accepted - _ACCEPTANCE)), 0.02, _MAX_ANGLE))
        kernel = noise + reduce(np.add, shares)  # summed afresh: updates accumulate rounding
        conjugates[sweep] = _solved(kernel, y)
    return Population(neurons, (angles[0], angles[1])), conjugates


def _trajectory(
    problem: Problem, network: Network, start: Neurons, conjugate: Array, metric: _Metric, angle: float
) -> tuple[Neurons, NDArray[np.bool_]]:
    """Return where Hamiltonian trajectories end, and which of them are accepted.

    In the metric's coordinates s the potential is ``|s|^2 / 2 + rest``: each leapfrog step kicks by the rest and
    rotates exactly under the first part. A trajectory is about a quarter turn long.
    """
    center, spread, axes, train = metric
    activation, rng, tau = problem.activation, problem.rng, network.tau
    fields = conjugate.reshape(start.features.shape[1], -1)
    several = fields.shape[1] > 1

    def rest(s: Array, rotated: Array, h: Array, phi: Array) -> tuple[Array, Array]:
        """Return the potential ``|a|^2/2 - tau u^2/2``, (n,), and the gradient of the rest, (n, r)."""
        if several:
            u = phi @ fields
            pull = tau * ((activation.derivative(h) * (u @ fields.T)) @ train)
            square = np.sum(u**2, axis=1)
        else:
            u = phi @ conjugate
            pull = tau * u[:, None] * ((activation.derivative(h) * conjugate) @ train)
            square = u**2
        return 0.5 * np.sum(rotated**2, axis=1) - 0.5 * tau * square, spread * (rotated - pull) - s

    a, h, phi = start
    s = ((a if axes is None else a @ axes) - center) / spread
    rotated = center + spread * s
    energy, kick = rest(s, rotated, h, phi)
    momentum = rng.standard_normal(s.shape)
    kinetic = 0.5 * np.sum(momentum**2, axis=1)
    steps = angle * _SMALLEST_SHARE ** rng.random((len(a), 1))
    cosine, sine = np.cos(steps), np.sin(steps)
    mean_share = (1 - _SMALLEST_SHARE) / -np.log(_SMALLEST_SHARE)
    for _ in range(int(np.clip(round(0.5 * np.pi / (mean_share * angle)), 1, _LONGEST))):
        momentum -= 0.5 * steps * kick
        s, momentum = cosine * s + sine * momentum, cosine * momentum - sine * s
        rotated = center + spread * s
        h = rotated @ train.T
        phi = activation.phi(h)
        end, kick = rest(s, rotated, h, phi)
        momentum -= 0.5 * steps * kick
    log_ratio = energy - end + kinetic - 0.5 * np.sum(momentum**2, axis=1)
    accept = np.log(rng.random(len(a))) < log_ratio
    return Neurons(rotated if axes is None else rotated @ axes.T, h, phi), accept


def collect(problem: Problem, network: Network, population: Population, count: int) -> tuple[Population, Snapshots]:
    """Return the moved population and some of its states, each after `Effort.spacing` sweeps."""
    states, conjugates = [], []
    for _ in range(count):
        population, fields = move(problem, network, population, problem.effort.spacing)
        states.append(population.neurons)
        conjugates.append(fields)
    positions, features = (np.concatenate([getattr(s, name) for s in states]) for name in ("positions", "features"))
    return population, Snapshots(positions, features, np.concatenate(conjugates), count)


def stein_scores(
    problem: Problem,
    network: Network,
    positions: Array,
    features: Array,
    conjugate: Array,
    pre_activations: Array | None = None,
) -> Array:
    """Return functions of zero mean under the tilted measure, (n, r), some draws at a time; (n, m r) of m outputs.

    Integration by parts of ``d/da_j (u q)`` gives ``E_q[d_j u (1 + tau u^2) - u a_j] = 0``. For linear phi
    the sampling noise of ``E_q[z]`` is a linear combination of exactly these r functions. Of several outputs likewise
    ``E_q[d_j u_c + u_c (tau sum_d u_d d_j u_d - a_j)] = 0``.
    """
    train, fields = problem.space.train, conjugate.reshape(features.shape[1], -1)
    scores = np.empty((len(positions), fields.shape[1] * positions.shape[1]))
    for start in range(0, len(positions), _ROWS):
        rows = slice(start, start + _ROWS)
        h = positions[rows] @ train.T if pre_activations is None else pre_activations[rows]
        derivative = problem.activation.derivative(h)
        if fields.shape[1] == 1:
            u = features[rows] @ conjugate
            slope = (derivative * conjugate) @ train
            scores[rows] = slope * (1 + network.tau * u**2)[:, None] - u[:, None] * positions[rows]
            continue
        u = features[rows] @ fields
        drift = network.tau * ((derivative * (u @ fields.T)) @ train) - positions[rows]
        slopes = [(derivative * column) @ train for column in fields.T]
        scores[rows] = np.hstack([slope + u[:, [c]] * drift for c, slope in enumerate(slopes)])
    return scores


def calibrate(scores: Array) -> Array:
    """Return log weights, (n,), linear in scores of unit variance and closest to 0, under which all average to 0.

    Entropy balancing: minimises the convex ``ln mean(exp(scores.c))`` by damped Newton steps.
    """
    n, r = scores.shape
    coefficient, exponent, value = np.zeros(r), np.zeros(n), 0.0
    for _ in range(30):
        weights = np.exp(exponent - exponent.max())
        weights /= weights.sum()
        slope = weights @ scores
        if np.linalg.norm(slope) < 1e-10 * np.sqrt(r):
            break
        root = np.sqrt(weights)[:, None] * scores
        bend = root.T @ root - np.outer(slope, slope)
        bend[np.diag_indices_from(bend)] += 1e-10
        step = -np.linalg.solve(bend, slope)
        length = 1.0
        while length > 1e-6:
            trial = scores @ (coefficient + length * step)
            top = trial.max()
            new = float(top + np.log(np.mean(np.exp(trial - top))))
            if new <= value + 1e-4 * length * float(slope @ step) + 1e-13:
                break
            length /= 2
        else:
            break
        coefficient, exponent, value = coefficient + length * step, trial, new
    return exponent


def as_draws(network: Network, features: Array, conjugate: Array, scores: Array) -> Draws:
    """Return neurons, (n, P), sampled at the given ft as `Draws` calibrated by their `stein_scores`."""
    spread = scores.std(axis=0)
    exponent = calibrate(scores / np.where(spread > 0, spread, 1.0))
    return Draws(features, exponent - 0.5 * network.tau * _squared(features, conjugate))
