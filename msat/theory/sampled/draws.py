"""One neuron under its tilted measure, as weighted draws (docs/theory.md, sections 2 and 4).

The measure is ``q(a) ~ N(a; 0, I) exp(tau u^2 / 2)`` with ``u = ft.phi(h)``, ``h = Z a``. Given a the readout weight is
``w ~ N(m, tau)`` with ``m = tau u``, so every average over w is a polynomial in m and only averages over draws are
left. Throughout ``z = w phi``, ``mu = E z``, ``G = (kappa + W'')^-1``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from msat.network import Network
from msat.types import Array


class Draws(NamedTuple):
    """Draws of one neuron's training features from any measure.

    Attributes:
        features: ``phi(h)``, (n, P).
        log_base: ``ln prior - ln sampling density`` of each draw, (n,), up to one constant.
    """

    features: Array
    log_base: Array


@dataclass(frozen=True, eq=False)
class Neuron:
    """One neuron under the tilt of a conjugate field. Build it with `tilt`.

    Attributes:
        network: Network at its scale.
        features, weights, readout: ``phi`` (n, P), normalised weights (n,), ``m`` (n,).
        log_mean: ``ln mean(exp(log_base + tau u^2 / 2))``.
        whole: Where these are some of its draws: the second moments stay those of all draws.
    """

    network: Network
    features: Array
    weights: Array
    readout: Array
    log_mean: float
    whole: Neuron | None = None

    @property
    def ess_fraction(self) -> float:
        """``(sum weights)^2 / (n sum weights^2)``."""
        return 1.0 / (len(self.weights) * float(self.weights @ self.weights))

    @cached_property
    def moments(self) -> tuple[Array, Array, Array, Array]:
        """``E[w^k | a]`` for k = 1 to 4, (n,) each."""
        m, tau = self.readout, self.network.tau
        return m, m**2 + tau, m**3 + 3 * m * tau, m**4 + 6 * m**2 * tau + 3 * tau**2

    @cached_property
    def mean(self) -> Array:
        """``mu``, (P,)."""
        return np.asarray((self.weights * self.readout) @ self.features)

    @cached_property
    def W2(self) -> Array:
        """``W'' = N Cov_q(z, z)``, (P, P)."""
        if self.whole is not None:
            return self.whole.W2
        # symmetric by construction: the square root of the weight goes on both sides
        scaled = np.sqrt(self.weights * self.moments[1])[:, None] * self.features
        return np.asarray(self.network.width * (scaled.T @ scaled - np.outer(self.mean, self.mean)))

    @property
    def curvature(self) -> Array:
        """``kappa + W''``, (P, P)."""
        return np.asarray(self.W2 + self.network.kappa * np.eye(len(self.W2)))

    @property
    def factor(self) -> Any:
        """The curvature as scipy's `cho_solve` takes it."""
        return cho_factor(self.curvature, lower=True)

    @cached_property
    def G(self) -> Array:
        """The propagator, (P, P)."""
        return np.asarray(cho_solve(self.factor, np.eye(len(self.W2))))

    @cached_property
    def trace(self) -> float:
        """``Tr(G Cov z)``."""
        return float(np.sum(self.G * self.W2)) / self.network.width

    @cached_property
    def contractions(self) -> tuple[Array, Array, float]:
        """``phi.G phi`` and ``phi.G mu`` of every draw, (n,), and ``mu.G mu``."""
        G_mu = self.G @ self.mean
        quadratic = np.einsum("np,np->n", self.features @ self.G, self.features)
        return quadratic, self.features @ G_mu, float(self.mean @ G_mu)

    def every(self, stride: int) -> Neuron:
        """Return the neuron on some of its draws; the mean is their own."""
        part = slice(None, None, stride)
        weights = self.weights[part] / self.weights[part].sum()
        return Neuron(self.network, self.features[part], weights, self.readout[part], self.log_mean, self)


def tilt(draws: Draws, ft: Array, network: Network) -> Neuron:
    """Return the `Neuron` under the tilt of a field, (P,)."""
    u = draws.features @ ft
    exponent = draws.log_base + 0.5 * network.tau * u**2
    top = float(exponent.max())
    weights = np.exp(exponent - top)
    total = float(weights.sum())
    weights /= total
    return Neuron(network, draws.features, weights, network.tau * u, top + float(np.log(total / len(u))))
