"""The samplers of msat as `msat.train` runs them, 16 chains in a batch, stopped between two blocks.

Observables are drawn at the end of every block, at no cost to the sampler; y.f is also averaged over all steps of a
block by msat itself. Its best mean, `best`, averages the readout in closed form (Rao-Blackwell).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.cases import OBSERVABLES, Case, observe
from benchmarks.samplers import Chunk
from msat.langevin import ensemble
from msat.langevin.samplers import NAMES
from msat.langevin.settings import LangevinSettings

UNBIASED = ("hmc",)


class _Enough(Exception):  # noqa: N818
    """Raised between two blocks to stop a run, which can go on from its state."""


class OfMsat:
    """One sampler of msat on a case."""

    setting, equilibrium = "", False

    def __init__(self, case: Case, name: str, seed: int = 0) -> None:
        self.case, self.name, self.unbiased = case, name, name in UNBIASED
        self._settings = LangevinSettings(sampler=name, device="cpu", target_error=1e-12, max_steps=10**9)
        self._seed = seed
        self._draws: dict[str, list[np.ndarray]] = {observable: [] for observable in OBSERVABLES}
        self._left = 0.0  # processor time at which to stop
        self._aside = 0.0  # spent on the draws

    def compile(self) -> float:
        """Return 0: nothing is compiled."""
        return 0.0

    def burn_in(self) -> None:
        """Run until msat calls the chains burnt in."""
        task, network = self.case.task, self.case.network
        key = ensemble.key(network, task.digest(), self._seed, self._settings.sampler)
        self.potential, self.state = ensemble.begin(
            self.case.geometry, network, self._settings, key, torch.device("cpu")
        )
        self._run(lambda: self.state.phase != "burn_in")

    def advance(self, seconds: float) -> Chunk:
        """Go on from where the chains are."""
        before, started, self._aside = self.state.steps, time.process_time(), 0.0
        end = started + seconds
        self._run(lambda: self.state.steps > before and time.process_time() - self._aside > end)
        return Chunk(self.state.steps - before, time.process_time() - started - self._aside)

    def _run(self, enough: Any) -> None:
        known = self.state.steps

        def on_block(state: Any, _: Any) -> None:
            nonlocal known
            started = time.process_time()
            if state.steps > known:
                known = state.steps
                for name, values in observe(self.case, *state.weights).items():
                    self._draws[name].append(values.double().numpy().copy())
            self._aside += time.process_time() - started
            if enough():
                raise _Enough

        try:
            ensemble.finish(self.case.geometry, self.potential, self._settings, self.state, None, on_block)
        except _Enough:
            return

    @property
    def weights(self) -> tuple[torch.Tensor, ...]:
        """Where the chains are: (chains, N, r) and (chains, N)."""
        return self.state.weights

    @property
    def ends(self) -> dict[str, np.ndarray]:
        """All observables at the ends of blocks, (chains, blocks): draws of the posterior."""
        return {name: np.stack(values, axis=1) for name, values in self._draws.items()}

    @property
    def series(self) -> dict[str, np.ndarray]:
        """Draws of the other observables, y.f averaged over the steps of every block, and its Rao-Blackwell mean."""
        blocks, length = self.state.blocks, np.linalg.norm(self.case.y)
        return {**self.ends, "along": length * blocks.array("along_draws"), "best": length * blocks.array("along")}


def entrants(case: Case) -> Iterator[OfMsat]:
    """Yield every sampler of msat, the paper's first."""
    for name in NAMES:
        yield OfMsat(case, name)
