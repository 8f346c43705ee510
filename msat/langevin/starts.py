"""Over-dispersed starting points: chains started at one place would blind R-hat."""

from __future__ import annotations

import math

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
    """Return the weights of all chains: A (chains, N, r) and b (chains, N), and between them those of other layers.

    `prior` is a draw from the prior, `zero` is the origin, and `informed` adds to a prior draw the
    balanced rank-one network that carries the least-squares fit of the labels: more aligned with the
    target than the posterior, where the prior is less. `theory` draws neurons from a population, and readouts from
    their law given the neurons.

    Args:
        population: Pre-activations on the training points of neurons of a theory, (neurons, P); None for no such start.
    """
    widths, Z = potential.network.widths, potential.Z
    shapes = [(chains, *shape) for shape in zip(widths, (potential.rank, *widths), strict=False)]
    weights = tuple(Z.new_empty(shape).normal_(generator=generator) for shape in (*shapes, (chains, widths[-1])))
    for chain, name in enumerate(start_names(chains, population is not None)):
        layers = [layer[chain] for layer in weights]
        if name == "zero":
            for layer in layers:
                layer.zero_()
        elif name == "informed":
            for layer, part in zip(layers, _rank_one(potential), strict=True):
                layer += part
        elif population is not None and name == THEORY:
            layers[0][:], layers[1][:] = _from_theory(potential, population, layers[1], generator)
    return weights


def _rank_one(potential: Potential) -> list[Tensor]:
    """Return the layers, all of one norm, of the network that carries the least-squares fit of the labels."""
    widths, Z = potential.network.widths, potential.Z
    # least squares in float64: (Z^T Z)^-1 Z^T y, its columns are independent by construction
    fit = torch.linalg.lstsq(Z.double(), potential.y.double()[:, None]).solution[:, 0].to(Z.dtype)
    length = fit.norm().clamp_min(torch.finfo(Z.dtype).tiny)
    layers = len(widths)
    # of neurons of the last layer: (amplitude sqrt(N_L))^(L + 1) times the scales of all layers is the length
    scales = potential.readout_scale * math.prod(potential.layer_scales)
    amplitude = (length / (scales * widths[-1] ** ((layers + 1) / 2))) ** (1 / (layers + 1))
    signs = [torch.where(torch.arange(n, device=Z.device) % 2 == 0, 1.0, -1.0).to(Z.dtype) for n in widths]
    ratios = [math.sqrt(widths[-1] / n) for n in widths]
    parts = [amplitude * ratios[0] * signs[0][:, None] * (fit / length)]
    for below, above, n, ratio in zip(signs, signs[1:], widths, ratios[1:], strict=False):
        parts.append(amplitude * ratio * above[:, None] * (below / math.sqrt(n)))
    return [*parts, amplitude * signs[-1]]


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
