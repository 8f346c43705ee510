"""Estimators of precision, on AR(1) chains whose correlation time is known."""

import numpy as np
import pytest

from benchmarks import estimates


def _chains(time: float, chains: int, draws: int, seed: int) -> np.ndarray:
    """Return AR(1) chains in equilibrium with variance 1 and autocorrelation exp(-t/time)."""
    rng = np.random.default_rng(seed)
    decay = np.exp(-1 / time)
    x = np.empty((chains, draws))
    x[:, 0] = rng.normal(size=chains)
    for t in range(1, draws):
        x[:, t] = decay * x[:, t - 1] + np.sqrt(1 - decay**2) * rng.normal(size=chains)
    return x


def test_both_errors_are_right_in_long_chains():
    x = _chains(time=10, chains=8, draws=20_000, seed=0)
    true = np.sqrt(2 * 10 / x.size)
    assert estimates.standard_error(x) == pytest.approx(true, rel=0.1)
    assert estimates.slow_standard_error(x, variance=1.0) == pytest.approx(true, rel=0.1)


def test_correlation_longer_than_the_chain_is_seen_once_the_variance_is_known():
    x = _chains(time=3000, chains=8, draws=1000, seed=1)
    extrapolated = np.sqrt(2 * 3000 / x.size)  # as if chains were long
    assert estimates.slow_standard_error(x, variance=1.0) == pytest.approx(extrapolated, rel=0.25)


def test_two_relaxation_times_are_bounded_from_below():
    fast, slow = _chains(5, 8, 1000, seed=2), _chains(5000, 8, 1000, seed=3)
    x = (fast + slow) / np.sqrt(2)
    true = np.sqrt(2 * (5 + 5000) / 2 / x.size)
    assert estimates.standard_error(x) < estimates.slow_standard_error(x, variance=1.0) < true


def test_time_to_an_error():
    assert estimates.seconds_to(0.01, burn_in=2.0, sampling=8.0, error=0.02) == pytest.approx(34.0)
    assert estimates.seconds_to(0.01, 2.0, 8.0, 0.02, bias=0.006) == pytest.approx(2 + 8 * 4 / 0.64)
    assert estimates.seconds_to(0.01, 2.0, 8.0, 0.001, bias=0.02) == np.inf


def test_a_bias_counts_beyond_three_standard_errors():
    assert estimates.significant(-0.31, 0.1) == pytest.approx(0.31)
    assert estimates.significant(0.29, 0.1) == 0.0
