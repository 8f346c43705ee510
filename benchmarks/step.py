"""One Langevin step against its floor: the products, normal numbers and updates of the state that it cannot spare.

What is above the floor is the activation with its derivative, the residuals, and the calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

import msat
from benchmarks import timing
from msat.geometry import decompose
from msat.langevin.integrators import leimkuhler_matthews
from msat.langevin.potential import Potential, make_potential

CHAINS, STEPS = 16, 50
ACTIVATIONS = ("linear", "erf", "relu")


class StepCost(NamedTuple):
    """Milliseconds of a step of all chains, and what it is in units of its floor; autograd's likewise."""

    activation: str
    milliseconds: float
    over_floor: float
    autograd_over_floor: float


def measure(quick: bool) -> list[StepCost]:
    """Return the cost of a step on the paper's Ising setting for every activation."""
    found = []
    for activation in ACTIVATIONS:
        task = msat.tasks.ising(n_train=80, n_test=0, dimension=200, seed=0)
        network = msat.Network(width=100, activation=activation, g_w=0.5, g_v=0.5)
        potential = make_potential(decompose(task, network), network).to(torch.float32, torch.device("cpu"))
        actions = {
            "step": _repeated(potential, lambda weights, potential=potential: potential.forces(weights)[0]),
            "autograd": _repeated(potential, lambda weights, potential=potential: _autograd(potential, weights)),
            "floor": _floor(potential),
        }
        times = timing.alternating(actions, 3 if quick else 15)
        floor = times["floor"]
        found.append(
            StepCost(activation, 1e3 * times["step"] / STEPS, times["step"] / floor, times["autograd"] / floor)
        )
    return found


def _start(potential: Potential) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], torch.Generator]:
    generator = torch.Generator().manual_seed(0)
    shape = (CHAINS, potential.network.width, potential.rank)
    weights = (torch.randn(shape, generator=generator), torch.randn(shape[:2], generator=generator))
    return weights, (torch.randn_like(weights[0]), torch.randn_like(weights[1])), generator


def _repeated(
    potential: Potential, gradients: Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]
) -> Callable[[], None]:
    """Return an action of `STEPS` steps with the given gradients."""
    weights, noise, generator = _start(potential)

    def steps() -> None:
        for _ in range(STEPS):
            leimkuhler_matthews(weights, gradients(weights), noise, 0.01, generator)

    return steps


def _autograd(potential: Potential, weights: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    tracked = tuple(layer.detach().requires_grad_() for layer in weights)
    return torch.autograd.grad(potential.energy(tracked).sum(), tracked)


def _floor(potential: Potential) -> Callable[[], None]:
    """Return an action of `STEPS` times what a step cannot spare."""
    (A, b), noise, generator = _start(potential)
    Z, h = potential.Z, A @ potential.Z.T
    row = torch.randn(CHAINS, potential.rank)
    residual = torch.randn(CHAINS, len(Z))

    def products() -> None:
        if potential.activation.name == "linear":
            f = torch.bmm(b[:, None, :], A)[:, 0] @ Z.T  # outputs
            _ = f @ Z  # pull on the row space
            torch.bmm(b[:, :, None], row[:, None, :])  # gradient of A
            torch.bmm(A, row[:, :, None])  # gradient of b
        else:
            _ = A @ Z.T  # pre-activations
            torch.bmm(b[:, None, :], h)  # outputs
            torch.bmm(h, residual[:, :, None])  # gradient of b
            _ = h @ Z  # gradient of A

    def steps() -> None:
        for _ in range(STEPS):
            products()
            for x, xi in zip((A, b), noise, strict=True):
                x.add_(xi, alpha=-1e-9).add_(xi, alpha=math.sqrt(1e-9))
                xi.normal_(generator=generator)
                x.add_(xi, alpha=math.sqrt(1e-9))

    return steps
