"""Overdamped Langevin dynamics, the paper's: ``d theta = -grad U dt + sqrt(2) dB`` (docs/theory.md, section 7)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from msat.langevin.curvature import refuse_unstable, top_curvature
from msat.langevin.integrators import INTEGRATORS
from msat.langevin.potential import Potential, Weights

if TYPE_CHECKING:
    from msat.langevin.settings import LangevinSettings
    from msat.langevin.state import State

MEASURES_BIAS = False  # that of its step is small at the default safety: level `reference` of the tables

_STABLE = 1.9  # of step size times curvature; a quadratic diverges at 2


def memory(potential: Potential, weights: Weights, generator: Generator) -> Weights:
    """Return the noise of the first step."""
    return tuple(torch.empty_like(layer).normal_(generator=generator) for layer in weights)


def set_step_size(potential: Potential, settings: LangevinSettings, state: State) -> None:
    """Set ``step_safety / curvature``, at most ``max_step_size`` over the root of the number of outputs.

    The step's bias is of second order, and m outputs share what noise would hide it.
    """
    state.curvature = top_curvature(potential, state.weights)
    largest = settings.max_step_size / math.sqrt(potential.y.numel() / len(potential.y))
    automatic = min(largest, settings.step_safety / state.curvature)
    state.step_size = settings.step_size or automatic
    begun = state.burn_in_steps > 0
    refuse_unstable(state.step_size, largest_step_size(state.curvature), state.curvature, begun)


def block_steps(settings: LangevinSettings, step_size: float) -> int:
    """Return half a relaxation time of the prior."""
    return round(0.5 / step_size)


def advance(potential: Potential, settings: LangevinSettings, state: State, steps: int) -> Tensor:
    """Move all chains. There is no host synchronisation within."""
    integrate = INTEGRATORS[settings.integrator]
    outputs = state.weights[0].new_empty(steps, len(state.weights[0]), *potential.y.shape)
    for step in range(steps):
        gradients, outputs[step] = potential.forces(state.weights)
        integrate(state.weights, gradients, state.memory, state.step_size, state.generator)
    return outputs


def largest_step_size(curvature: float) -> float:
    """Return the limit of stability."""
    return _STABLE / curvature
