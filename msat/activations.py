"""Activation functions: phi, its derivative, and the dual kernel E[phi(h_a) phi(h_b)]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msat.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Activation:
    """One activation function and what theory and training need to know of it.

    Attributes
    ----------
    name
        The name by which `get_activation` finds it.
    phi, derivative
        Elementwise functions of NumPy arrays or torch tensors of pre-activations.
    dual_kernel
        Maps a covariance of pre-activations, shape (P, P), to ``E[phi(h_a) phi(h_b)]``, same shape.
    """

    name: str
    phi: Callable[[Any], Any]
    derivative: Callable[[Any], Any]
    dual_kernel: Callable[[Array], Array]


def _identity(h: Any) -> Any:
    return h


def _ones_like(h: Any) -> Any:
    return h * 0 + 1


LINEAR = Activation(name="linear", phi=_identity, derivative=_ones_like, dual_kernel=_identity)

ACTIVATIONS = {activation.name: activation for activation in (LINEAR,)}


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
