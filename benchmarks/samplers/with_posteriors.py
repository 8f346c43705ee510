"""SGLD and BAOA of `posteriors` (normal computing): 16 chains as one batch of parameters, gradients by autograd.

The log posterior is summed over chains, so that one call advances all. Burn-in ends by the rule of msat: R-hat of the
last of segments that double. Of a few step sizes, in units of what the top curvature allows, the best one is shown;
finding it is not counted.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.cases import OBSERVABLES, Case, observe
from benchmarks.estimates import rhat
from benchmarks.samplers import Chunk
from msat.activations import get_activation

CHAINS, SEGMENT, LONGEST = 16, 32, 8.0  # draws of the first segment of burn-in; most seconds of it
STEPS = {"SGLD": (0.5, 1.0), "BAOA": (0.5, 1.0)}
FRICTION = 1.0  # in units of the prior's frequency
DRAW_EVERY = {"SGLD": 0.25, "BAOA": 0.75}  # between two draws, in time of the dynamics


def missing() -> str:
    """Return why the rows are not there, or nothing."""
    return "" if find_spec("posteriors") else "not installed: pip install 'posteriors' (extra bench)"


class WithPosteriors:
    """One method at one step on a case.

    Args:
        share: Step size times the top curvature (SGLD), or times its root (BAOA).
        curvature: The top one, as msat has measured it.
    """

    equilibrium, unbiased = False, False

    def __init__(self, case: Case, method: str, share: float, curvature: float) -> None:
        self.case, self.method = case, method
        self.name, self.setting = f"posteriors {method}", f"step {share:g} of its scale"
        self.step_size = share / (curvature if method == "SGLD" else math.sqrt(curvature))
        self.every = max(1, round(DRAW_EVERY[method] / self.step_size))
        self._Z = torch.tensor(case.inputs, dtype=torch.float32)
        self._y = torch.tensor(case.y, dtype=torch.float32)
        self._phi = get_activation(case.network.activation).phi
        self._draws: list[np.ndarray] = []

    def log_posterior(self, weights: dict[str, Tensor], _: Any) -> tuple[Tensor, Tensor]:
        """Return -U summed over chains, and nothing else of interest."""
        A, b = weights["A"], weights["b"]
        f = self.case.scale * torch.einsum("cn,cnp->cp", b, self._phi(A @ self._Z.T))
        energy = ((self._y - f).square().sum() / self.case.network.kappa + A.square().sum() + b.square().sum()) / 2
        return -energy, torch.zeros(())

    def compile(self) -> float:
        """Return 0: nothing is compiled."""
        return 0.0

    def burn_in(self) -> None:
        """Start from the prior, and run segments until the chains of one agree."""
        with warnings.catch_warnings(action="ignore"):  # of tensordict, about its next version
            import posteriors

        torch.manual_seed(2)
        shape = (CHAINS, self.case.network.width, self._Z.shape[1])
        weights = {"A": torch.randn(shape), "b": torch.randn(shape[:2])}
        if self.method == "SGLD":
            self._method = posteriors.sgmcmc.sgld.build(self.log_posterior, lr=self.step_size)
        else:
            self._method = posteriors.sgmcmc.baoa.build(self.log_posterior, lr=self.step_size, alpha=FRICTION)
        self._state = self._method.init(weights)
        began, segment, agreed = time.process_time(), SEGMENT, False
        while not agreed and time.process_time() - began < LONGEST:
            self._draws = []
            for _ in range(segment):
                self._draw()
                if not math.isfinite(self._draws[-1].sum()):
                    raise FloatingPointError(f"{self.name} diverged at step size {self.step_size:.3g}")
            agreed = max(rhat(series) for series in self.series.values()) < 1.05
            segment *= 2
        self.setting += "" if agreed else f"; burn-in cut at {LONGEST:g} s"
        self._draws = []

    def _draw(self) -> float:
        """Go on to the next draw, and return the seconds that taking it needs."""
        for _ in range(self.every):
            self._state, _aux = self._method.update(self._state, None)
        started = time.process_time()
        found = observe(self.case, self._state.params["A"], self._state.params["b"])
        self._draws.append(np.array([found[name].numpy() for name in OBSERVABLES], dtype=float))
        return time.process_time() - started

    def advance(self, seconds: float) -> Chunk:
        """Sample."""
        started, aside, steps = time.process_time(), 0.0, 0
        while time.process_time() - started - aside < seconds:
            aside += self._draw()
            steps += self.every
        return Chunk(steps, time.process_time() - started - aside)

    @property
    def series(self) -> dict[str, np.ndarray]:
        """Draws of all chains."""
        array = np.stack(self._draws, axis=-1)
        return dict(zip(OBSERVABLES, array, strict=True))


def entrants(case: Case, curvature: float, methods: Sequence[str] = tuple(STEPS)) -> Iterator[WithPosteriors]:
    """Yield every method at every step."""
    for method in methods:
        for share in STEPS[method]:
            yield WithPosteriors(case, method, share, curvature)
