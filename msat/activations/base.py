"""What theory and training need to know of an activation function.

The config asks for it at every start of the workflow: ``import scipy`` loads scipy.special where it is first used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from msat.types import Array


@dataclass(frozen=True)
class Activation:
    """One activation function and what theory and training need to know of it.

    Attributes:
        name: The name by which `msat.activations.get_activation` finds it: that of its module.
        phi, derivative: Elementwise functions of NumPy arrays or torch tensors of pre-activations.
        cross_dual_kernel: Maps variances (A,) and (B,) and covariances (A, B) of jointly Gaussian, centred
            pre-activations to ``E[phi(h_a) phi(h_b)]``, (A, B).
        dual_variance: Maps variances, any shape, to ``E[phi(h)^2]``, same shape.
        smoothed_mean, smoothed_square: Map means m and standard deviations sd, arrays broadcast against each other (sd
            may be 0), to ``E[phi(m + sd xi)]`` and ``E[phi(m + sd xi)^2]`` over a standard normal xi. `smoothed_mean`
            takes torch tensors as well.
        linear_growth: Whether ``|phi(h)|`` grows at most linearly. Where it does not, ``E exp(ft.z)`` diverges and the
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


def either(of_array: Callable[[Any], Any], of_tensor: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function of arrays and numbers, and of torch tensors; torch is never imported to tell them apart."""
    return lambda h: of_array(h) if isinstance(h, np.ndarray | np.generic | float | int) else of_tensor(h)


exp = either(np.exp, lambda h: h.exp())
erf = either(lambda h: scipy.special.erf(h), lambda h: h.erf())


def correlation(va: Array, vb: Array, c: Array) -> tuple[Array, Array]:
    """Return ``sqrt(v_a v_b)`` and the correlation, 0 without variance, both (A, B), of covariances c (A, B)."""
    scale = np.sqrt(va)[:, None] * np.sqrt(vb)[None, :]
    return scale, np.clip(np.divide(c, scale, out=np.zeros_like(scale), where=scale > 0), -1.0, 1.0)
