"""The potential of networks with several hidden layers, with the interface of `msat.langevin.potential.Potential`.

Whitened: ``V^l = sqrt(g_l / N_(l-1)) A^l`` and ``w = sqrt(g / N_L) b``, every coordinate with prior variance 1. Only
the first layer has a row space; from the second on all weights meet the data. Averages over the readout are in closed
form as for one hidden layer. What a test point has outside the row space is integrated in closed form for linear
networks; for others it passes further layers, for which there is no closed form: it is drawn, which leaves means
unbiased (docs/theory.md, section 13).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from msat.langevin.potential import Potential, Readout, Weights, contract


class _Forward(NamedTuple):
    """Pre-activations and features of all hidden layers, (chains, N_l, P)."""

    hidden: list[Tensor]
    features: list[Tensor]


@dataclass(frozen=True, eq=False)
class DeepPotential(Potential):
    """``U = |y - f|^2 / (2 kappa) + sum_l |A^l|^2 / 2 + |b|^2 / 2`` for a batch of chains.

    Chains hold A^1, (chains, N_1, r), A^l, (chains, N_l, N_(l-1)), and b, (chains, N_L).
    """

    @property
    def layer_scales(self) -> list[float]:
        """``sqrt(g_l / N_(l-1))`` of the layers above the first: the weight of ``A^l = 1``."""
        network = self.network
        return [math.sqrt(g / below) for g, below in zip(network.g_hidden, network.widths, strict=False)]

    @property
    def _linear(self) -> bool:
        return self.activation.name == "linear"

    def hidden(self, weights: Weights) -> Tensor:
        """Return phi of the last hidden layer on the training points, (chains, N_L, P)."""
        return self.hidden_layers(weights)[-1]

    def hidden_layers(self, weights: Weights) -> list[Tensor]:
        """Return phi of all hidden layers on the training points, (chains, N_l, P), bottom to top."""
        return self._upwards(weights, weights[0] @ self.Z.T).features

    def _upwards(self, weights: Weights, h: Tensor) -> _Forward:
        """Return all layers from the pre-activations of the first."""
        hidden, features = [h], [self.activation.phi(h)]
        for A, scale in zip(weights[1:-1], self.layer_scales, strict=True):
            hidden.append(scale * (A @ features[-1]))
            features.append(self.activation.phi(hidden[-1]))
        return _Forward(hidden, features)

    def _downwards(self, weights: Weights) -> list[Tensor]:
        """Return, of a linear network, what every hidden layer is read out with, (chains, N_l), bottom to top."""
        v = [self.readout_scale * weights[-1]]
        for A, scale in zip(reversed(weights[1:-1]), reversed(self.layer_scales), strict=True):
            v.append(scale * contract(v[-1], A))
        return v[::-1]

    def outputs(self, weights: Weights) -> Tensor:
        """Return f on the training points, (chains, P)."""
        if self._linear:
            return contract(self._downwards(weights)[0], weights[0]) @ self.Z.T
        return self.readout_scale * contract(weights[-1], self.hidden(weights))

    def forces(self, weights: Weights, prior: bool = True) -> tuple[Weights, Tensor]:
        """Return the gradients of U, shaped like the weights, and f (chains, P), by backpropagation.

        Args:
            prior: Whether that of the prior, the weights themselves, is in them; else they are the likelihood's alone.
        """
        gradients, f = self._of_linear(weights) if self._linear else self._of_others(weights)
        if prior:
            gradients = tuple(gradient.add_(layer) for gradient, layer in zip(gradients, weights, strict=True))
        return gradients, f

    def _of_linear(self, weights: Weights) -> tuple[Weights, Tensor]:
        """Products of vectors alone: what reads a layer out, times what comes to it from the residual."""
        v = self._downwards(weights)
        f = contract(v[0], weights[0]) @ self.Z.T
        arriving = ((f - self.y) @ self.Z) / self.network.kappa
        gradients = []
        for A, out, scale in zip(weights[:-1], v, (1.0, *self.layer_scales), strict=True):
            gradients.append(scale * out[:, :, None] * arriving[:, None, :])
            arriving = scale * torch.bmm(A, arriving[:, :, None])[:, :, 0]
        return (*gradients, self.readout_scale * arriving), f

    def _of_others(self, weights: Weights) -> tuple[Weights, Tensor]:
        forward = self._upwards(weights, weights[0] @ self.Z.T)
        f = self.readout_scale * contract(weights[-1], forward.features[-1])
        residual = (self.readout_scale / self.network.kappa) * (f - self.y)
        gradients = [torch.bmm(forward.features[-1], residual[:, :, None])[:, :, 0]]
        back = weights[-1][:, :, None] * residual[:, None, :]
        layers = zip(weights[1:-1], forward.hidden[1:], forward.features[:-1], self.layer_scales, strict=True)
        for A, h, below, scale in reversed(list(layers)):
            slopes = scale * self.activation.derivative(h) * back
            gradients.append(slopes @ below.mT)
            back = A.mT @ slopes
        gradients.append((self.activation.derivative(forward.hidden[0]) * back) @ self.Z)
        return tuple(reversed(gradients)), f

    def test_features(self, weights: Weights, generator: Generator) -> Tensor:
        """Return phi of the last hidden layer on the test points, (..., N_L, Q): of linear networks averaged.

        Of others it is a draw over the first layer outside the row space; test points are independent in it, so that
        functions of one point at a time are unbiased.

        Args:
            weights: Of all chains, or of one: without their first dimension.
        """
        h = weights[0] @ self.Z_test.T
        if not self._linear:
            h = h + self.test_residual_sd * torch.empty_like(h).normal_(generator=generator)
        return self._upwards(weights, h).features[-1]

    def test_means(self, weights: Weights, generator: Generator) -> Tensor:
        """Return f at the test points, (chains, Q), averaged or drawn as in `test_features`."""
        if self._linear:
            return contract(self._downwards(weights)[0], weights[0]) @ self.Z_test.T
        return self.readout_scale * contract(weights[-1], self.test_features(weights, generator))

    def test_readout_variance(self, weights: Weights, hidden: Tensor, readout: Readout, generator: Generator) -> Tensor:
        """Return the variance over the readout given the layers, for one chain, (Q,), in float64; of others a draw."""
        return self.readout_variance(self.test_features(weights, generator), hidden, readout)

    def test_residual_variance(self, weights: Weights, generator: Generator) -> Tensor:
        """Return the variance of f about `test_means` for one chain, (Q,): 0 where these are drawn, not averaged."""
        if not self._linear:
            return torch.zeros_like(self.test_residual_sd)
        one = tuple(layer[None] for layer in weights)
        return self._downwards(one)[0].square().sum() * self.test_residual_sd.square()
