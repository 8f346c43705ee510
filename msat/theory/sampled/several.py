"""One neuron with m outputs under its tilted measure, and one loop about it (docs/theory.md, section 12).

The measure is ``q(a) ~ N(a; 0, I) exp(tau |u|^2 / 2)``, ``u = ft^T phi(h)`` in R^m. Given a the readouts are
``w ~ N(M, tau 1)``, ``M = tau u``; ``z = phi (x) w`` has P m components, entry ``a m + c`` of vectors. Of the
propagator G over them averages over w need ``Gam_cd(h) = phi.G_cd phi`` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from msat.network import Network
from msat.theory.sampled.cumulants import LoopWeights
from msat.theory.sampled.draws import Draws, Neuron
from msat.types import Array

_ROWS = 2048  # draws whose products over samples and outputs are in memory at once


@dataclass(frozen=True, eq=False)
class SeveralNeuron(Neuron):
    """`msat.theory.sampled.draws.Neuron` with m outputs: `readout` is M, (n, m); vectors over z are (P m,)."""

    @cached_property
    def mean(self) -> Array:
        """``mu``, (P m,)."""
        return np.asarray(self.features.T @ (self.weights[:, None] * self.readout)).reshape(-1)

    @cached_property
    def W2(self) -> Array:
        """``W'' = N (E[phi_a phi_b (tau delta_cd + M_c M_d)] - mu mu^T)``, (P m, P m)."""
        samples, outputs = self.features.shape[1], self.readout.shape[1]
        second = -np.outer(self.mean, self.mean)
        for start in range(0, len(self.weights), _ROWS):
            rows = slice(start, start + _ROWS)
            scaled = np.sqrt(self.weights[rows])[:, None] * self.readout[rows]
            products = (self.features[rows, :, None] * scaled[:, None, :]).reshape(len(scaled), -1)
            second += products.T @ products
        root = np.sqrt(self.weights)[:, None] * self.features
        kernel, whole = self.network.tau * (root.T @ root), second.reshape(samples, outputs, samples, outputs)
        for c in range(outputs):
            whole[:, c, :, c] += kernel
        return self.network.width * second

    def along(self, vector: Array) -> Array:
        """Return ``phi.x_c`` of every draw for a vector x over z, (n, m)."""
        return np.asarray(self.features @ vector.reshape(self.features.shape[1], -1))

    @cached_property
    def Gam(self) -> Array:
        """``Gam`` of the propagator G, (n, m, m)."""
        samples, outputs = self.features.shape[1], self.readout.shape[1]
        whole = self.G.reshape(samples, outputs, samples, outputs)
        result = np.empty((len(self.weights), outputs, outputs))
        for c in range(outputs):
            for d in range(c + 1):
                block = np.ascontiguousarray(whole[:, c, :, d])
                quadratic = np.einsum("np,np->n", self.features @ block, self.features)
                result[:, c, d] = result[:, d, c] = quadratic
        return result


def tilt_several(draws: Draws, ft: Array, network: Network) -> SeveralNeuron:
    """Return the `SeveralNeuron` under the tilt of a field, (P m,)."""
    u = draws.features @ ft.reshape(draws.features.shape[1], -1)
    exponent = draws.log_base + 0.5 * network.tau * np.sum(u**2, axis=1)
    top = float(exponent.max())
    weights = np.exp(exponent - top)
    total = float(weights.sum())
    return SeveralNeuron(network, draws.features, weights / total, network.tau * u, top + float(np.log(total / len(u))))


def _quadratic(neuron: SeveralNeuron) -> tuple[Array, Array, Array]:
    """Return ``Gam M``, (n, m), ``M.Gam M`` and ``tr Gam``, (n,)."""
    turned = np.einsum("ncd,nd->nc", neuron.Gam, neuron.readout)
    return turned, np.sum(turned * neuron.readout, axis=1), np.einsum("ncc->n", neuron.Gam)


def loop_vector_several(neuron: SeveralNeuron) -> Array:
    """Return ``T = kappa_3[z; z.Gz]``, (P m,); N T is the gradient of ``ln det(kappa + W'')``."""
    mu, M, tau, weights = neuron.mean, neuron.readout, neuron.network.tau, neuron.weights
    turned, along, trace = _quadratic(neuron)
    cubic = M * (along + tau * trace)[:, None] + 2 * tau * turned
    third = (neuron.features.T @ (weights[:, None] * cubic)).reshape(-1)
    G_mu = neuron.G @ mu
    offset = 2 * (neuron.W2 @ G_mu / neuron.network.width + mu * float(mu @ G_mu))
    square = float(weights @ (along + tau * trace))  # E[z.Gz]
    return np.asarray(third - offset - mu * square + 2 * mu * float(mu @ G_mu))


def loop_weights_several(neuron: SeveralNeuron, shift: Array | None) -> LoopWeights:
    """Return the `LoopWeights` of eq. (5): by draw (n,), and with w (n, m) and with w w^T (n, m, m).

    Args:
        shift: delta in eq. (5), (P m,); None for averages under q itself.
    """
    M, tau, identity = neuron.readout, neuron.network.tau, np.eye(neuron.readout.shape[1])
    outer = M[:, :, None] * M[:, None, :]
    if shift is None:
        return LoopWeights(np.ones(len(M)), M, outer + tau * identity)
    mu, Gam = neuron.mean, neuron.Gam
    G_mu = neuron.G @ mu
    turned, along, trace = _quadratic(neuron)
    # R(w) = r0 + w.r1 - w.Gam w / 2
    r0 = 1 - float(mu @ shift) - 0.5 * (float(mu @ G_mu) - neuron.trace)
    r1 = neuron.along(shift + G_mu)
    linear, square = np.sum(M * r1, axis=1), along + tau * trace
    zeroth = r0 + linear - 0.5 * square
    first = (r0 + linear - 0.5 * square)[:, None] * M + tau * (r1 - turned)
    cross = M[:, :, None] * (r1 - turned)[:, None, :]
    second = zeroth[:, None, None] * (outer + tau * identity)
    second = second + tau * (cross + cross.transpose(0, 2, 1)) - tau**2 * Gam
    return LoopWeights(zeroth, first, second)
