"""Activation functions, one file each, found by name: a file ``NAME.py`` here that defines ``ACTIVATION`` is one.

Closed forms for linear, erf, relu and quadratic; Gauss-Hermite quadrature for the others (docs/theory.md, sec. 5).
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Annotated

from msat.settings import OneOf, check_known, modules

if TYPE_CHECKING:  # a name is known without NumPy, so that the command line starts at once
    from msat.activations.base import Activation

# linear first: lists in messages and schema begin with it
NAMES = tuple(sorted(modules(__path__, "base", "quadrature"), key=lambda name: name != "linear"))
ActivationName = Annotated[str, OneOf(NAMES)]  # in settings


@cache
def get_activation(name: str) -> Activation:
    """Return the activation of that name.

    Raises:
        InputError: If there is none; the message lists those known.
    """
    check_known("activation", name, NAMES)
    activation: Activation = importlib.import_module(f"{__name__}.{name}").ACTIVATION
    return activation
