"""Over-dispersed starting points: chains started at one place would blind R-hat."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from msat.langevin.potential import Potential, Weights, readout_law

STARTS = ("prior", "zero", "informed")
THEORY = "theory"  # beside them, where a theory says where neurons are


def start_names(chains: int, with_theory: bool) -> list[str]:
    """Return the kind of start of each chain: the kinds in turn."""
    kinds = (*STARTS, THEORY) if with_theory else STARTS
    return [kinds[i % len(kinds)] for i in range(chains)]


def starting_points(potential: Potential, chains: int, generator: Generator, population: Tensor | None) -> Weights:
    """Return the weights of all chains: A (chains, N, r) and b (chains, N).

    `prior` is a draw from the prior, `zero` is the origin, and `informed` adds to a prior draw the
    balanced rank-one network that carries the least-squares fit of the labels: more aligned with the
    target than the posterior, where the prior is less. `theory` draws neurons from a population, and readouts from
    their law given the neurons.

    Args:
        population: Pre-activations on the training points of neurons of a theory, (neurons, P); None for no such start.
    """
    widths, width, Z = potential.network.widths, potential.network.width, potential.Z
    shapes = [(chains, *shape) for shape in zip(widths, (potential.rank, *widths), strict=False)]
    A, b = (Z.new_empty(shape).normal_(generator=generator) for shape in (*shapes, (chains, widths[-1])))
    # least squares in float64: (Z^T Z)^-1 Z^T y, its columns are independent by construction
    fit = torch.linalg.lstsq(Z.double(), potential.y.double()[:, None]).solution[:, 0].to(Z.dtype)
    length = fit.norm().clamp_min(torch.finfo(Z.dtype).tiny)
    amplitude = torch.sqrt(length / (potential.readout_scale * width))
    for chain, name in enumerate(start_names(chains, population is not None)):
        if name == "zero":
            A[chain], b[chain] = 0, 0
        elif name == "informed":
            sign = torch.where(torch.arange(width, device=Z.device) % 2 == 0, 1.0, -1.0).to(Z.dtype)
            A[chain] += amplitude * sign[:, None] * (fit / length)
            b[chain] += amplitude * sign
        elif population is not None and name == THEORY:
            A[chain], b[chain] = _from_theory(potential, population, b[chain], generator)
    return A, b


def _from_theory(
    potential: Potential, population: Tensor, noise: Tensor, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Return one chain's neurons, drawn from a population, and readouts drawn given them from standard normal noise.

    ``b | V, y`` has precision ``1 + (g/(N kappa)) Phi Phi^T``: with its Cholesky factor L, ``E b + L^-T noise``.
    """
    rows = torch.randint(len(population), noise.shape, generator=generator, device=noise.device)
    Z = potential.Z.double()
    chosen = population.to(device=noise.device, dtype=torch.float64)[rows]  # (N, P)
    neurons = torch.linalg.lstsq(Z, chosen.mT).solution.mT.to(noise.dtype)
    hidden = potential.hidden((neurons,)).double()
    phi = potential.readout_scale * hidden
    precision = phi @ phi.mT / potential.network.kappa
    precision.diagonal().add_(1.0)
    factor = torch.linalg.cholesky(precision)
    around = torch.linalg.solve_triangular(factor.mT, noise.double()[:, None], upper=True)[:, 0]
    mean = readout_law(potential, hidden[None]).mean[0]
    return neurons, (mean + around).to(noise.dtype)
