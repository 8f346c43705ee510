"""Random-walk Metropolis on all weights together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from msat.langevin.potential import Potential, Weights

if TYPE_CHECKING:
    from msat.langevin.settings import LangevinSettings
    from msat.langevin.state import State

MEASURES_BIAS = False


def memory(potential: Potential, weights: Weights, generator: Generator) -> Weights:
    """Return nothing."""
    return ()


def set_step_size(potential: Potential, settings: LangevinSettings, state: State) -> None:
    """Set the step size of the settings, or 0.1."""
    state.step_size = settings.step_size or 0.1


def block_steps(settings: LangevinSettings, step_size: float) -> int:
    """Return 50."""
    return 50


def advance(potential: Potential, settings: LangevinSettings, state: State, steps: int) -> Tensor:
    """Move all chains."""
    outputs = []
    for _ in range(steps):
        noise = [torch.empty_like(layer).normal_(generator=state.generator) for layer in state.weights]
        there = tuple(layer + state.step_size * xi for layer, xi in zip(state.weights, noise, strict=True))
        change = potential.energy(there) - potential.energy(state.weights)
        accepted = torch.empty_like(change).uniform_(generator=state.generator) < torch.exp(-change)
        for old, new in zip(state.weights, there, strict=True):
            old[accepted] = new[accepted]
        outputs.append(potential.outputs(state.weights))
    return torch.stack(outputs)


def largest_step_size(curvature: float) -> float:
    """Return infinity."""
    return math.inf
