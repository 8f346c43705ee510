"""The studies of benchmarks/calibration.py at the size of a test, and that they see an error."""

import numpy as np
import pytest
import scipy.stats

from benchmarks.calibration import ALARM, ranks, uniform, z_scores
from msat.langevin.samplers import NAMES

pytestmark = pytest.mark.slow

TESTS = 6 * 2 * len(NAMES)  # quantities, activations, samplers


@pytest.mark.parametrize("activation", ["linear", "erf"])
@pytest.mark.parametrize("sampler", NAMES)
def test_ranks_of_known_weights_are_uniform(sampler, activation):
    found, correlations = ranks(sampler, activation, replicas=1000, seed=3)
    assert max(correlations.values()) < 0.1  # draws are nearly independent
    assert min(map(uniform, found.values())) > ALARM / TESTS


def test_ranks_see_an_error_of_the_noise():
    """Half as much label noise again as made the labels."""
    found, _ = ranks("hmc", "erf", replicas=2000, seed=3, kappa_factor=1.5)
    assert uniform(found["misfit"]) < ALARM / TESTS
    assert uniform(found["along_y"]) < ALARM / TESTS


def test_hmc_on_linear_networks_scores_as_it_states():
    """Ten runs, two for each setting: the sum of squares of z follows chi-squared."""
    for name, z in z_scores(2, steps=128).items():
        # errors come from a run each: their own noise makes z follow a t law, whose squares are larger by a tenth
        low, high = scipy.stats.chi2.ppf([ALARM / 12, 1 - ALARM / 12], z.size)
        assert low < np.sum(z**2) < 1.1 * high, name
        assert abs(z.mean()) * np.sqrt(z.size) < 1.1 * scipy.stats.norm.isf(ALARM / 12), name
