"""The No-U-Turn sampler of NumPyro, with its defaults but for the mass matrix: whitened coordinates need none."""

from __future__ import annotations

from typing import Any

from benchmarks.cases import Case
from benchmarks.samplers.in_jax import DRAWS, InJax, missing, target


class Nuts(InJax):
    """NUTS on a case: 4 chains from the prior, warm-up tunes the step to an acceptance of 0.8."""

    name = "NumPyro NUTS"

    def __init__(self, case: Case, warmup: int = 200) -> None:
        super().__init__(case)
        self._warmup = warmup
        self.setting = f"4 chains, {warmup} draws of warm-up"

    def build(self) -> None:
        """Compile a warm-up, and some draws."""
        import jax
        import jax.numpy as jnp
        from numpyro.infer import NUTS

        energy, observed = target(self.case)
        kernel = NUTS(potential_fn=energy, adapt_mass_matrix=False)
        shape = (self.case.network.width, self.case.inputs.shape[1])

        def prior(key: Any) -> dict[str, Any]:
            first, second = jax.random.split(key)
            return {"A": jax.random.normal(first, shape), "b": jax.random.normal(second, shape[:1])}

        def step(state: Any, _: Any) -> tuple[Any, Any]:
            state = kernel.sample(state, (), {})
            return state, observed(state.z)

        key = jax.random.key(0)
        first = kernel.init(key, self._warmup, prior(key), (), {})  # sets the kernel up
        warm = jax.jit(lambda state: jax.lax.scan(step, state, length=self._warmup)[0]).lower(first).compile()
        self.draws = jax.jit(lambda state: jax.lax.scan(step, state, length=DRAWS)).lower(first).compile()

        def start(key: Any) -> Any:
            begin, chain = jax.random.split(key)
            state = kernel.init(chain, self._warmup, prior(begin), (), {})
            return warm(jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), state, first))

        self.start = start


def absent() -> str:
    """Return why the row is not there, or nothing."""
    return missing("jax", "numpyro")
