"""One loop about a solution on draws: third and fourth cumulants of one neuron (docs/theory.md, section 4)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msat.theory.sampled.draws import Neuron
from msat.types import Array

_BLOCK = 32  # columns of symmetric products that are formed together: what lies above them is their mirror image


class LoopWeights(NamedTuple):
    """Weights that turn averages under q into a level's averages: with one loop, eq. (5).

    ``<o(h)> = sum weights x zeroth x o``, and likewise `first` for ``w o(h)`` and `second` for ``w^2 o(h)``;
    each (n,). With a loop they are signed.
    """

    zeroth: Array
    first: Array
    second: Array


def loop_vector(neuron: Neuron) -> Array:
    """Return ``T = kappa_3[z; z.Gz]``, (P,); N T is the gradient of ``ln det(kappa + W'')``."""
    _, w2, w3, _ = neuron.moments
    A, B, c = neuron.contractions
    offset = neuron.mean * (c - neuron.trace)
    return np.asarray((neuron.weights * (w3 * A - 2 * w2 * B)) @ neuron.features + offset)


def loop_weights(neuron: Neuron, shift: Array) -> LoopWeights:
    """Return the `LoopWeights` of eq. (5).

    Args:
        shift: delta in eq. (5), (P,): ``(N/2) G T`` about the tree level, 0 about one_loop's own field.
    """
    w1, w2, w3, w4 = neuron.moments
    A, B, _ = neuron.contractions
    mu, G = neuron.mean, neuron.G
    # R(w) = 1 + (z - mu).delta - ((z - mu).G(z - mu) - Tr G Cov z)/2, a quadratic in w
    r0 = 1 - float(mu @ shift) - 0.5 * (float(mu @ G @ mu) - neuron.trace)
    r1 = neuron.features @ shift + B
    r2 = -0.5 * A
    return LoopWeights(r0 + r1 * w1 + r2 * w2, r0 * w1 + r1 * w2 + r2 * w3, r0 * w2 + r1 * w3 + r2 * w4)


def third_cumulant(neuron: Neuron) -> Array:
    """Return ``kappa_3[z_a, z_b, z_c]``, (P, P, P). Costs n P^3 / 3 operations, half of them multiplications."""
    phi, mu, weights = neuron.features, neuron.mean, neuron.weights
    _, w2, w3, _ = neuron.moments
    cubic = weights * w3
    square = (phi * (weights * w2)[:, None]).T @ phi
    result = np.empty((len(mu),) * 3)
    for a in range(len(mu)):
        # symmetric in its indices: only those from a on are new
        rest = phi[:, a:]
        part = _symmetric_product(rest * (cubic * phi[:, a])[:, None], rest)
        cross = np.outer(square[a, a:], mu[a:])
        part -= mu[a] * square[a:, a:] + cross + cross.T
        part += 2 * mu[a] * np.outer(mu[a:], mu[a:])
        result[a, a:, a:] = result[a:, a, a:] = result[a:, a:, a] = part
    return result


def loop_matrix(neuron: Neuron, third: Array, monte_carlo: bool) -> Array:
    """Return ``dT/dft``, (P, P), symmetric: ``kappa_4[z, z; z.Gz] - N kappa_3 (G kappa_3 G)``.

    Args:
        third: The neuron's `third_cumulant`.
        monte_carlo: Whether the draws are random. The second term is quadratic in kappa_3, so that the noise of P^3
            numbers enters with its variance, of relative order P^2/n: then pairs of equal draws are left out, which
            makes it unbiased. For quadrature nodes there is no noise to take out.
    """
    phi, mu, weights, G = neuron.features, neuron.mean, neuron.weights, neuron.G
    w1, w2, w3, w4 = neuron.moments
    A, B, c = neuron.contractions
    # E[(z - mu)_a (z - mu)_d (z - mu).G(z - mu)], ordered by the number of factors w phi outside
    fourth = _bilinear(neuron, w4 * A - 2 * w3 * B + w2 * c, -(w3 * A - 2 * w2 * B + w1 * c), w2 * A - 2 * w1 * B + c)
    covariance = (phi * (weights * w2)[:, None]).T @ phi - np.outer(mu, mu)
    fourth -= covariance * float(np.sum(G * covariance)) + 2 * covariance @ G @ covariance
    root = np.asarray(np.linalg.cholesky(G), dtype=np.float64)
    square = _squared(third, root)
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

        square -= _bilinear(neuron, inner(X, X), inner(X, Y), inner(Y, Y))
    return np.asarray(fourth - neuron.network.width * square)


def _symmetric_product(left: Array, right: Array) -> Array:
    """Return ``left^T right``, which is symmetric: (n, m) and (n, m) to (m, m)."""
    product = np.empty((left.shape[1], left.shape[1]))
    for start in range(0, len(product), _BLOCK):
        columns = slice(start, start + _BLOCK)
        product[start:, columns] = left[:, start:].T @ right[:, columns]
        product[columns, start:] = product[start:, columns].T
    return product


def _squared(third: Array, root: Array) -> Array:
    """Return ``sum_bc X_abc X_dbc`` of ``X_a = root^T third_a root``, (P, P): root lower triangular, third symmetric.

    Some columns c of X at a time, of which b >= c are enough.
    """
    size = len(root)
    square = np.zeros((size, size))
    for start in range(0, size, _BLOCK):
        columns = slice(start, start + _BLOCK)
        half = third[:, start:, start:] @ root[start:, columns]
        rotated = root[start:, start:].T @ half
        rotated[:, half.shape[2] :] *= np.sqrt(2)  # b > c stands for c > b as well
        flat = rotated.reshape(size, -1)
        square += flat @ flat.T
    return square


def _bilinear(neuron: Neuron, two: Array, one: Array, zero: Array) -> Array:
    """Return ``E[two phi phi^T + one (phi mu^T + mu phi^T) + zero mu mu^T]``, coefficients (n,) by draw."""
    phi, mu, weights = neuron.features, neuron.mean, neuron.weights
    cross = np.outer((weights * one) @ phi, mu)
    plain = (phi * (weights * two)[:, None]).T @ phi
    return np.asarray(plain + cross + cross.T + float(weights @ zero) * np.outer(mu, mu))
