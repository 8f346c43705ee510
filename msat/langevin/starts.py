"""Over-dispersed starting points: chains started at one place would blind R-hat."""

from __future__ import annotations

import torch

from msat.langevin.potential import Potential, Weights

STARTS = ("prior", "zero", "informed")


def start_names(chains: int) -> list[str]:
    """Return the kind of start of each chain: the kinds in turn."""
    return [STARTS[i % len(STARTS)] for i in range(chains)]


def starting_points(potential: Potential, chains: int, generator: torch.Generator) -> Weights:
    """Return the weights of all chains: A (chains, N, r) and b (chains, N).

    `prior` is a draw from the prior, `zero` is the origin, and `informed` adds to a prior draw the
    balanced rank-one network that carries the least-squares fit of the labels: more aligned with the
    target than the posterior, where the prior is less.
    """
    widths, width, Z = potential.network.widths, potential.network.width, potential.Z
    shapes = [(chains, *shape) for shape in zip(widths, (potential.rank, *widths), strict=False)]
    A, b = (Z.new_empty(shape).normal_(generator=generator) for shape in (*shapes, (chains, widths[-1])))
    # least squares in float64: (Z^T Z)^-1 Z^T y, its columns are independent by construction
    fit = torch.linalg.lstsq(Z.double(), potential.y.double()[:, None]).solution[:, 0].to(Z.dtype)
    length = fit.norm().clamp_min(torch.finfo(Z.dtype).tiny)
    amplitude = torch.sqrt(length / (potential.readout_scale * width))
    for chain, name in enumerate(start_names(chains)):
        if name == "zero":
            A[chain], b[chain] = 0, 0
        elif name == "informed":
            sign = torch.where(torch.arange(width, device=Z.device) % 2 == 0, 1.0, -1.0).to(Z.dtype)
            A[chain] += amplitude * sign[:, None] * (fit / length)
            b[chain] += amplitude * sign
    return A, b
