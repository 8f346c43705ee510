"""What the samplers written in JAX share: the target in 32-bit floats, and chains run one after the other.

One chain at a time wastes nothing on a CPU: in a batch of NUTS chains all wait for the longest tree. Everything is
compiled ahead, and the seconds of that are said and not counted.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks.cases import OBSERVABLES, Case
from benchmarks.samplers import Chunk

CHAINS, DRAWS = 4, 5  # draws of one call


def missing(*packages: str) -> str:
    """Return which of the packages is not there, or nothing."""
    absent = [package for package in packages if find_spec(package) is None]
    return f"not installed: pip install {' '.join(absent)} (extra bench)" if absent else ""


def target(case: Case) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return U and the observables, stacked, as functions of whitened weights ``{"A": (N, r), "b": (N,)}``."""
    import jax
    import jax.numpy as jnp

    phi = {"linear": lambda h: h, "erf": jax.scipy.special.erf, "relu": jax.nn.relu}[case.network.activation]
    Z, y = jnp.asarray(case.inputs, jnp.float32), jnp.asarray(case.y, jnp.float32)
    scale, kappa, tau = case.scale, case.network.kappa, case.network.tau

    def energy(weights: Any) -> Any:
        f = scale * (weights["b"] @ phi(weights["A"] @ Z.T))
        return (jnp.sum((y - f) ** 2) / kappa + jnp.sum(weights["A"] ** 2) + jnp.sum(weights["b"] ** 2)) / 2

    def observed(weights: Any) -> Any:
        along = phi(weights["A"] @ Z.T) @ y
        return jnp.stack(
            [scale * weights["b"] @ along, tau * jnp.sum(weights["b"] ** 2), jnp.mean(along**2) / jnp.sum(y**2)]
        )

    return energy, observed


class InJax(ABC):
    """Chains of a kernel: subclasses give `start`, which tunes a chain, and `draws`, which moves it by `DRAWS` draws.

    Both are compiled functions: ``start(key) -> chain`` and ``draws(chain) -> (chain, observables (DRAWS, 3))``.
    """

    name, setting, equilibrium, unbiased = "", "", False, True
    start: Callable[[Any], Any]
    draws: Callable[[Any], Any]

    def __init__(self, case: Case) -> None:
        self.case = case
        self._chains: list[Any] = []
        self._found: list[list[np.ndarray]] = [[] for _ in range(CHAINS)]

    @abstractmethod
    def build(self) -> None:
        """Compile `start` and `draws`."""

    def compile(self) -> float:
        """Return the seconds that compiling takes."""
        started = time.process_time()
        self.build()
        return time.process_time() - started

    def burn_in(self) -> None:
        """Start and tune all chains."""
        import jax

        self._chains = [jax.block_until_ready(self.start(key)) for key in jax.random.split(jax.random.key(3), CHAINS)]

    def advance(self, seconds: float) -> Chunk:
        """Sample all chains in turn; a step is a draw of one chain."""
        import jax

        started, steps = time.process_time(), 0
        while time.process_time() - started < seconds:
            for index, chain in enumerate(self._chains):
                self._chains[index], found = jax.block_until_ready(self.draws(chain))
                self._found[index].append(np.asarray(found, dtype=float))
                steps += DRAWS
        return Chunk(steps, time.process_time() - started)

    @property
    def series(self) -> dict[str, np.ndarray]:
        """Draws of all chains."""
        array = np.stack([np.concatenate(found) for found in self._found])
        return {name: array[:, :, k] for k, name in enumerate(OBSERVABLES)}
