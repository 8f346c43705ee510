"""What is raced: one file a sampler or package, each giving `Entrant` objects for a case.

All use 32-bit floats and one thread. A package that is not installed is left out with a line that says so.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np


class Chunk(NamedTuple):
    """A stretch of sampling: steps of all chains together, and the processor seconds that they took."""

    steps: int
    seconds: float


class Entrant(Protocol):
    """A sampler on one case: call `compile`, then `burn_in`, then `advance` any number of times.

    Attributes:
        name: As shown. Of entrants of one name, with other settings, the best is.
        setting: What distinguishes them, and what a reader must know.
        equilibrium: Whether it starts from posterior draws, so that it has no burn-in, and may be shorter than it
            takes its chains to forget them.
        unbiased: Whether its stationary law is the posterior whatever its step.
        series: Draws so far of `benchmarks.cases.OBSERVABLES`, (chains, draws), and of ``best``: what the mean of y.f
            is taken from where that is not the draws.
    """

    name: str
    setting: str
    equilibrium: bool
    unbiased: bool

    def compile(self) -> float:
        """Compile what is compiled before it runs, and return the seconds; 0 for torch."""

    def burn_in(self) -> None:
        """Start, tune and forget the start: what this takes is counted."""

    def advance(self, seconds: float) -> Chunk:
        """Sample for about so many processor seconds."""

    @property
    def series(self) -> dict[str, np.ndarray]:
        """See the class."""
