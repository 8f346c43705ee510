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

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from msat.activations.base import Activation
from msat.geometry import RowSpace
from msat.network import Network
from msat.theory.sampled.draws import Draws
from msat.types import Array, Indices

BLOCKS = 16  # equal parts of the population: moved one after the other, and the batches of error estimates

_ACCEPTANCE = 0.75
_MAX_ANGLE = 1.5  # just below pi/2, at which a step on an exactly normal measure is an independent draw
_LONGEST = 8  # leapfrog steps of one trajectory
_SMALLEST_SHARE = 0.25  # of a neuron's step size, drawn log-uniformly, in the largest


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons in whitened row-space coordinates.

    Attributes:
        positions: a, (M, r), M a multiple of `BLOCKS`.
        pre_activations, features: ``h = Z a`` and ``phi(h)`` on the training points, (M, P).
        angles: Largest step size in the metric of the population and of the prior, in radians of its exact rotation.
    """

    positions: Array
    pre_activations: Array
    features: Array
    angles: tuple[float, float] = (0.5, 0.5)

    @property
    def size(self) -> int:
        """Number of neurons M."""
        return len(self.positions)

    def chosen(self, rows: Indices) -> Population:
        """Return the population of some of the neurons, with repetition; their number a multiple of `BLOCKS`."""
        return Population(self.positions[rows], self.pre_activations[rows], self.features[rows], self.angles)

    def half(self) -> Population:
        """Return every second neuron, as far as `BLOCKS` divides their number; all of a very small population."""
        rows = np.arange(0, self.size, 2)
        rows = rows[: len(rows) - len(rows) % BLOCKS]
        return self.chosen(rows) if len(rows) else self


@dataclass(frozen=True, eq=False)
class Snapshots:
    """Populations collected at one scale.

    Attributes:
        positions, features: All draws, (n, r) and (n, P), n = snapshots x M.
        block: The block each draw belongs to, (n,).
        conjugates: ft after every sweep, (sweeps, P).
        snapshots: Their number.
    """

    positions: Array
    features: Array
    block: Indices
    conjugates: Array
    snapshots: int


def prior_population(space: RowSpace, activation: Activation, size: int, rng: np.random.Generator) -> Population:
    """Return `size` neurons drawn from the prior, with sample mean 0 and covariance I exactly."""
    positions = rng.standard_normal((size, space.rank))
    positions -= positions.mean(axis=0)
    factor = np.linalg.cholesky(positions.T @ positions / size)
    positions = solve_triangular(factor, positions.T, lower=True).T
    h = positions @ space.train.T
    return Population(positions=positions, pre_activations=h, features=activation.phi(h))


def field(features: Array, y: Array, network: Network) -> Array:
    """Return ``ft = (g H + kappa)^-1 y`` of features (M, P) with equal weights."""
    kernel = network.g / len(features) * (features.T @ features)
    kernel[np.diag_indices_from(kernel)] += network.kappa
    return np.asarray(cho_solve(cho_factor(kernel, lower=True), y))


def move(
    population: Population,
    space: RowSpace,
    y: Array,
    network: Network,
    activation: Activation,
    sweeps: int,
    rng: np.random.Generator,
) -> tuple[Population, Array]:
    """Return the population after some sweeps over all blocks, and ft after each sweep, (sweeps, P).

    Sweeps alternate between two metrics, that of the population's covariance, taken once at the start, and that
    of the prior.
    """
    size = population.size
    rows = size // BLOCKS
    positions = population.positions.copy()
    pre_activations, features = population.pre_activations.copy(), population.features.copy()
    angles = list(population.angles)

    covariance = np.cov(positions, rowvar=False, ddof=0).reshape(space.rank, space.rank)
    variances, axes = np.linalg.eigh(covariance)
    learned = _Metric(axes.T @ positions.mean(axis=0), np.sqrt(np.maximum(variances, 1e-6)), axes)
    metrics = (learned, _Metric(np.zeros(space.rank), np.ones(space.rank), np.eye(space.rank)))
    trains = [space.train @ metric.axes for metric in metrics]
    blocks = [slice(b * rows, (b + 1) * rows) for b in range(BLOCKS)]
    shares = [network.g / size * (features[block].T @ features[block]) for block in blocks]
    noise = network.kappa * np.eye(len(y))
    conjugates = np.empty((sweeps, len(y)))

    for sweep in range(sweeps):
        kernel = noise + np.sum(shares, axis=0)  # summed afresh: updates would accumulate rounding
        metric, train, angle, accepted = metrics[sweep % 2], trains[sweep % 2], angles[sweep % 2], 0.0
        for b in rng.permutation(BLOCKS):
            block = blocks[b]
            ft = cho_solve(cho_factor(kernel, lower=True), y)
            state = positions[block], pre_activations[block], features[block]
            ends, accept = _trajectory(*state, ft, metric, train, angle, network.tau, activation, rng)
            for array, end in zip(state, ends, strict=True):
                array[accept] = end[accept]  # a view: this writes into the population
            accepted += float(accept.mean()) / BLOCKS
            share = network.g / size * (features[block].T @ features[block])
            kernel += share - shares[b]
            shares[b] = share
        angles[sweep % 2] = float(np.clip(angle * np.exp(0.5 * (accepted - _ACCEPTANCE)), 0.02, _MAX_ANGLE))
        conjugates[sweep] = cho_solve(cho_factor(noise + np.sum(shares, axis=0), lower=True), y)
    return Population(positions, pre_activations, features, (angles[0], angles[1])), conjugates


@dataclass(frozen=True, eq=False)
class _Metric:
    """Coordinates ``s = (axes^T a - center) / spread`` in which a measure is standard normal to second order."""

    center: Array
    spread: Array
    axes: Array


def _trajectory(
    a: Array,
    h: Array,
    phi: Array,
    conjugate: Array,
    metric: _Metric,
    train: Array,
    angle: float,
    tau: float,
    activation: Activation,
    rng: np.random.Generator,
) -> tuple[tuple[Array, Array, Array], NDArray[np.bool_]]:
    """Return where Hamiltonian trajectories from a end (a, h and phi there), and which of them are accepted.

    In the metric's coordinates s the potential is ``|s|^2 / 2 + rest``: each leapfrog step kicks by the rest and
    rotates exactly under the first part. A trajectory is about a quarter turn long. `train` are the training
    inputs along the metric's axes, (P, r).
    """
    center, spread = metric.center, metric.spread

    def rest(s: Array, h: Array, phi: Array) -> tuple[Array, Array]:
        """Return the potential ``|a|^2/2 - tau u^2/2``, (n,), and the gradient of the rest, (n, r)."""
        rotated = center + spread * s
        u = phi @ conjugate
        pull = (activation.derivative(h) * conjugate) @ train
        potential = 0.5 * np.sum(rotated**2, axis=1) - 0.5 * tau * u**2
        return potential, spread * (rotated - tau * u[:, None] * pull) - s

    s = (a @ metric.axes - center) / spread
    energy, kick = rest(s, h, phi)
    momentum = rng.standard_normal(s.shape)
    kinetic = 0.5 * np.sum(momentum**2, axis=1)
    steps = angle * _SMALLEST_SHARE ** rng.random((len(a), 1))
    cosine, sine = np.cos(steps), np.sin(steps)
    mean_share = (1 - _SMALLEST_SHARE) / -np.log(_SMALLEST_SHARE)
    for _ in range(int(np.clip(round(0.5 * np.pi / (mean_share * angle)), 1, _LONGEST))):
        momentum -= 0.5 * steps * kick
        s, momentum = cosine * s + sine * momentum, cosine * momentum - sine * s
        h = (center + spread * s) @ train.T
        phi = activation.phi(h)
        end, kick = rest(s, h, phi)
        momentum -= 0.5 * steps * kick
    log_ratio = energy - end + kinetic - 0.5 * np.sum(momentum**2, axis=1)
    accept = np.log(rng.random(len(a))) < log_ratio
    return ((center + spread * s) @ metric.axes.T, h, phi), accept


def collect(
    population: Population,
    space: RowSpace,
    y: Array,
    network: Network,
    activation: Activation,
    snapshots: int,
    spacing: int,
    rng: np.random.Generator,
) -> tuple[Population, Snapshots]:
    """Return the moved population and its states after every `spacing` sweeps."""
    positions, features, conjugates = [], [], []
    for _ in range(snapshots):
        population, fields = move(population, space, y, network, activation, spacing, rng)
        positions.append(population.positions)
        features.append(population.features)
        conjugates.append(fields)
    block = np.repeat(np.arange(BLOCKS), population.size // BLOCKS)
    return population, Snapshots(
        positions=np.concatenate(positions),
        features=np.concatenate(features),
        block=np.tile(block, snapshots),
        conjugates=np.concatenate(conjugates),
        snapshots=snapshots,
    )


def stein_scores(
    positions: Array, features: Array, conjugate: Array, space: RowSpace, tau: float, activation: Activation
) -> Array:
    """Return functions of zero mean under the tilted measure, (n, r), normalised to unit variance.

    Integration by parts of ``d/da_j (u q)`` gives ``E_q[d_j u (1 + tau u^2) - u a_j] = 0``. For linear phi
    the sampling noise of ``E_q[z]`` is a linear combination of exactly these r functions.
    """
    u = features @ conjugate
    slope = (activation.derivative(positions @ space.train.T) * conjugate) @ space.train
    scores = slope * (1 + tau * u**2)[:, None] - u[:, None] * positions
    spread = scores.std(axis=0)
    return np.asarray(scores / np.where(spread > 0, spread, 1.0))


def calibrate(scores: Array) -> Array:
    """Return log weights, (n,), linear in the scores and closest to 0, under which all scores average to 0.

    Entropy balancing: minimises the convex ``ln mean(exp(scores.c))`` by damped Newton steps.
    """
    n, r = scores.shape
    coefficient, exponent = np.zeros(r), np.zeros(n)
    value = 0.0
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


def as_draws(
    positions: Array, features: Array, conjugate: Array, space: RowSpace, network: Network, activation: Activation
) -> Draws:
    """Return neurons, (n, r) and (n, P), sampled at the given ft as calibrated `Draws`."""
    scores = stein_scores(positions, features, conjugate, space, network.tau, activation)
    u = features @ conjugate
    return Draws(features, calibrate(scores) - 0.5 * network.tau * u**2)
