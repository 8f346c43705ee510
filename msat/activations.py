"""Activation functions: phi, its derivative, and their Gaussian averages.

Closed forms for linear, erf, relu and quadratic; Gauss-Hermite quadrature for tanh, gelu and softplus
(docs/theory.md, section 5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from msat.errors import InputError

Array = NDArray[np.float64]
ActivationName = Literal["linear", "erf", "relu", "tanh", "gelu", "softplus", "quadratic"]


@dataclass(frozen=True)
class Activation:
    """One activation function and what theory and training need to know of it.

    Attributes
    ----------
    name
        The name by which `get_activation` finds it.
    phi, derivative
        Elementwise functions of NumPy arrays or torch tensors of pre-activations.
    cross_dual_kernel
        Maps variances (A,) and (B,) and covariances (A, B) of jointly Gaussian, centred pre-activations to
        ``E[phi(h_a) phi(h_b)]``, (A, B).
    dual_variance
        Maps variances, any shape, to ``E[phi(h)^2]``, same shape.
    smoothed_mean, smoothed_square
        Map means m and standard deviations sd, arrays broadcast against each other (sd may be 0), to
        ``E[phi(m + sd xi)]`` and ``E[phi(m + sd xi)^2]`` over a standard normal xi. `smoothed_mean` takes
        torch tensors as well.
    linear_growth
        Whether ``|phi(h)|`` grows at most linearly. Where it does not, ``E exp(ft.z)`` diverges and the
        adaptive levels do not exist (docs/theory.md, section 2).
    """

    name: str
    phi: Callable[[Any], Any]
    derivative: Callable[[Any], Any]
    cross_dual_kernel: Callable[[Array, Array, Array], Array]
    dual_variance: Callable[[Array], Array]
    smoothed_mean: Callable[[Any, Any], Any]
    smoothed_square: Callable[[Any, Any], Any]
    linear_growth: bool = True

    def dual_kernel(self, covariance: Array) -> Array:
        """Return ``E[phi(h_a) phi(h_b)]``, (P, P), for pre-activations of the given covariance, (P, P)."""
        variances = np.diagonal(covariance)
        kernel = self.cross_dual_kernel(variances, variances, covariance)
        # averaging with the transpose removes rounding asymmetry, which Cholesky would only see half of
        kernel = 0.5 * (kernel + kernel.T)
        np.fill_diagonal(kernel, self.dual_variance(variances))
        return np.asarray(kernel)


# --- linear -------------------------------------------------------------------------------------------------


def _identity(h: Any) -> Any:
    return h


def _ones_like(h: Any) -> Any:
    return h * 0 + 1


LINEAR = Activation(
    name="linear",
    phi=_identity,
    derivative=_ones_like,
    cross_dual_kernel=lambda va, vb, c: np.array(c, dtype=np.float64),
    dual_variance=lambda v: np.array(v, dtype=np.float64),
    smoothed_mean=lambda m, sd: m + 0 * sd,
    smoothed_square=lambda m, sd: m**2 + sd**2,
)


# --- erf ----------------------------------------------------------------------------------------------------


def _erf(h: Any) -> Any:
    return special.erf(h) if _is_numpy(h) else h.erf()


def _erf_derivative(h: Any) -> Any:
    return (2 / np.sqrt(np.pi)) * _exp(-(h * h))


def _erf_dual(va: Array, vb: Array, c: Array) -> Array:
    outer = (1 + 2 * va)[:, None] * (1 + 2 * vb)[None, :]
    # arctan2 keeps full accuracy where the arcsine form loses half the digits (|correlation| near 1)
    return np.asarray(2 / np.pi * np.arctan2(2 * c, np.sqrt(np.maximum(outer - 4 * c**2, 0))))


def _erf_dual_variance(v: Array) -> Array:
    return np.asarray(2 / np.pi * np.arctan2(2 * v, np.sqrt(1 + 4 * v)))


def _erf_smoothed_mean(m: Any, sd: Any) -> Any:
    return _erf(m / (1 + 2 * sd**2) ** 0.5)


def _erf_smoothed_square(m: Array, sd: Array) -> Array:
    # erf(h) = 2 Phi(sqrt2 h) - 1, and E Phi(a + b xi)^2 = Phi(k) - 2 T(k, 1/sqrt(1 + 2 b^2)) with
    # k = a/sqrt(1 + b^2) and Owen's T, the probability of a quadrant of two correlated normals
    k = np.sqrt(2) * m / np.sqrt(1 + 2 * sd**2)
    return np.asarray(1 - 8 * special.owens_t(k, 1 / np.sqrt(1 + 4 * sd**2)))


ERF = Activation(
    name="erf",
    phi=_erf,
    derivative=_erf_derivative,
    cross_dual_kernel=_erf_dual,
    dual_variance=_erf_dual_variance,
    smoothed_mean=_erf_smoothed_mean,
    smoothed_square=_erf_smoothed_square,
)


# --- relu ---------------------------------------------------------------------------------------------------


def _relu(h: Any) -> Any:
    return np.maximum(h, 0.0) if _is_numpy(h) else h.clamp(min=0)


def _relu_derivative(h: Any) -> Any:
    return (np.asarray(h) > 0).astype(np.float64) if _is_numpy(h) else (h > 0).to(h.dtype)


def _relu_dual(va: Array, vb: Array, c: Array) -> Array:
    scale = np.sqrt(va)[:, None] * np.sqrt(vb)[None, :]
    cosine = np.clip(np.divide(c, scale, out=np.zeros_like(scale), where=scale > 0), -1.0, 1.0)
    sine = np.sqrt((1 - cosine) * (1 + cosine))
    return np.asarray(scale * (sine + (np.pi - np.arccos(cosine)) * cosine) / (2 * np.pi))


def _relu_smoothed_mean(m: Any, sd: Any) -> Any:
    ratio = _standardised(m, sd)
    return m * _normal_cdf(ratio) + sd * _normal_density(ratio)


def _relu_smoothed_square(m: Any, sd: Any) -> Any:
    ratio = _standardised(m, sd)
    return (m**2 + sd**2) * _normal_cdf(ratio) + m * sd * _normal_density(ratio)


def _standardised(m: Any, sd: Any) -> Any:
    # the floor gives the limit sd = 0: the distribution function becomes a step, the density is multiplied by sd
    return (m / (sd + 1e-30)).clip(-40.0, 40.0)


def _normal_cdf(t: Any) -> Any:
    return special.ndtr(t) if _is_numpy(t) else 0.5 * (1 + (t / np.sqrt(2)).erf())


def _normal_density(t: Any) -> Any:
    return _exp(-0.5 * t**2) / np.sqrt(2 * np.pi)


RELU = Activation(
    name="relu",
    phi=_relu,
    derivative=_relu_derivative,
    cross_dual_kernel=_relu_dual,
    dual_variance=lambda v: np.asarray(0.5 * v),
    smoothed_mean=_relu_smoothed_mean,
    smoothed_square=_relu_smoothed_square,
)


# --- quadratic ----------------------------------------------------------------------------------------------

QUADRATIC = Activation(
    name="quadratic",
    phi=lambda h: h * h,
    derivative=lambda h: 2 * h,
    cross_dual_kernel=lambda va, vb, c: np.asarray(va[:, None] * vb[None, :] + 2 * c**2),
    dual_variance=lambda v: np.asarray(3 * v**2),
    smoothed_mean=lambda m, sd: m**2 + sd**2,
    smoothed_square=lambda m, sd: m**4 + 6 * m**2 * sd**2 + 3 * sd**4,
    linear_growth=False,
)


# --- by quadrature: tanh, gelu, softplus --------------------------------------------------------------------

_NODES = 200  # of the one-dimensional averages behind the dual kernel
_DEGREE = 120  # of the Hermite series of the dual kernel
_SMOOTHING_NODES = 20  # of averages over a test point's residual


def _normal_quadrature(n: int) -> tuple[Array, Array]:
    """Return n nodes and weights of Gauss-Hermite quadrature for a standard normal variable."""
    nodes, weights = special.roots_hermitenorm(n)
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


def _hermite_dual(phi: Callable[[Any], Any]) -> Callable[[Array, Array, Array], Array]:
    """Return the cross dual kernel by Mehler's formula, ``sum_k c_k(v_a) c_k(v_b) rho^k``.

    Absolute error below 1e-8 for variances up to 4 (tanh, whose poles are the closest, sets the limit;
    gelu and softplus stay below 1e-11).
    """

    def dual(va: Array, vb: Array, c: Array) -> Array:
        a, b = _hermite_coefficients(phi, va), _hermite_coefficients(phi, vb)
        scale = np.sqrt(va)[:, None] * np.sqrt(vb)[None, :]
        rho = np.clip(np.divide(c, scale, out=np.zeros_like(scale), where=scale > 0), -1.0, 1.0)
        kernel = np.zeros_like(rho)
        for k in range(_DEGREE, -1, -1):  # Horner's scheme
            kernel *= rho
            kernel += np.outer(a[:, k], b[:, k])
        return np.asarray(kernel)

    return dual


def _quadrature_variance(phi: Callable[[Any], Any]) -> Callable[[Array], Array]:
    nodes, weights = _normal_quadrature(_NODES)
    return lambda v: np.asarray(phi(np.sqrt(v)[..., None] * nodes) ** 2 @ weights)


def _quadrature_smoothed(function: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """Return ``E[function(m + sd xi)]`` by quadrature.

    For sd up to 1 the error is below 2e-5 for phi and 2e-4 for phi^2 (tanh, the worst case).
    """
    nodes, weights = _normal_quadrature(_SMOOTHING_NODES)

    def smoothed(m: Any, sd: Any) -> Any:
        if not (sd > 0).any():
            return function(m + 0 * sd)
        total = 0 * (m + sd)
        for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
            total += weight * function(m + sd * node)
        return total

    return smoothed


def _by_quadrature(name: str, phi: Callable[[Any], Any], derivative: Callable[[Any], Any]) -> Activation:
    return Activation(
        name=name,
        phi=phi,
        derivative=derivative,
        cross_dual_kernel=_hermite_dual(phi),
        dual_variance=_quadrature_variance(phi),
        smoothed_mean=_quadrature_smoothed(phi),
        smoothed_square=_quadrature_smoothed(lambda h: phi(h) ** 2),
    )


def _tanh(h: Any) -> Any:
    return np.tanh(h) if _is_numpy(h) else h.tanh()


def _tanh_derivative(h: Any) -> Any:
    return 1 - _tanh(h) ** 2


def _gelu(h: Any) -> Any:
    return 0.5 * h * (1 + _erf(h / np.sqrt(2)))


def _gelu_derivative(h: Any) -> Any:
    return 0.5 * (1 + _erf(h / np.sqrt(2))) + h * _exp(-0.5 * (h * h)) / np.sqrt(2 * np.pi)


def _softplus(h: Any) -> Any:
    # log(1 + e^h) written so that neither large nor very negative h overflows or cancels
    return np.logaddexp(0.0, h) if _is_numpy(h) else h.clamp(min=0) + (-h.abs()).exp().log1p()


def _softplus_derivative(h: Any) -> Any:
    return special.expit(h) if _is_numpy(h) else h.sigmoid()


def _exp(h: Any) -> Any:
    return np.exp(h) if _is_numpy(h) else h.exp()


def _is_numpy(h: Any) -> bool:
    # torch tensors are recognised by not being NumPy's, so that NumPy users never import torch
    return isinstance(h, np.ndarray | np.generic | float | int)


TANH = _by_quadrature("tanh", _tanh, _tanh_derivative)
GELU = _by_quadrature("gelu", _gelu, _gelu_derivative)
SOFTPLUS = _by_quadrature("softplus", _softplus, _softplus_derivative)

ACTIVATIONS = {activation.name: activation for activation in (LINEAR, ERF, RELU, TANH, GELU, SOFTPLUS, QUADRATIC)}


def get_activation(name: str) -> Activation:
    """Return the activation of that name.

    Raises
    ------
    InputError
        If there is none; the message lists those known.
    """
    try:
        return ACTIVATIONS[name]
    except KeyError:
        raise InputError(f"activation = {name!r}: must be one of {', '.join(ACTIVATIONS)}") from None
