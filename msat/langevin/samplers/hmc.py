"""Hamiltonian Monte Carlo on all layers together: no bias from its step size (Duane et al. 1987; Neal 2011).

One step is one trajectory: fresh momenta p, then leapfrog with the prior's part of U in the drift, where it is an exact
rotation of (x, p), and a Metropolis test of ``H = U + |p|^2 / 2`` in float64. A trajectory turns the prior by about a
quarter, at which a network without data is drawn independently. Lengths go round a cycle: no mode of the posterior can
be in phase with all of them. During burn-in the step size is set by dual averaging to an acceptance (Hoffman and
Gelman 2014, section 3.2), which each segment of burn-in begins anew; afterwards it stays.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from msat.errors import InputError
from msat.langevin.curvature import top_curvature
from msat.langevin.integrators import kick, rotate
from msat.langevin.potential import Potential, Weights, inner
from msat.langevin.state import Tuning

if TYPE_CHECKING:
    from msat.langevin.settings import LangevinSettings
    from msat.langevin.state import State

MEASURES_BIAS = False  # there is none

_LENGTHS = (1 / 2, 7 / 6, 5 / 6, 3 / 2)  # of successive trajectories, in `trajectory`
_MOST_LEAPFROGS = 1000  # of one trajectory
_FIRST = 0.5  # step size times the root of the curvature, before it is tuned
_DIVERGENT = 1000.0  # error of the energy beyond which a trajectory counts as divergent, as in Stan
_SHRINKAGE, _OFFSET, _FORGETTING = 0.05, 10, 0.75  # gamma, t_0 and kappa of dual averaging


def memory(potential: Potential, weights: Weights, generator: Generator) -> Weights:
    """Return gradients of the likelihood, outputs (chains, P[, m]) and energy (chains,) at the weights."""
    gradients, outputs = potential.forces(weights, prior=False)
    return (*gradients, outputs, potential.wide.energy(_wide(weights)))


def set_step_size(potential: Potential, settings: LangevinSettings, state: State) -> None:
    """Set the tuned step size, and begin to tune it anew from there.

    Raises:
        InputError: If a step size given in the settings is longer than the longest trajectory.
    """
    if settings.step_size is not None:
        if settings.step_size > (longest := max(_LENGTHS) * settings.trajectory):
            raise InputError(
                f"step_size = {settings.step_size:.3g}: must be at most {longest:.3g}, the longest trajectory of hmc "
                f"({max(_LENGTHS):g} times trajectory = {settings.trajectory:g})"
            )
        state.step_size = settings.step_size
    elif state.tuning.trials:
        state.step_size = math.exp(state.tuning.log_mean)
    else:
        state.curvature = top_curvature(potential, state.weights)
        state.step_size = min(_FIRST / math.sqrt(state.curvature), _largest_tuned(settings))
    state.tuning = Tuning(centre=math.log(2 * state.step_size))


def block_steps(settings: LangevinSettings, step_size: float) -> int:
    """Return 1: every trajectory is recorded."""
    return 1


def advance(potential: Potential, settings: LangevinSettings, state: State, steps: int) -> Tensor:
    """Move all chains by so many trajectories."""
    outputs = state.weights[0].new_empty(steps, len(state.weights[0]), *potential.y.shape)
    for step in range(steps):
        share = _LENGTHS[(state.burn_in_steps + state.steps + step) % len(_LENGTHS)]
        leapfrogs = max(1, min(_MOST_LEAPFROGS, round(share * settings.trajectory / state.step_size)))
        acceptance = _trajectory(potential, state, leapfrogs)
        if state.phase == "burn_in" and settings.step_size is None:
            _tune(state, settings.acceptance - acceptance, _largest_tuned(settings))
        outputs[step] = state.memory[-2]
    return outputs


def largest_step_size(curvature: float) -> float:
    """Return infinity: a step that is too large is refused by the Metropolis test."""
    return math.inf


def leapfrog(
    potential: Potential, x: Weights, p: Weights, gradients: Weights, step_size: float, steps: int
) -> tuple[Weights, Tensor]:
    """Move positions and momenta in place; return the likelihood's gradients and the outputs where they arrive.

    Args:
        gradients: At the positions where they begin.
        steps: At least 1.
    """
    kick(p, gradients, step_size / 2)
    for step in range(steps):
        rotate(x, p, step_size)
        gradients, outputs = potential.forces(x, prior=False)
        kick(p, gradients, step_size if step < steps - 1 else step_size / 2)
    return gradients, outputs


def acceptance_probability(error: Tensor) -> Tensor:
    """Return ``min(1, exp(-error))`` of errors of the energy; 0 where one is not a number."""
    return torch.exp(-error).clamp(max=1.0).nan_to_num(0.0)


def _trajectory(potential: Potential, state: State, leapfrogs: int) -> float:
    """Move all chains by one trajectory, or leave them where they are; return the mean acceptance probability."""
    gradients, energy, step_size = state.memory[:-2], state.memory[-1], state.step_size
    x = tuple(layer.clone() for layer in state.weights)
    p = tuple(torch.empty_like(layer).normal_(generator=state.generator) for layer in x)
    before = energy + inner(p, p) / 2
    gradients, found = leapfrog(potential, x, p, gradients, step_size, leapfrogs)
    reached = potential.wide.energy(_wide(x))
    error = reached + inner(p, p) / 2 - before
    probability = acceptance_probability(error)
    draw = torch.empty_like(probability).uniform_(generator=state.generator)
    accepted = draw < probability
    for old, new in zip((*state.weights, *state.memory), (*x, *gradients, found, reached), strict=True):
        old[accepted] = new[accepted]
    size = error.abs()
    divergent = ~(size < _DIVERGENT)
    state.tallies.add("acceptance", probability, 1)
    state.tallies.add("energy_error", torch.where(divergent, 0.0, size), 1)
    state.tallies.add("divergences", divergent.double(), 1)
    state.tallies.add("leapfrogs", torch.full_like(probability, float(leapfrogs)), 1)
    return float(probability.mean())


def _largest_tuned(settings: LangevinSettings) -> float:
    """Return the length of the shortest trajectory.

    Where data hardly count every step is accepted, and tuning would go on to steps of any number of half turns of the
    prior: those leave f where it was.
    """
    return min(_LENGTHS) * settings.trajectory


def _tune(state: State, shortfall: float, largest: float) -> None:
    """Set the step size of the next trajectory of burn-in, after one that fell short of the acceptance wanted."""
    tuning = state.tuning
    tuning.trials += 1
    weight = 1 / (tuning.trials + _OFFSET)
    tuning.shortfall += weight * (shortfall - tuning.shortfall)
    log_step = min(tuning.centre - math.sqrt(tuning.trials) / _SHRINKAGE * tuning.shortfall, math.log(largest))
    tuning.log_mean += tuning.trials**-_FORGETTING * (log_step - tuning.log_mean)
    state.step_size = math.exp(log_step)


def _wide(weights: Weights) -> Weights:
    return tuple(layer.double() for layer in weights)
