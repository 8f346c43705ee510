"""What a reader of the paper would write: one network at a time, autograd, one step size for both layers.

``theta <- theta - eta grad U + sqrt(2 eta) xi`` on V (N, D) and w (N,) as they stand, in all D inputs. The step is set
by the rule that msat uses, half over the top curvature. The loop would take minutes to burn in, so that it starts from
draws of the posterior; `benchmarks.race` says what burn-in is counted. Its chains may be shorter than it takes them to
forget their start: its precision is extrapolated by `benchmarks.estimates.slow_standard_error`, whose errors are in its
favour.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from benchmarks.cases import OBSERVABLES, Case, observe
from benchmarks.samplers import Chunk
from msat.activations import get_activation

NETWORKS, THIN, SAFETY = 4, 5, 0.5


class Naive:
    """The loop on a case, from whitened posterior draws A (chains, N, r) and b (chains, N)."""

    name, equilibrium, unbiased = "naive loop", True, False
    setting = "one network at a time, extrapolated"

    def __init__(self, case: Case, starts: Sequence[Tensor]) -> None:
        self.case = case
        self.phi = get_activation(case.network.activation).phi
        self.X = torch.tensor(case.task.x_train, dtype=torch.float32)
        self.targets = torch.tensor(case.y, dtype=torch.float32)
        self.generator = torch.Generator().manual_seed(1)
        self._starts = starts
        self._draws: list[list[tuple[float, ...]]] = [[] for _ in range(NETWORKS)]

    def potential(self, V: Tensor, w: Tensor) -> Tensor:
        """Return U of one network."""
        network = self.case.network
        f = self.phi(self.X @ V.T) @ w
        misfit = (self.targets - f).square().sum() / network.kappa
        prior = V.square().sum() * V.shape[1] / network.g_v + w.square().sum() / network.tau
        return (misfit + prior) / 2

    def compile(self) -> float:
        """Return 0: nothing is compiled."""
        return 0.0

    def burn_in(self) -> None:
        """Take the starts into V and w, and set the step; neither is counted."""
        A, b = (layer[:NETWORKS].double() for layer in self._starts)
        network, D = self.case.network, self.X.shape[1]
        # Z = sqrt(g_v/D) X R for an orthonormal basis R (D, r) of the row space; outside it weights have their prior
        scaled = self.case.inputs / math.sqrt(network.g_v / D)
        basis = torch.from_numpy(np.linalg.lstsq(self.case.task.x_train, scaled)[0])
        outside = torch.randn(*A.shape[:2], D, dtype=torch.float64, generator=self.generator)
        outside -= outside @ basis @ basis.T
        V = math.sqrt(network.g_v / D) * (A @ basis.T + outside)
        w = self.case.scale * b
        self.basis = basis.float()
        self.networks = [(v.float().requires_grad_(), u.float().requires_grad_()) for v, u in zip(V, w, strict=True)]
        self.step_size = SAFETY / max(self._curvature(*weights) for weights in self.networks)

    def _curvature(self, V: Tensor, w: Tensor, iterations: int = 40) -> float:
        vectors = [torch.randn(layer.shape, generator=self.generator) for layer in (V, w)]
        norm = 1.0
        for _ in range(iterations):
            size = math.sqrt(sum(float(vector.square().sum()) for vector in vectors))
            vectors = [vector / size for vector in vectors]
            gradients = torch.autograd.grad(self.potential(V, w), (V, w), create_graph=True)
            products = torch.autograd.grad(gradients, (V, w), grad_outputs=vectors)
            norm = math.sqrt(sum(float(product.square().sum()) for product in products))
            vectors = list(products)
        return norm

    def advance(self, seconds: float) -> Chunk:
        """Sample every network in turn."""
        total, aside, began, network = 0, 0.0, time.process_time(), self.case.network
        noise = math.sqrt(2 * self.step_size)
        for index, weights in enumerate(self.networks):
            started, outside = time.process_time(), 0.0
            while time.process_time() - started - outside < seconds / NETWORKS:
                for _ in range(THIN):
                    loss = self.potential(*weights)
                    loss.backward()
                    with torch.no_grad():
                        for layer in weights:
                            layer -= self.step_size * layer.grad
                            layer += noise * torch.randn(layer.shape, generator=self.generator)
                            layer.grad = None
                total += THIN
                marked = time.process_time()
                with torch.no_grad():
                    A = weights[0] @ self.basis / math.sqrt(network.g_v / self.X.shape[1])
                    found = observe(self.case, A, weights[1] / self.case.scale)
                self._draws[index].append(tuple(float(value) for value in found.values()))
                outside += time.process_time() - marked
            aside += outside
        return Chunk(total, time.process_time() - began - aside)

    @property
    def series(self) -> dict[str, np.ndarray]:
        """Draws of every network, as many as the one with the fewest has."""
        fewest = min(len(draws) for draws in self._draws)
        array = np.array([draws[:fewest] for draws in self._draws])
        return {name: array[:, :, k] for k, name in enumerate(OBSERVABLES)}
