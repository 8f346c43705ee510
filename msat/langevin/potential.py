"""The posterior's potential and its closed-form forces, in whitened row-space coordinates.

Whitened: ``V = sqrt(g_v/D) A`` and ``w = sqrt(g/N) b``, so that the prior of every coordinate has
variance 1. Row space: only the part of the first layer that meets a training input is simulated; the
rest stays at its prior exactly and is integrated analytically (docs/theory.md, sections 5d and 7).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from msat.activations import get_activation
from msat.activations.base import Activation
from msat.geometry import Geometry
from msat.network import Network

Weights = tuple[Tensor, ...]  # of all chains, one tensor a layer from the bottom to the readout: today (A, b)


@dataclass(frozen=True, eq=False)
class Potential:
    """``U = |y - f|^2 / (2 kappa) + |A|^2 / 2 + |b|^2 / 2`` for a batch of chains.

    Chains hold A, shape (chains, N, r), and b, shape (chains, N); ``h = A Z^T`` and
    ``f = sqrt(g/N) sum_i b_i phi(h_i)``.
    """

    network: Network
    activation: Activation
    Z: Tensor  # training inputs in the row space, scaled so that Z Z^T is the input kernel, (P, r)
    Z_test: Tensor  # test inputs in the same coordinates, (Q, r)
    test_residual_sd: Tensor  # prior standard deviation of each test pre-activation outside the row space, (Q,)
    y: Tensor  # training labels, (P,)

    @property
    def readout_scale(self) -> float:
        """``sqrt(g/N)``: the readout weight of ``b = 1``."""
        return math.sqrt(self.network.tau)

    @property
    def rank(self) -> int:
        """Dimension r of the row space of the training inputs."""
        return self.Z.shape[1]

    def to(self, dtype: torch.dtype, device: torch.device) -> Potential:
        """Return the same potential in another precision or on another device."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        moved: dict[str, Any] = {name: tensor.to(dtype=dtype, device=device) for name, tensor in tensors.items()}
        return replace(self, **moved)

    def hidden(self, weights: Weights) -> Tensor:
        """Return ``phi(h)`` on the training points, (chains, N, P)."""
        hidden: Tensor = self.activation.phi(weights[0] @ self.Z.T)
        return hidden

    def outputs(self, weights: Weights) -> Tensor:
        """Return f on the training points, (chains, P)."""
        A, b = weights
        if self.activation.name == "linear":  # (b A) Z^T needs no N by P products
            return self.readout_scale * (_contract(b, A) @ self.Z.T)
        return self.readout_scale * _contract(b, self.hidden(weights))

    def forces(self, weights: Weights) -> tuple[Weights, Tensor]:
        """Return the gradients of U, shaped like the weights, and f (chains, P), docs/theory.md section 7."""
        A, b = weights
        scale = self.readout_scale
        if self.activation.name == "linear":
            f = self.outputs(weights)
            pull = (scale / self.network.kappa) * ((f - self.y) @ self.Z)
            grad_A = torch.baddbmm(A, b[:, :, None], pull[:, None, :])
            grad_b = torch.baddbmm(b[:, :, None], A, pull[:, :, None])[:, :, 0]
            return (grad_A, grad_b), f
        h = A @ self.Z.T
        phi = self.activation.phi(h)
        f = scale * _contract(b, phi)
        residual = (scale / self.network.kappa) * (f - self.y)
        grad_b = torch.baddbmm(b[:, :, None], phi, residual[:, :, None])[:, :, 0]
        slopes = self.activation.derivative(h) * residual[:, None, :]
        grad_A = torch.addcmul(A, slopes @ self.Z, b[:, :, None])
        return (grad_A, grad_b), f

    def energy(self, weights: Weights) -> Tensor:
        """Return U of every chain, (chains,)."""
        misfit = (self.outputs(weights) - self.y).square().sum(dim=1) / self.network.kappa
        return (misfit + _inner(weights, weights)) / 2

    def test_means(self, weights: Weights) -> Tensor:
        """Return f at the test points averaged over the first layer outside the row space, (chains, Q).

        The training data leave that part of the first layer at its prior, so the average is exact.
        """
        A, b = weights
        if self.activation.name == "linear":
            return self.readout_scale * (_contract(b, A) @ self.Z_test.T)
        smoothed: Tensor = self.activation.smoothed_mean(A @ self.Z_test.T, self.test_residual_sd)
        return self.readout_scale * _contract(b, smoothed)

    def test_residual_variance(self, weights: Weights, generator: torch.Generator) -> Tensor:
        """Return an unbiased estimate of the variance of f about `test_means` for one chain, (Q,).

        Half the squared difference between two draws of the first layer outside the row space; for linear
        phi the variance itself. Given A and b the neurons' residuals are independent.

        Args:
            weights: Of one chain, (N, r) and (N,).
        """
        A, b = weights
        weight = self.network.tau * b.square()
        if self.activation.name == "linear":
            return weight.sum() * self.test_residual_sd.square()
        mean = A @ self.Z_test.T
        draws = [torch.empty_like(mean).normal_(generator=generator) for _ in range(2)]
        first, second = (self.activation.phi(mean + self.test_residual_sd * draw) for draw in draws)
        variance: Tensor = weight @ (first - second).square() / 2
        return variance


def _contract(b: Tensor, A: Tensor) -> Tensor:
    """Return ``sum_i b_i A_i.`` for every chain."""
    return torch.bmm(b[:, None, :], A)[:, 0]


def make_potential(geometry: Geometry, network: Network) -> Potential:
    """Return the `Potential` of a network at its scale on decomposed data, in float64 on the CPU."""
    space = geometry.row_space
    arrays = (space.train, space.test, space.test_residual_sd, np.array(geometry.y_train))
    return Potential(network, get_activation(network.activation), *(torch.from_numpy(array) for array in arrays))


def readout_posterior_mean(potential: Potential, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``E[f | V, y]`` (chains, P) and ``Cov(f | V, y)`` (chains, P, P), in float64.

    Given the first layer the readout is Gaussian: with ``K = (g/N) sum_i phi_i phi_i^T`` and
    ``A = (K + kappa)^-1`` they are ``K A y`` and ``kappa K A`` (docs/theory.md, section 7).

    Args:
        hidden: ``phi(h)`` on the training points, (chains, N, P).
    """
    phi = potential.readout_scale * hidden.double()
    y, kappa = potential.y.double(), potential.network.kappa
    wide = phi.shape[1] < phi.shape[2]  # N < P: the same matrix through an N by N system
    K = phi @ phi.mT if wide else phi.mT @ phi
    noisy = K.clone()
    noisy.diagonal(dim1=1, dim2=2).add_(kappa)
    factor = torch.linalg.cholesky(noisy)
    if wide:
        half = torch.linalg.solve_triangular(factor, phi, upper=False)
        shrink = half.mT @ half
    else:
        shrink = torch.cholesky_solve(K, factor)
    return shrink @ y, kappa * shrink


def top_curvature(potential: Potential, weights: Weights, iterations: int = 40) -> float:
    """Return the largest curvature of U met by any chain at its present state.

    Power iteration on Hessian-vector products, directional derivatives of the forces, in float64.
    """
    exact = potential.to(torch.float64, weights[0].device)
    weights = tuple(layer.double() for layer in weights)
    # a fixed start that no symmetry of the network makes orthogonal to the top eigenvector
    ramps = [torch.arange(layer.numel(), device=layer.device).double().reshape(layer.shape) for layer in weights]
    image = [*(torch.cos(ramp) for ramp in ramps[:-1]), torch.sin(ramps[-1])]
    image[-2] = image[-2] + weights[-1][:, :, None]
    for _ in range(iterations):
        norm = torch.sqrt(_inner(image, image))
        vector = tuple(layer / norm.reshape(-1, *(1 for _ in layer.shape[1:])) for layer in image)
        # the exact directional derivative: a finite difference would straddle the kinks of ReLU
        _, image = torch.func.jvp(lambda *state: exact.forces(state)[0], weights, vector)[:2]
    return float(_inner(vector, image).max())


def _inner(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Return the scalar product of two sets of weights for every chain, (chains,)."""
    parts = [(u * v).flatten(1).sum(dim=1) for u, v in zip(first, second, strict=True)]
    return torch.stack(parts).sum(dim=0)
