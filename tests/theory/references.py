"""References that share no code with the package (closed forms, quadrature, brute-force derivatives), and how the
tests call the package on plain arrays.
"""

import importlib

import numpy as np
from scipy.optimize import brentq

from msat.activations import get_activation
from msat.geometry import Geometry
from msat.levels import LEVELS
from msat.theory.anneal import anneal
from msat.theory.sampled.action import minimum, on_draws
from msat.theory.sampled.draws import Draws
from msat.theory.sampled.ladder import climb
from msat.theory.sampled.outputs import Sample, answered
from msat.theory.sampled.population import BLOCKS, Snapshots
from msat.theory.sampled.problem import USUAL, Problem


def level_module(name):
    return importlib.import_module(f"msat.theory.{name}")


def geometry_of(x, y, x_test, network):
    return Geometry(x, y, x_test, np.zeros(len(x_test)), network.g_v, network.activation)


def solved(x, y, x_test, network, scales, levels, seed=0):
    """Return predictions by (level, chi)."""
    found = anneal(geometry_of(x, y, x_test, network), network, scales, levels, seed)
    return {(level, scales[index]): prediction for index, level, prediction in found}


def sampled(x, y, x_test, network, scales, levels, seed=0, effort=USUAL):
    """The same from draws, for a linear network too, with a choice of effort."""
    geometry = geometry_of(x, y, x_test, network)
    networks = [network.at(chi) for chi in sorted(scales)]
    modules = {name: level_module(name) for name in levels}
    expansions = {name: module for name, module in modules.items() if LEVELS[name].method == "action"}
    results = {
        (name, at.chi): module.predict(geometry, at)
        for name, module in modules.items()
        for at in networks
        if name not in expansions
    }
    for chi, name, prediction in climb(geometry, networks, expansions, seed, effort):
        results[name, chi] = prediction
    return results


def ising(n_train, dimension, n_test, seed, delta=0.1):
    rng = np.random.default_rng(seed)

    def draw(n):
        y = np.array([1.0] * (n // 2) + [-1.0] * (n - n // 2))
        rng.shuffle(y)
        return np.where(rng.random((n, dimension)) < 0.5 + delta, y[:, None], -y[:, None]), y

    (x, y), (x_test, y_test) = draw(n_train), draw(n_test)
    return x, y, x_test, y_test


def cubic_teacher(n_train, dimension, n_test, seed):
    rng = np.random.default_rng(seed)
    u = rng.normal(size=dimension)
    u /= np.linalg.norm(u)
    x = rng.normal(size=(n_train + n_test, dimension))
    z = x @ u
    y = (z + 0.3 * (z**3 - 3 * z)) / np.sqrt(1 + 0.09 * 6)
    return x[:n_train], y[:n_train], x[n_train:], y[n_train:]


class LinearTree:
    """Tree level and laplace of a linear network by the closed forms of docs/theory.md, section 3."""

    def __init__(self, x, y, network):
        g, kappa, N = network.g, network.kappa, network.width
        C = network.g_v / x.shape[1] * x @ x.T
        lam, U = np.linalg.eigh(C)
        a = U.T @ y

        def gap(Q):
            return 1 - 1 / Q - g / N * np.sum(lam * a**2 / (Q * g * lam + kappa) ** 2)

        high = 2.0
        while gap(high) < 0:
            high *= 2
        Q = brentq(gap, 1.0, high, xtol=1e-14)
        ft = np.linalg.solve(Q * g * C + kappa * np.eye(len(y)), y)
        v = C @ ft
        W2 = Q * g * C + 2 / N * Q**2 * g**2 * np.outer(v, v)
        G = np.linalg.inv(W2 + kappa * np.eye(len(y)))
        T = (2 * g**2 * Q**2 / N * (v * np.trace(G @ C) + 2 * C @ G @ v) + 8 * g**3 * Q**3 / N**2 * v * (v @ G @ v)) / N
        self.tree = y - kappa * ft
        self.laplace = y - kappa * (ft + N / 2 * G @ T)
        self.covariance = kappa * np.eye(len(y)) - kappa**2 * G
        self.hidden_kernel = C + g * Q / N * np.outer(v, v)
        self.readout_norm = g * Q
        self.action = -ft @ y + kappa / 2 * ft @ ft - N / 2 * np.log(1 - g / N * ft @ v)
        log_det = np.linalg.slogdet(W2 + kappa * np.eye(len(y)))[1]
        self.log_evidence = self.action - 0.5 * log_det - len(y) / 2 * np.log(2 * np.pi)
        self._C, self._y, self._network = C, y, network

    def one_loop_gradient(self, ft):
        """Return S'(ft) - (N/2) T(ft), which one_loop sets to zero."""
        C, y, g, kappa = self._C, self._y, self._network.g, self._network.kappa
        N = self._network.width
        v = C @ ft
        Q = 1 / (1 - g / N * ft @ v)
        G = np.linalg.inv(Q * g * C + 2 / N * Q**2 * g**2 * np.outer(v, v) + kappa * np.eye(len(y)))
        gradient = 2 * g**2 * Q**2 / N * (v * np.trace(G @ C) + 2 * C @ G @ v)
        gradient += 8 * g**3 * Q**3 / N**2 * v * (v @ G @ v)
        return kappa * ft + Q * g * v - y - gradient / 2


def brute_log_evidence(features, log_base, y, network, tau=None, tilt_by=None, start=None):
    """Saddle point plus fluctuations of ln p(y) on weighted draws, up to a constant, and its field.

    `tilt_by` is added to ``ft.phi`` (a conjugate field on further points); `tau` replaces the readout
    variance. A plain Newton iteration, undamped, from `start`.
    """
    tau = network.tau if tau is None else tau
    extra = 0.0 if tilt_by is None else tilt_by
    N, kappa = network.width, network.kappa
    ft = np.zeros(len(y)) if start is None else start
    for _ in range(60):
        u = features @ ft + extra
        log_weight = log_base + tau * u**2 / 2
        top = log_weight.max()
        w = np.exp(log_weight - top)
        log_mean = top + np.log(w.mean())
        w /= w.sum()
        mu = (w * tau * u) @ features
        W2 = N * ((features * (w * (tau**2 * u**2 + tau))[:, None]).T @ features - np.outer(mu, mu))
        H = W2 + kappa * np.eye(len(y))
        slope = kappa * ft + N * mu - y
        if np.abs(slope).max() < 1e-13 * np.abs(y).max():
            break
        ft = ft - np.linalg.solve(H, slope)
    S = -ft @ y + kappa / 2 * ft @ ft + N * log_mean
    return S - 0.5 * np.linalg.slogdet(H)[1], ft


def quadrature_neuron(n, dimension=2):
    """Nodes of a standard normal in a few dimensions, and log weights as log_base of `Draws`."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    weights = weights / weights.sum()
    grids = np.meshgrid(*[nodes] * dimension, indexing="ij")
    positions = np.column_stack([grid.ravel() for grid in grids])
    products = np.meshgrid(*[weights] * dimension, indexing="ij")
    weight = np.prod([product.ravel() for product in products], axis=0)
    keep = weight > 1e-30
    return positions[keep], np.log(weight[keep] * keep.sum())


def quadrature_draws(activation, space, n):
    """Positions of quadrature nodes in two row-space coordinates, and their `Draws`; blocks have equal size."""
    positions, log_base = quadrature_neuron(n)
    pad = -len(positions) % (4 * BLOCKS)
    log_base = np.concatenate([log_base, np.full(pad, -700.0)]) + np.log(1 + pad / len(positions))
    positions = np.vstack([positions, np.zeros((pad, 2))])
    return positions, Draws(get_activation(activation).phi(positions @ space.train.T), log_base)


def tree_level(draws, y, network, start=None, min_ess=0.0, monte_carlo=True):
    """Return the saddle on draws from a first field."""
    start = np.zeros(len(y)) if start is None else start
    return minimum(on_draws(draws, y, network, start, monte_carlo), min_ess)


def quadrature_sample(network, space, y, n=32):
    """A `Sample` whose draws are quadrature nodes: a network without Monte Carlo error."""
    positions, draws = quadrature_draws(network.activation, space, n)
    saddle = tree_level(draws, y, network, monte_carlo=False)
    snapshots = Snapshots(positions, draws.features, np.tile(saddle.action.ft, (4, 1)), 4)
    batches = []
    for half in range(2):
        rows = np.flatnonzero(snapshots.block // 8 == half)
        part = tree_level(Draws(draws.features[rows], draws.log_base[rows]), y, network, monte_carlo=False)
        batches.append((rows, part.action))
    return Sample(snapshots, saddle, batches, action_error=0.0, effective_sample_size=1.0)


def problem_of(space, y, activation, effort=USUAL, seed=0):
    """Return a `Problem` with a generator of its own."""
    return Problem(space, y, get_activation(activation), effort, np.random.default_rng(seed))


def on_quadrature(sample, space, *levels):
    """Return the predictions of levels on a `quadrature_sample` by name."""
    action = sample.saddle.action
    problem = problem_of(space, action.y, action.network.activation)
    return answered(sample, {name: level_module(name) for name in levels}, problem)
