"""Gaussian averages by quadrature, for activations without closed forms (docs/theory.md, section 5)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import scipy

from msat.activations.base import Activation, correlation
from msat.types import Array

_NODES = 200  # of the one-dimensional averages behind the dual kernel
_DEGREE = 120  # of the Hermite series of the dual kernel
_SMOOTHING_NODES = 20  # of averages over a test point's residual


@cache
def _normal_quadrature(n: int) -> tuple[Array, Array]:
    """Return n nodes and weights of Gauss-Hermite quadrature for a standard normal variable."""
    nodes, weights = scipy.special.roots_hermitenorm(n)
    return nodes, weights / weights.sum()


def _hermite_coefficients(phi: Callable[[Any], Any], variances: Array) -> Array:
    """Return ``E[phi(sqrt(v) xi) he_k(xi)]`` for orthonormal he_k, shape (len(variances), degree + 1)."""
    nodes, weights = _normal_quadrature(_NODES)
    # he_k sqrt(weight) stays bounded where he_k alone overflows
    root = np.sqrt(weights)
    basis = np.empty((_DEGREE + 1, _NODES))
    basis[0], basis[1] = root, nodes * root
    for k in range(1, _DEGREE):
        basis[k + 1] = (nodes * basis[k] - np.sqrt(k) * basis[k - 1]) / np.sqrt(k + 1)
    return np.asarray((phi(np.sqrt(variances)[:, None] * nodes) * root) @ basis.T)


def _dual(phi: Callable[[Any], Any], va: Array, vb: Array, c: Array) -> Array:
    """Return the cross dual kernel by Mehler's formula, ``sum_k c_k(v_a) c_k(v_b) rho^k``.

    Absolute error below 1e-8 for variances up to 4 (tanh, whose poles are the closest, sets the limit;
    gelu and softplus stay below 1e-11).
    """
    a, b = _hermite_coefficients(phi, va), _hermite_coefficients(phi, vb)
    _, rho = correlation(va, vb, c)
    kernel = np.zeros_like(rho)
    for k in range(_DEGREE, -1, -1):  # Horner's scheme
        kernel *= rho
        kernel += np.outer(a[:, k], b[:, k])
    return kernel


def _variance(phi: Callable[[Any], Any], v: Array) -> Array:
    nodes, weights = _normal_quadrature(_NODES)
    return np.asarray(phi(np.sqrt(v)[..., None] * nodes) ** 2 @ weights)


def _smoothed(function: Callable[[Any], Any], m: Any, sd: Any) -> Any:
    """Return ``E[function(m + sd xi)]`` by quadrature.

    For sd up to 1 the error is below 2e-5 for phi and 2e-4 for phi^2 (tanh, the worst case).
    """
    if not (sd > 0).any():
        return function(m + 0 * sd)
    nodes, weights = _normal_quadrature(_SMOOTHING_NODES)
    pairs = zip(nodes.tolist(), weights.tolist(), strict=True)
    return sum(weight * function(m + sd * node) for node, weight in pairs)


def by_quadrature(name: str, phi: Callable[[Any], Any], derivative: Callable[[Any], Any]) -> Activation:
    """Return an activation whose Gaussian averages are taken by quadrature."""
    return Activation(
        name=name,
        phi=phi,
        derivative=derivative,
        cross_dual_kernel=partial(_dual, phi),
        dual_variance=partial(_variance, phi),
        smoothed_mean=partial(_smoothed, phi),
        smoothed_square=partial(_smoothed, lambda h: phi(h) ** 2),
    )
