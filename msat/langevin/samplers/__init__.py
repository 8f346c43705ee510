"""Samplers, one file each, found by name: how chains move from one kept position to the next.

A file ``NAME.py`` here is one if it defines what `Sampler` asks for. All have exp(-U) as their stationary law, up to
what their step size costs: `hmc` has no such bias.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Annotated, Protocol, cast

from msat.settings import OneOf, check_known, modules

if TYPE_CHECKING:  # a name is known without torch, so that the command line starts at once
    from torch import Generator, Tensor

    from msat.langevin.potential import Potential, Weights
    from msat.langevin.settings import LangevinSettings
    from msat.langevin.state import State

# the paper's dynamics first
NAMES = tuple(sorted(modules(__path__), key=lambda name: name != "langevin"))
SamplerName = Annotated[str, OneOf(NAMES)]  # in settings


class Sampler(Protocol):
    """What a file of this folder defines."""

    MEASURES_BIAS: bool  # whether a run at half the step is to say how far the step size moves the stationary law

    def memory(self, potential: Potential, weights: Weights, generator: Generator) -> Weights:
        """Return what the sampler keeps from step to step beside the weights, at step 0."""

    def set_step_size(self, potential: Potential, settings: LangevinSettings, state: State) -> None:
        """Set the step size at the start of a run and after every segment of burn-in; never while sampling.

        Raises:
            InputError: If a step size given in the settings is too large at the start of a run.
            ComputationError: If it is after a segment of burn-in.
        """

    def block_steps(self, settings: LangevinSettings, step_size: float) -> int:
        """Return the steps between two recordings: positions that far apart are worth recording both."""

    def advance(self, potential: Potential, settings: LangevinSettings, state: State, steps: int) -> Tensor:
        """Move all chains by so many steps, and return f on the training points after each, (steps, chains, P).

        Of m > 1 outputs (steps, chains, P, m).
        """

    def largest_step_size(self, curvature: float) -> float:
        """Return the step size beyond which a run that ended at this top curvature is not to be trusted."""


def get_sampler(name: str) -> Sampler:
    """Return the sampler of that name; InputError, with the names known, if there is none."""
    check_known("sampler", name, NAMES)
    return cast("Sampler", importlib.import_module(f"{__name__}.{name}"))
