"""Adjusted microcanonical Langevin (MCLMC with a Metropolis test) of blackjax, tuned by its own adaptation."""

from __future__ import annotations

from typing import Any

from benchmarks.cases import Case
from benchmarks.samplers.in_jax import DRAWS, InJax, missing, target

ACCEPTANCE = 0.9
LENGTHS = {1.0: 2.0, 10.0: 6.0}  # mean leapfrogs of a trajectory by chi, the best found: blackjax's default is 2
LONGEST = 16.0  # at other scales


class Mclmc(InJax):
    """Adjusted MCLMC on a case: 4 chains from the prior, each tuned by itself.

    Args:
        tuning: Draws of tuning at the longest length; as many leapfrogs at others.
    """

    name = "blackjax MCLMC"

    def __init__(self, case: Case, tuning: int = 150) -> None:
        super().__init__(case)
        length = LENGTHS.get(case.network.chi, LONGEST)
        self._length, self._tuning = length, round(tuning * LONGEST / length)
        self.setting = f"4 chains, {length:g} leapfrogs, {self._tuning} draws of tuning"

    def build(self) -> None:
        """Compile tuning, and some draws."""
        import blackjax
        import jax
        from blackjax.mcmc import adjusted_mclmc_dynamic as mclmc

        energy, observed = target(self.case)
        shape = (self.case.network.width, self.case.inputs.shape[1])
        kernel = mclmc.build_kernel(integration_steps_fn=mclmc.make_random_trajectory_length_fn(True))

        def density(weights: Any) -> Any:
            return -energy(weights)

        def start(key: Any) -> Any:
            first, second, own, tune, chain = jax.random.split(key, 5)
            weights = {"A": jax.random.normal(first, shape), "b": jax.random.normal(second, shape[:1])}
            state, tuned, _ = blackjax.adjusted_mclmc_find_L_and_step_size(
                mclmc_kernel=kernel,
                logdensity_fn=density,
                num_steps=self._tuning,
                state=mclmc.init(weights, density, own),
                rng_key=tune,
                target=ACCEPTANCE,
                frac_tune1=0.5,
                frac_tune2=0.5,
                diagonal_preconditioning=False,
                target_num_integration_steps=self._length,
            )
            return state, tuned, chain

        def draws(chain: Any) -> Any:
            state, tuned, key = chain
            following, *keys = jax.random.split(key, DRAWS + 1)

            def step(state: Any, key: Any) -> tuple[Any, Any]:
                parameters = (tuned.L / tuned.step_size,)
                state, _ = kernel(
                    key,
                    state,
                    density,
                    tuned.step_size,
                    inverse_mass_matrix=tuned.inverse_mass_matrix,
                    integration_steps_params=parameters,
                )
                return state, observed(state.position)

            state, found = jax.lax.scan(step, state, jax.numpy.stack(keys))
            return (state, tuned, following), found

        key = jax.random.key(0)
        self.start = jax.jit(start).lower(key).compile()
        self.draws = jax.jit(draws).lower(jax.eval_shape(start, key)).compile()


def absent() -> str:
    """Return why the row is not there, or nothing."""
    return missing("jax", "blackjax")
