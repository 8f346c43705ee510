"""The network's parameters. This is the one place where the scale chi acts."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from msat.activations import ActivationName
from msat.errors import InputError
from msat.settings import Settings
from msat.validation import describe

_MAX_WIDTH = 10**9
_SMALLEST = 1e-100  # of g and kappa: squares and products of them stay within double precision


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or not 1 <= int(value) <= _MAX_WIDTH:
        raise ValueError(f"must be an integer from 1 to {_MAX_WIDTH}")
    return int(value)


def _widths(value: Any) -> int | tuple[int, ...]:
    """Return one width as a number, and those of several layers as a tuple."""
    if not isinstance(value, list | tuple):
        return _whole(value)
    if not value:
        raise ValueError("must be an integer, or several from the bottom to the top")
    layers = tuple(map(_whole, value))
    return layers if len(layers) > 1 else layers[0]


def _several(value: Any) -> Any:
    """Return a list as a tuple."""
    if not isinstance(value, list | tuple):
        raise ValueError("must be numbers, one for each hidden layer above the first")
    return tuple(value)


def _positive(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError("must be a number")
    number = float(value)  # 10 and 10.0 are the same network and must give the same seeds
    if not (math.isfinite(number) and number > 0):
        raise ValueError("must be a finite number greater than 0")
    return number


Positive = Annotated[float, BeforeValidator(_positive)]
if TYPE_CHECKING:
    Width = int  # of one hidden layer, which is what code that reads `width` is about; others read `widths`
else:
    Layer = Annotated[int, Field(ge=1, le=_MAX_WIDTH)]
    Width = Annotated[Layer | Annotated[tuple[Layer, ...], Field(min_length=1)], BeforeValidator(_widths)]
HiddenPriors = Annotated[tuple[Positive, ...], BeforeValidator(_several)]


class NetworkSettings(Settings):
    """A network but for its scale; the defaults are the paper's."""

    width: Width = Field(
        100, description="Number of hidden neurons N; of several hidden layers all of them, from the bottom to the top."
    )
    activation: ActivationName = Field("linear", description="Activation function phi.")
    g_w: Positive = Field(0.5, gt=0, description="Readout prior: w_i has variance g_w / (chi N).")
    g_v: Positive = Field(0.5, gt=0, description="First-layer prior: V_ij has variance g_v / D.")
    kappa_0: Positive = Field(1.0, gt=0, description="Label-noise variance at chi = 1; it is kappa_0 / chi.")
    g_hidden: HiddenPriors = Field(
        (),
        description="Priors g_2, ..., g_L of the hidden layers above the first, whose weights have variance "
        "g_l / N_(l-1) at every scale; by default 1.",
    )

    @model_validator(mode="after")
    def _one_prior_a_layer(self) -> NetworkSettings:
        above = len(self.widths) - 1
        if self.g_hidden and len(self.g_hidden) != above:
            given = ",".join(f"{value:g}" for value in self.g_hidden)
            raise ValueError(
                f"g_hidden = {given}: must have one number for each hidden layer above the first, {above} for width = "
                + ",".join(map(str, self.widths))
            )
        if not self.g_hidden:
            self.__dict__["g_hidden"] = (1.0,) * above
        return self

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the hidden layers, bottom to top."""
        given: Any = self.width
        return given if isinstance(given, tuple) else (given,)

    @property
    def depth(self) -> int:
        """Number L of hidden layers."""
        return len(self.widths)

    def parameters(self) -> dict[str, Any]:
        """Return the parameters as plain numbers, strings and lists, for file attributes, options and keys.

        Those of depth are there where there is more than one hidden layer.
        """
        values = self.model_dump()
        if self.depth == 1:
            del values["g_hidden"]
            return values
        return values | {"width": list(self.widths), "g_hidden": list(self.g_hidden)}


class Network(NetworkSettings):
    """A Bayesian network at one scale (docs/theory.md, sections 1 and 13).

    ``f = sum_i w_i phi(h_i)``, ``h_i = sum_j V_ij x_j`` with priors ``V_ij ~ N(0, g_v / D)`` and
    ``w_i ~ N(0, g / N)``; labels carry noise of variance ``kappa``. With L hidden layers
    ``h^l_i = sum_j V^l_ij phi(h^(l-1)_j)``, ``V^l_ij ~ N(0, g_l / N_(l-1))``, and N is the width of the last.

    Args:
        width: Number of hidden neurons N, at least 1; a tuple of several layers, from the bottom to the top.
        activation: Name of the activation phi, see `msat.activations`.
        g_w, g_v: Prior variance scales of the readout (at chi = 1) and of the first layer, positive.
        kappa_0: Label-noise variance at chi = 1, positive.
        chi: Scale: 1 is standard scaling, N is mean-field scaling, positive. It acts on readout and noise only.
        g_hidden: Prior variance scales g_2, ..., g_L of the hidden layers above the first, positive; by default 1.
            By its name only.

    Raises:
        InputError: If the activation is unknown, or a number is not finite or out of its range, or not every hidden
            layer above the first has its g.

    Examples:
        >>> from msat import Network
        >>> network = Network(width=100, activation="erf", chi=10)
        >>> network.g, network.kappa
        (0.05, 0.1)
    """

    chi: Positive = Field(1.0, gt=0, description="Scale: 1 is standard scaling, N is mean-field scaling.")

    if not TYPE_CHECKING:  # the generated signature is the one to complete

        def __init__(self, *arguments: Any, **values: Any) -> None:
            names = [name for name in type(self).model_fields if name != "g_hidden"]
            if len(arguments) > len(names):
                raise TypeError(f"Network takes {len(names)} arguments, {len(arguments)} were given")
            try:
                super().__init__(**dict(zip(names, arguments, strict=False)), **values)
            except ValidationError as error:
                raise InputError(describe(type(self), error)) from None

    @model_validator(mode="after")
    def _within_double_precision(self) -> Network:
        for name, numerator in (("g", "g_w"), ("kappa", "kappa_0")):
            value = getattr(self, name)
            if not _SMALLEST < value < 1 / _SMALLEST:
                raise ValueError(
                    f"{name} = {numerator} / chi = {value:.3g}: must be between {_SMALLEST:g} and {1 / _SMALLEST:g}"
                )
        return self

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
        """Prior variance of one readout weight, ``tau = g / N``, N the width of the last hidden layer."""
        return self.g / self.widths[-1]

    def at(self, chi: float) -> Network:
        """Return the same network at another scale."""
        return Network(**{**self.parameters(), "chi": chi})
