"""One loop about a solution on draws: third and fourth cumulants of one neuron (docs/theory.md, section 4).

Given a draw the readout weight is ``w ~ N(m, tau)``, so every average over w is a polynomial in m and only
averages over draws are left. Throughout ``z = w phi``, ``mu = E z``, ``G = (kappa + W'')^-1``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msat.network import Network
from msat.types import Array


@dataclass(frozen=True, eq=False)
class NeuronAverage:
    """A weighted sample of one neuron and its first two cumulants at one conjugate field.

    Attributes:
        features, weights, readout: ``phi`` (n, P), normalised weights (n,), ``m = tau u`` (n,).
        mean_feature: ``mu``, (P,).
        curvature, propagator: ``W''`` and ``G``, (P, P).
    """

    features: Array
    weights: Array
    readout: Array
    mean_feature: Array
    curvature: Array
    propagator: Array


@dataclass(frozen=True, eq=False)
class LoopVector:
    """The third cumulant contracted with G.

    Attributes:
        T: ``kappa_3[z; z.Gz]``, (P,); N T is the gradient of ``ln det(kappa + W'')``.
        draw_coefficient: (n,): ``T = sum weights x draw_coefficient x features + offset``, for errors by batches.
        offset: (P,).
        quadratic, linear: ``phi.G phi`` and ``phi.G mu`` of every draw, (n,).
    """

    T: Array
    draw_coefficient: Array
    offset: Array
    quadratic: Array
    linear: Array


@dataclass(frozen=True, eq=False)
class LoopWeights:
    """Weights that turn averages under q into averages with one loop, eq. (5).

    ``<o(h)> = sum weights x zeroth x o``, and likewise `first` for ``w o(h)`` and `second` for ``w^2 o(h)``;
    each (n,). They are signed.
    """

    zeroth: Array
    first: Array
    second: Array


def loop_vector(average: NeuronAverage, network: Network) -> LoopVector:
    """Return T = kappa_3[z; z.Gz] and what is needed to resolve it by draws."""
    m, mu, tau = average.readout, average.mean_feature, network.tau
    G_mu = average.propagator @ mu
    quadratic = np.einsum("np,np->n", average.features @ average.propagator, average.features)
    linear = average.features @ G_mu
    coefficient = (m**3 + 3 * m * tau) * quadratic - 2 * (m**2 + tau) * linear
    # E[z.Gz] = Tr(G Cov z) + mu.G mu
    trace = float(np.sum(average.propagator * average.curvature)) / network.width
    offset = mu * (float(mu @ G_mu) - trace)
    return LoopVector(
        T=(average.weights * coefficient) @ average.features + offset,
        draw_coefficient=coefficient,
        offset=offset,
        quadratic=quadratic,
        linear=linear,
    )


def loop_weights(average: NeuronAverage, vector: LoopVector, shift: Array, network: Network) -> LoopWeights:
    """Return the `LoopWeights` of eq. (5).

    Args:
        average, vector: The expansion point.
        shift: delta in eq. (5), (P,): ``(N/2) G T`` about the tree level, 0 about one_loop's own field.
        network: Network at its scale.
    """
    m, mu, tau = average.readout, average.mean_feature, network.tau
    trace = float(np.sum(average.propagator * average.curvature)) / network.width
    mu_G_mu = float(mu @ average.propagator @ mu)
    # R(w) = 1 + (z - mu).delta - ((z - mu).G(z - mu) - Tr G Cov z)/2, a quadratic in w
    r0 = 1 - float(mu @ shift) - 0.5 * (mu_G_mu - trace)
    r1 = average.features @ shift + vector.linear
    r2 = -0.5 * vector.quadratic
    w2, w3, w4 = m**2 + tau, m**3 + 3 * m * tau, m**4 + 6 * m**2 * tau + 3 * tau**2
    return LoopWeights(
        zeroth=r0 + r1 * m + r2 * w2, first=r0 * m + r1 * w2 + r2 * w3, second=r0 * w2 + r1 * w3 + r2 * w4
    )


def third_cumulant(average: NeuronAverage, tau: float) -> Array:
    """Return ``kappa_3[z_a, z_b, z_c]``, (P, P, P). Costs n P^3 / 3 operations."""
    phi, mu, m = average.features, average.mean_feature, average.readout
    cubic = average.weights * (m**3 + 3 * m * tau)
    square = (phi * (average.weights * (m**2 + tau))[:, None]).T @ phi
    n_train = len(mu)
    result = np.empty((n_train, n_train, n_train))
    for a in range(n_train):
        # symmetric in its indices: only those from a on are new
        rest = phi[:, a:]
        part = (rest * (cubic * phi[:, a])[:, None]).T @ rest
        cross = np.outer(square[a, a:], mu[a:])
        part -= mu[a] * square[a:, a:] + cross + cross.T
        part += 2 * mu[a] * np.outer(mu[a:], mu[a:])
        result[a, a:, a:] = part
        result[a:, a, a:] = part
        result[a:, a:, a] = part
    return result


def loop_matrix(average: NeuronAverage, third: Array, network: Network, monte_carlo: bool) -> Array:
    """Return ``dT/dft``, (P, P), symmetric: ``kappa_4[z, z; z.Gz] - N kappa_3 (G kappa_3 G)``.

    Args:
        average, third: The expansion point, and its `third_cumulant`.
        network: Network at its scale.
        monte_carlo: Whether the draws are random. The second term is quadratic in kappa_3, so that the noise of P^3
            numbers enters with its variance, of relative order P^2/n: then pairs of equal draws are left out, which
            makes it unbiased. For quadrature nodes there is no noise to take out.
    """
    phi, mu, m, G, tau = (average.features, average.mean_feature, average.readout, average.propagator, network.tau)
    weights = average.weights
    G_mu = G @ mu
    A, B, c = np.einsum("np,np->n", phi @ G, phi), phi @ G_mu, float(mu @ G_mu)
    w1, w2, w3, w4 = m, m**2 + tau, m**3 + 3 * m * tau, m**4 + 6 * m**2 * tau + 3 * tau**2
    # E[(z - mu)_a (z - mu)_d (z - mu).G(z - mu)], ordered by the number of factors w phi outside
    fourth = _bilinear(average, w4 * A - 2 * w3 * B + w2 * c, -(w3 * A - 2 * w2 * B + w1 * c), w2 * A - 2 * w1 * B + c)
    covariance = (phi * (weights * w2)[:, None]).T @ phi - np.outer(mu, mu)
    fourth -= covariance * float(np.sum(G * covariance)) + 2 * covariance @ G @ covariance
    root = np.linalg.cholesky(G)
    rotated = (root.T @ third @ root).reshape(len(mu), -1)
    square = rotated @ rotated.T
    if monte_carlo:
        # one draw's share of kappa_3 is phi_a X_bc + mu_a Y_bc with X = w3 pp - w2 s + w1 uu and
        # Y = -w2 pp + w1 s - uu in terms of pp = phi phi, s = phi mu + mu phi, uu = mu mu
        X, Y = (w3, -w2, w1), (-w2, w1, -np.ones_like(w1))
        products = (
            (A**2, 2 * A * B, B**2),
            (2 * A * B, 2 * (A * c + B**2), 2 * B * c),
            (B**2, 2 * B * c, c**2 + 0 * A),
        )

        def inner(first: tuple[Array, ...], second: tuple[Array, ...]) -> Array:
            terms = [first[i] * products[i][j] * second[j] for i in range(3) for j in range(3)]
            return np.asarray(weights * np.sum(terms, axis=0))

        square -= _bilinear(average, inner(X, X), inner(X, Y), inner(Y, Y))
    return np.asarray(fourth - network.width * square)


def _bilinear(average: NeuronAverage, two: Array, one: Array, zero: Array) -> Array:
    """Return ``E[two phi phi^T + one (phi mu^T + mu phi^T) + zero mu mu^T]``, coefficients (n,) by draw."""
    phi, mu, weights = average.features, average.mean_feature, average.weights
    cross = np.outer((weights * one) @ phi, mu)
    plain = (phi * (weights * two)[:, None]).T @ phi
    return np.asarray(plain + cross + cross.T + float(weights @ zero) * np.outer(mu, mu))
