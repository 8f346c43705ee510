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
    """Return the weights of all chains: A (chains, N, r), those of other layers, and b, (chains, N) or (chains, N, m).

    `prior` is a draw from the prior, `zero` is the origin, and `informed` adds to a prior draw the
    balanced network of lowest rank that carries the least-squares fit of the labels: more aligned with the
    target than the posterior, where the prior is less. `theory` draws neurons from a population, and readouts from
    their law given the neurons.

    Args:
        population: Pre-activations on the training points of neurons of a theory, (neurons, P); None for no such start.
    """
    widths, Z, several = potential.network.widths, potential.Z, potential.y.shape[1:]
    shapes = [(chains, *shape) for shape in zip(widths, (potential.rank, *widths), strict=False)]
    readout = (chains, widths[-1], *several)
    weights = tuple(Z.new_empty(shape).normal_(generator=generator) for shape in (*shapes, readout))
    fitted = _informed_by_layers if len(widths) > 1 else _informed_by_rank if several else _informed
    informed = fitted(potential)
    for chain, name in enumerate(start_names(chains, population is not None)):
        layers = [layer[chain] for layer in weights]
        if name == "zero":
            for layer in layers:
                layer.zero_()
        elif name == "informed":
            for layer, part in zip(layers, informed, strict=True):
                layer += part
        elif population is not None and name == THEORY:
            layers[0][:], layers[1][:] = _from_theory(potential, population, layers[1], generator)
    return weights


def _informed_by_layers(potential: Potential) -> list[Tensor]:
    """Return the layers, all of one norm, of the network that carries the least-squares fit of the labels."""
    widths, Z = potential.network.widths, potential.Z
    fit = _least_squares(potential).to(Z.dtype)
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


def _least_squares(potential: Potential) -> Tensor:
    """Return ``(Z^T Z)^-1 Z^T y`` in float64, (r,) or (r, m): the columns of Z are independent by construction."""
    y = potential.y.double()
    fit: Tensor = torch.linalg.lstsq(potential.Z.double(), y.reshape(len(y), -1)).solution
    return fit.reshape(-1, *y.shape[1:])


def _informed(potential: Potential) -> Weights:
    """Return the balanced rank-one network that carries the least-squares fit: A (N, r) and b (N,)."""
    Z, width = potential.Z, potential.network.width
    fit = _least_squares(potential).to(Z.dtype)
    length = fit.norm().clamp_min(torch.finfo(Z.dtype).tiny)
    amplitude = torch.sqrt(length / (potential.readout_scale * width))
    sign = torch.where(torch.arange(width, device=Z.device) % 2 == 0, 1.0, -1.0).to(Z.dtype)
    return amplitude * sign[:, None] * (fit / length), amplitude * sign


def _informed_by_rank(potential: Potential) -> Weights:
    """Return the network that carries the least-squares fit of several outputs: A (N, r) and b (N, m).

    Each pair of neurons, of either sign, carries one singular direction of the fit, in turn.
    """
    Z, width = potential.Z, potential.network.width
    U, size, rows = torch.linalg.svd(_least_squares(potential), full_matrices=False)
    neurons = torch.arange(width, device=Z.device)
    part = (neurons // 2) % len(size)
    share = torch.bincount(part, minlength=len(size))
    sign = torch.where(neurons % 2 == 0, 1.0, -1.0).double()
    amplitude = sign * torch.sqrt(size / (potential.readout_scale * share.clamp_min(1)))[part]
    return (amplitude[:, None] * U.mT[part]).to(Z.dtype), (amplitude[:, None] * rows[part]).to(Z.dtype)


def _from_theory(
    potential: Potential, population: Tensor, noise: Tensor, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Return one chain's neurons, drawn from a population, and readouts drawn given them from standard normal noise.

    ``b | V, y`` has precision ``1 + (g/(N kappa)) Phi Phi^T``, of every output: with its Cholesky factor L,
    ``E b + L^-T noise``.
    """
    rows = torch.randint(len(population), noise.shape[:1], generator=generator, device=noise.device)
    Z = potential.Z.double()
    chosen = population.to(device=noise.device, dtype=torch.float64)[rows]  # (N, P)
    neurons = torch.linalg.lstsq(Z, chosen.mT).solution.mT.to(noise.dtype)
    hidden = potential.hidden((neurons,)).double()
    phi = potential.readout_scale * hidden
    precision = phi @ phi.mT / potential.network.kappa
    precision.diagonal().add_(1.0)
    factor = torch.linalg.cholesky(precision)
    around = torch.linalg.solve_triangular(factor.mT, noise.double().reshape(len(noise), -1), upper=True)
    mean = readout_law(potential, hidden[None]).mean[0]
    return neurons, (mean + around.reshape(noise.shape)).to(noise.dtype)
