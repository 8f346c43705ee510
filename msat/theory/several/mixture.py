"""The posterior of the readout matrix ``S = sum_i w_i w_i^T`` given a fixed kernel (docs/theory.md, eq. A3).

Given S, (m, m), outputs are Gaussian with covariance ``S (x) K``. With eigenvalues lam of K and y in its eigenbasis the
unnormalised log posterior with respect to the invariant measure ``det S^-(m+1)/2 dS`` is

    e(S) = (N/2) ln det S - (N/2g) tr S - (1/2) sum_k [ln det A_k^-1 + y_k.A_k y_k],   A_k = (lam_k S + kappa)^-1
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import multigammaln

from msat.network import Network
from msat.types import Array

_MAX_ITERATIONS = 200
_LONGEST = 1.0  # of a step
_LAST = 1e-8  # a step this short leaves an error of its square


class Derivatives(NamedTuple):
    """Derivatives of e at one S: ``gradient``, (m, m), and ``second(B)``, (n, n), along directions B, (n, m, m)."""

    gradient: Array
    second: Callable[[Array], Array]


class Local(NamedTuple):
    """A function at one point in coordinates about it: derivatives (n,), (n, n), and the point after a step (n,)."""

    gradient: Array
    hessian: Array
    moved: Callable[[Array], Array]


class Summit(NamedTuple):
    """A maximum: the point, the value there, minus the second derivative in the coordinates about it, the account."""

    point: Array
    value: float
    curvature: Array
    residual: float
    iterations: int


class MatrixMixture(NamedTuple):
    """The exponent e(S) of kernel eigenvalues, (P,), labels in their eigenbasis, (P, m), and a network."""

    lam: Array
    y: Array
    network: Network

    @property
    def log_constant(self) -> float:
        """The part of ``ln p(y)`` that does not depend on S; it needs N >= m."""
        (samples, outputs), half = self.y.shape, self.network.width / 2
        constant = half * outputs * np.log(half / self.network.g) - float(multigammaln(half, outputs))
        return float(constant - samples * outputs / 2 * np.log(2 * np.pi))

    def split(self, S: Array) -> tuple[Array, Array, Array]:
        """Return eigenvalues s, (..., m), and eigenvectors of S, and the labels along these, (..., P, m)."""
        s, axes = np.linalg.eigh(S)
        return s, axes, self.y @ axes

    def exponent(self, s: Array, along: Array) -> Array:
        """Return e of matrices S from what `split` gives, (...)."""
        half, g = self.network.width / 2, self.network.g
        d = s[..., None, :] * self.lam[:, None] + self.network.kappa
        fit = np.log(d).sum(axis=(-2, -1)) + (along**2 / d).sum(axis=(-2, -1))
        return np.asarray((half * (np.log(s) - s / g)).sum(axis=-1) - 0.5 * fit)

    def value(self, S: Array) -> float:
        """Return e(S); -inf if S is not positive definite."""
        s, _, along = self.split(S)
        return float(self.exponent(s, along)) if s[0] > 0 else -np.inf

    def derivatives(self, S: Array) -> Derivatives:
        """Return the `Derivatives` of e at S."""
        half, lam = self.network.width / 2, self.lam[:, None]
        s, axes, along = self.split(S)
        A = 1 / (lam * s + self.network.kappa)
        field = A * along
        rates = half * (1 / s - 1 / self.network.g) - 0.5 * (lam * A).sum(axis=0)
        gradient = np.diag(rates) + 0.5 * (lam * field).T @ field
        pairs = 0.5 * (lam * A).T @ (lam * A) - half / (s[:, None] * s)
        triples = np.einsum("kc,kd,ke->cde", lam * field, A, lam * field, optimize=True)

        def second(directions: Array) -> Array:
            B = axes.T @ directions @ axes
            whole = np.einsum("pcd,cd,qcd->pq", B, pairs, B, optimize=True)
            return np.asarray(whole - np.einsum("pcd,cde,qde->pq", B, triples, B, optimize=True))

        return Derivatives(axes @ gradient @ axes.T, second)


def ascend(value: Callable[[Array], float], local: Callable[[Array], Local], start: Array) -> Summit:
    """Return a maximum of a function by Newton's method with Armijo backtracking.

    Where the second derivative is not negative its eigenvalues are taken with the negative sign: the function need not
    be concave. The residual is the length of the last step in units of the standard deviations ``curvature^-1/2``.
    """
    point, height, iterations = start, value(start), 0
    while True:
        at = local(point)
        bend, axes = np.linalg.eigh(-0.5 * (at.hessian + at.hessian.T))
        scale = np.maximum(np.abs(bend), 1e-12 * np.abs(bend).max())
        slope = axes.T @ at.gradient
        step, decrement = axes @ (slope / scale), float(np.sum(slope**2 / scale))
        if iterations == _MAX_ITERATIONS or np.sqrt(decrement) < _LAST:
            break
        step *= min(1.0, _LONGEST / float(np.linalg.norm(step)))
        rise, rounding, length = 1e-4 * float(at.gradient @ step), 1e-13 * (1 + abs(height)), 1.0
        while length > 1e-10:
            trial = at.moved(length * step)
            reached = value(trial)
            if reached >= height + length * rise - rounding:
                break
            length /= 2
        else:
            break
        point, height, iterations = trial, reached, iterations + 1
    return Summit(point, height, axes @ np.diag(bend) @ axes.T, float(np.sqrt(decrement)), iterations)
