"""Activation functions, one file each, found by name: a file ``NAME.py`` here that defines ``ACTIVATION`` is one.

Closed forms for linear, erf, relu and quadratic; Gauss-Hermite quadrature for the others (docs/theory.md, sec. 5).
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, WithJsonSchema

from msat.errors import InputError

if TYPE_CHECKING:  # a name is known without NumPy, so that the command line starts at once
    from msat.activations.base import Activation

_TOOLS = ("base", "quadrature")
# linear first: lists in messages and schema begin with it
NAMES = tuple(
    sorted((m.name for m in pkgutil.iter_modules(__path__) if m.name not in _TOOLS), key=lambda n: (n != "linear", n))
)


@cache
def get_activation(name: str) -> Activation:
    """Return the activation of that name.

    Raises:
        InputError: If there is none; the message lists those known.
    """
    if name not in NAMES:
        raise InputError(f"activation = {name!r}: must be one of {', '.join(NAMES)}")
    activation: Activation = importlib.import_module(f"{__name__}.{name}").ACTIVATION
    return activation


def _known(name: str) -> str:
    if name not in NAMES:
        raise ValueError(f"must be one of {', '.join(NAMES)}")
    return name


# the type of an activation's name in settings
ActivationName = Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(NAMES)})]
