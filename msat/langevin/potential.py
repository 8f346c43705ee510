"""The posterior's potential and its closed-form forces, in whitened row-space coordinates.

Whitened: ``V = sqrt(g_v/D) A`` and ``w = sqrt(g/N) b``, so that the prior of every coordinate has
variance 1. Row space: only the part of the first layer that meets a training input is simulated; the
rest stays at its prior exactly and is integrated analytically (docs/theory.md, sections 5d and 7).
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from msat.activations import get_activation
from msat.activations.base import Activation
from msat.geometry import Geometry
from msat.network import Network

Weights = tuple[Tensor, ...]  # of all chains, one tensor a layer from the bottom to the readout: here (A, b)


@dataclass(frozen=True, eq=False)
class Potential:
    """``U = |y - f|^2 / (2 kappa) + |A|^2 / 2 + |b|^2 / 2`` for a batch of chains.

    Chains hold A, shape (chains, N, r), and b, shape (chains, N); ``h = A Z^T`` and
    ``f = sqrt(g/N) sum_i b_i phi(h_i)``. With m > 1 outputs b is (chains, N, m), and labels and f have m columns: where
    shapes are given below (P,) is then (P, m), and (Q,) is (Q, m).
    """

    network: Network
    activation: Activation
    Z: Tensor  # training inputs in the row space, scaled so that Z Z^T is the input kernel, (P, r)
    Z_test: Tensor  # test inputs in the same coordinates, (Q, r)
    test_residual_sd: Tensor  # prior standard deviation of each test pre-activation outside the row space, (Q,)
    y: Tensor  # training labels, (P,), or (P, m) of m > 1 outputs
    # only what is measured depends on the rest
    y_test: Tensor  # test labels, (Q,)
    direction: Tensor  # row-space coordinates of the unit vector along which weights are looked at, (r,)

    @property
    def readout_scale(self) -> float:
        """``sqrt(g/N)``: the readout weight of ``b = 1``."""
        return math.sqrt(self.network.tau)

    @property
    def layer_scales(self) -> list[float]:
        """The weights of ``A^l = 1`` in the hidden layers above the first, of which there is none here."""
        return []

    @property
    def rank(self) -> int:
        """Dimension r of the row space of the training inputs."""
        return self.Z.shape[1]

    @cached_property
    def wide(self) -> Potential:
        """The same potential in float64."""
        return self.to(torch.float64, self.y.device)

    def to(self, dtype: torch.dtype, device: torch.device) -> Potential:
        """Return the same potential in another precision or on another device."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        moved: dict[str, Any] = {name: tensor.to(dtype=dtype, device=device) for name, tensor in tensors.items()}
        return replace(self, **moved)

    def hidden(self, weights: Weights) -> Tensor:
        """Return ``phi(h)`` on the training points, (chains, N, P)."""
        hidden: Tensor = self.activation.phi(weights[0] @ self.Z.T)
        return hidden

    def hidden_layers(self, weights: Weights) -> list[Tensor]:
        """Return phi of all hidden layers, here of the one."""
        return [self.hidden(weights)]

    def outputs(self, weights: Weights) -> Tensor:
        """Return f on the training points, (chains, P)."""
        A, b = weights
        if self.activation.name == "linear":  # (b A) Z^T needs no N by P products
            return self.readout_scale * _through(contract(b, A), self.Z)
        return self.readout_scale * contract(b, self.hidden(weights))

    def forces(self, weights: Weights, prior: bool = True) -> tuple[Weights, Tensor]:
        """Return the gradients of U, shaped like the weights, and f (chains, P), docs/theory.md section 7.

        Args:
            prior: Whether that of the prior, the weights themselves, is in them; else they are the likelihood's alone.
        """
        beta = 1.0 if prior else 0.0
        A, b = weights
        columns, scale = _columns(b), self.readout_scale
        if self.activation.name == "linear":
            f = self.outputs(weights)
            pull = (scale / self.network.kappa) * _back(f - self.y, self.Z)  # (chains, r) or (chains, r, m)
            # of one output both views of the pull are contiguous, which makes other bits than a transpose
            grad_A = torch.baddbmm(A, columns, pull[:, None, :] if b.dim() == 2 else pull.mT, beta=beta)
            return (grad_A, torch.baddbmm(columns, A, _columns(pull), beta=beta).reshape(b.shape)), f
        h = A @ self.Z.T
        phi = self.activation.phi(h)
        f = scale * contract(b, phi)
        residual = (scale / self.network.kappa) * _columns(f - self.y)
        grad_b = torch.baddbmm(columns, phi, residual, beta=beta).reshape(b.shape)
        slopes = self.activation.derivative(h)
        if b.dim() == 2:  # one output: b after the product with Z, which has fewer columns
            pull = (slopes * residual.mT) @ self.Z
            grad_A = torch.addcmul(A, pull, columns) if prior else pull.mul_(columns)
        else:
            pull = (slopes * (columns @ residual.mT)) @ self.Z
            grad_A = A + pull if prior else pull
        return (grad_A, grad_b), f

    def energy(self, weights: Weights) -> Tensor:
        """Return U of every chain, (chains,)."""
        misfit = (self.outputs(weights) - self.y).square().flatten(1).sum(dim=1) / self.network.kappa
        return (misfit + inner(weights, weights)) / 2

    def test_hidden(self, A: Tensor) -> Tensor:
        """Return phi(h) at the test points averaged over the first layer outside the row space, (..., N, Q).

        The training data leave that part of the first layer at its prior, so the average is exact.

        Args:
            A: First layer, (..., N, r).
        """
        smoothed: Tensor = self.activation.smoothed_mean(A @ self.Z_test.T, self.test_residual_sd)
        return smoothed

    def test_means(self, weights: Weights, generator: torch.Generator) -> Tensor:
        """Return f at the test points averaged over the first layer outside the row space, (chains, Q)."""
        A, b = weights
        if self.activation.name == "linear":
            return self.readout_scale * _through(contract(b, A), self.Z_test)
        return self.readout_scale * contract(b, self.test_hidden(A))

    def test_readout_variance(
        self, weights: Weights, hidden: Tensor, readout: Readout, generator: torch.Generator
    ) -> Tensor:
        """Return the variance of `test_means` over the readout given the first layer, for one chain, in float64.

        (Q,), also of several outputs: it is the same of all.

        ``phi_* Cov(b) phi_*`` with ``Cov(b) = (1 + (g/(N kappa)) Phi Phi^T)^-1``, times g/N.

        Args:
            weights, hidden, readout: Of one chain: (N, r) and the readout; (N, P); its law of the readout.
        """
        return self.readout_variance(self.test_hidden(weights[0]), hidden, readout)

    def readout_variance(self, test_hidden: Tensor, hidden: Tensor, readout: Readout) -> Tensor:
        """Return the variance over the readout of one chain at points with these features, (N, Q)."""
        phi_test = self.readout_scale * test_hidden.double()
        phi, kappa = self.readout_scale * hidden.double(), self.network.kappa
        if phi.shape[0] < phi.shape[1]:  # kappa (Phi Phi^T + kappa)^-1
            half: Tensor = torch.linalg.solve_triangular(readout.factor, phi_test, upper=False)
            return kappa * half.square().sum(dim=0)
        half = torch.linalg.solve_triangular(readout.factor, phi.mT @ phi_test, upper=False)
        whole: Tensor = phi_test.square().sum(dim=0)
        return whole - half.square().sum(dim=0)

    def test_residual_variance(self, weights: Weights, generator: torch.Generator) -> Tensor:
        """Return an unbiased estimate of the variance of f about `test_means` for one chain, (Q,).

        Half the squared difference between two draws of the first layer outside the row space; for linear
        phi the variance itself. Given A and b the neurons' residuals are independent.

        Args:
            weights: Of one chain, (N, r) and (N,), or (N, m).
        """
        A, b = weights
        weight = self.network.tau * b.square()
        if self.activation.name == "linear":
            square = self.test_residual_sd.square()
            return weight.sum() * square if b.dim() == 1 else square[:, None] * weight.sum(dim=0)
        mean = A @ self.Z_test.T
        draws = [torch.empty_like(mean).normal_(generator=generator) for _ in range(2)]
        first, second = (self.activation.phi(mean + self.test_residual_sd * draw) for draw in draws)
        square = (first - second).square()
        variance: Tensor = (weight @ square if b.dim() == 1 else square.mT @ weight) / 2
        return variance


def _columns(x: Tensor) -> Tensor:
    """Return readouts or outputs of all chains, (chains, N) or (chains, N, m), with m, or one, columns."""
    return x if x.dim() == 3 else x[:, :, None]


def contract(b: Tensor, A: Tensor) -> Tensor:
    """Return ``sum_i b_i A_i.`` for every chain, (chains, r), or of m outputs (chains, r, m)."""
    return torch.bmm(b[:, None, :], A)[:, 0] if b.dim() == 2 else torch.bmm(A.mT, b)


def _through(features: Tensor, Z: Tensor) -> Tensor:
    """Return the products of inputs Z, (rows, r), with vectors of all chains, (chains, r) or (chains, r, m)."""
    return features @ Z.T if features.dim() == 2 else (features.mT @ Z.T).mT


def _back(outputs: Tensor, Z: Tensor) -> Tensor:
    """Return the sums of inputs Z, (P, r), weighted by outputs of all chains, (chains, r) or (chains, r, m)."""
    return outputs @ Z if outputs.dim() == 2 else (outputs.mT @ Z).mT


def make_potential(geometry: Geometry, network: Network) -> Potential:
    """Return the `Potential` of a network at its scale on decomposed data, in float64 on the CPU.

    That of several hidden layers is found by its name: an edit of it is none of the others'.
    """
    space = geometry.row_space
    arrays = (space.train, space.test, space.test_residual_sd, geometry.y_train, geometry.y_test, geometry.direction)
    # a copy: torch takes no array that may not be written to
    tensors = (torch.from_numpy(np.array(array)) for array in arrays)
    kind: type[Potential] = Potential
    if network.depth > 1:
        kind = importlib.import_module("msat.langevin.deep_potential").DeepPotential
    return kind(network, get_activation(network.activation), *tensors)


class Readout(NamedTuple):
    """The law of the readout given the first layer, which is Gaussian, in float64."""

    mean_outputs: Tensor  # E[f | V, y] on the training points, (chains, P), or (chains, P, m) of m > 1 outputs
    covariance: Tensor  # Cov(f | V, y) of each output, (chains, P, P); different outputs are independent
    mean: Tensor  # E[b | V, y], (chains, N) or (chains, N, m)
    square: Tensor  # E[|b|^2 | V, y], (chains,)
    factor: Tensor  # Cholesky factor of K + kappa, or of its N by N form, of every chain


def readout_law(potential: Potential, hidden: Tensor) -> Readout:
    """Return what averaging over the readout gives in closed form (Rao-Blackwell).

    With ``K = (g/N) sum_i phi_i phi_i^T`` and ``A = (K + kappa)^-1``: ``E f = K A y``, ``Cov f = kappa K A``,
    ``E b = sqrt(g/N) Phi A y`` and ``E|b|^2 = |E b|^2 + N - tr K A`` (docs/theory.md, section 7), for each output.

    Args:
        hidden: ``phi(h)`` on the training points, (chains, N, P).
    """
    phi = potential.readout_scale * hidden.double()
    y, kappa = potential.y.double(), potential.network.kappa
    width = phi.shape[1]
    wide = width < phi.shape[2]  # N < P: the same matrix through an N by N system
    K = phi @ phi.mT if wide else phi.mT @ phi
    noisy = K.clone()
    noisy.diagonal(dim1=1, dim2=2).add_(kappa)
    factor = torch.linalg.cholesky(noisy)
    if wide:
        half = torch.linalg.solve_triangular(factor, phi, upper=False)
        shrink = half.mT @ half
        mean = torch.cholesky_solve(_columns(phi @ y), factor)
    else:
        shrink = torch.cholesky_solve(K, factor)
        mean = phi @ torch.cholesky_solve(_columns(y.expand(len(phi), *y.shape)), factor)
    outputs = mean.shape[2]
    trace = shrink.diagonal(dim1=1, dim2=2).sum(dim=1)
    square = mean.square().flatten(1).sum(dim=1) + outputs * width - outputs * trace
    mean = mean.reshape(*phi.shape[:2], *y.shape[1:])
    return Readout(shrink @ y, kappa * shrink, mean, square, factor)


def inner(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Return the scalar product of two sets of weights for every chain, (chains,), in float64."""
    parts = [(u.double() * v.double()).flatten(1).sum(dim=1) for u, v in zip(first, second, strict=True)]
    return torch.stack(parts).sum(dim=0)
