"""The network's parameters. This is the one place where the scale chi acts."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from numbers import Integral, Real
from typing import Any

from msat.errors import InputError

_MAX_WIDTH = 10**9
_SMALLEST = 1e-100  # of g and kappa: squares and products of them stay within double precision


@dataclass(frozen=True)
class Network:
    """A two-layer Bayesian network at one scale (docs/theory.md, section 1).

    ``f = sum_i w_i phi(h_i)``, ``h_i = sum_j V_ij x_j`` with priors ``V_ij ~ N(0, g_v / D)`` and
    ``w_i ~ N(0, g / N)``; labels carry noise of variance ``kappa``.

    Parameters
    ----------
    width
        Number of hidden neurons N, at least 1.
    activation
        Name of the activation phi, see `msat.activations`.
    g_w, g_v
        Prior variance scales of the readout (at chi = 1) and of the first layer, positive.
    kappa_0
        Label-noise variance at chi = 1, positive.
    chi
        Scale: 1 is standard scaling, N is mean-field scaling, positive.

    Raises
    ------
    InputError
        If a number is not finite or out of its range.
    """

    width: int
    activation: str = "linear"
    g_w: float = 1.0
    g_v: float = 1.0
    kappa_0: float = 1.0
    chi: float = 1.0

    def __post_init__(self) -> None:
        width: Any = self.width
        if isinstance(width, bool) or not isinstance(width, Integral) or not 1 <= int(width) <= _MAX_WIDTH:
            raise InputError(f"width = {width!r}: must be an integer from 1 to {_MAX_WIDTH}")
        object.__setattr__(self, "width", int(width))
        for name in ("g_w", "g_v", "kappa_0", "chi"):
            given: Any = getattr(self, name)
            if isinstance(given, bool) or not isinstance(given, Real):
                raise InputError(f"{name} = {given!r}: must be a number")
            # plain floats: 10 and 10.0 are the same network and must give the same seeds
            value = float(given)
            object.__setattr__(self, name, value)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} = {value!r}: must be a finite number greater than 0")
        for name in ("g", "kappa"):
            value = getattr(self, name)
            if not _SMALLEST < value < 1 / _SMALLEST:
                raise InputError(
                    f"{name} = {name}_{'w' if name == 'g' else '0'} / chi = {value:.3g}: must be between "
                    f"{_SMALLEST:g} and {1 / _SMALLEST:g}"
                )

    @property
    def g(self) -> float:
        """Readout prior scale ``g = g_w / chi``: each w_i has prior variance ``g / N``."""
        return self.g_w / self.chi

    @property
    def kappa(self) -> float:
        """Label-noise variance ``kappa = kappa_0 / chi``."""
        return self.kappa_0 / self.chi

    @property
    def tau(self) -> float:
        """Prior variance of one readout weight, ``tau = g / N``."""
        return self.g / self.width

    def at(self, chi: float) -> Network:
        """Return the same network at another scale."""
        return replace(self, chi=chi)

    def parameters(self) -> dict[str, Any]:
        """Return the parameters as plain numbers and strings, for file attributes and keys."""
        return asdict(self)
