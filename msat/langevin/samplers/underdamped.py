"""Underdamped Langevin dynamics: ``dx = p dt, dp = -grad U dt - gamma p dt + sqrt(2 gamma) dB``.

The splitting BAOAB (Leimkuhler and Matthews, Appl. Math. Res. Express 2013) with the prior's part of U in the drift,
where it is an exact rotation of position and momentum: B is a kick by the likelihood alone, so that an untrained
network is sampled without bias at any step. The two half kicks between two drifts are one, since they are taken at one
position: momenta are known half a step off, positions are not. The bias of positions is of second order in the step.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from msat.langevin.curvature import refuse_unstable, top_curvature
from msat.langevin.integrators import kick, rotate
from msat.langevin.potential import Potential, Weights

if TYPE_CHECKING:
    from msat.langevin.settings import LangevinSettings
    from msat.langevin.state import State

MEASURES_BIAS = True

_SAFETY = 0.35  # of step size times the root of the curvature: kinks of ReLU make larger steps noisy
_STABLE = 1.9  # of the same; a quadratic diverges at 2
_BLOCK = 0.75  # time between two recordings: half of a quarter turn of the prior


def memory(potential: Potential, weights: Weights, generator: Generator) -> Weights:
    """Return momenta from their stationary law."""
    return tuple(torch.empty_like(layer).normal_(generator=generator) for layer in weights)


def set_step_size(potential: Potential, settings: LangevinSettings, state: State) -> None:
    """Set ``0.35 / sqrt(curvature)``."""
    state.curvature = top_curvature(potential, state.weights)
    state.step_size = settings.step_size or _SAFETY / math.sqrt(state.curvature)
    begun = state.burn_in_steps > 0
    refuse_unstable(state.step_size, largest_step_size(state.curvature), state.curvature, begun)


def block_steps(settings: LangevinSettings, step_size: float) -> int:
    """Return the steps of an eighth of the prior's period."""
    return round(_BLOCK / step_size)


def advance(potential: Potential, settings: LangevinSettings, state: State, steps: int) -> Tensor:
    """Move all chains. There is no host synchronisation within."""
    momenta, step_size = state.memory, state.step_size
    kept = math.exp(-settings.friction * step_size)
    noise = [torch.empty_like(layer) for layer in momenta]
    outputs = state.weights[0].new_empty(steps, len(state.weights[0]), *potential.y.shape)
    for step in range(steps):
        gradients, outputs[step] = potential.forces(state.weights, prior=False)
        kick(momenta, gradients, step_size)
        rotate(state.weights, momenta, step_size / 2)
        for p, xi in zip(momenta, noise, strict=True):
            p.mul_(kept).add_(xi.normal_(generator=state.generator), alpha=math.sqrt(1 - kept**2))
        rotate(state.weights, momenta, step_size / 2)
    return outputs


def largest_step_size(curvature: float) -> float:
    """Return the limit of stability."""
    return _STABLE / math.sqrt(curvature)
