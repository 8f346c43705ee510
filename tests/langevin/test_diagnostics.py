"""R-hat against arviz-stats, its noise against closed forms, and chains that have or have not mixed."""

import numpy as np
import pytest
from arviz_stats.base import array_stats

from msat.langevin import diagnostics
from msat.langevin.diagnostics import RHAT_LIMIT, mixing

KINDS = ["prior", "zero", "informed", "theory"] * 4
COMPONENTS = 20


def ar1(rng, tau, shape):
    """Stationary AR(1) series of unit variance along axis 1, with 1 + 2 sum of autocorrelations = tau."""
    rho = (tau - 1) / (tau + 1)
    x = rng.normal(size=shape)
    for t in range(1, shape[1]):
        x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * x[:, t]
    return x


@pytest.mark.parametrize("blocks", [64, 65])
@pytest.mark.parametrize(
    "transform", [lambda x: x, np.round, lambda x: np.maximum(x, 0)], ids=["plain", "ties", "kink"]
)
def test_rhat_and_nested_are_those_of_arviz(blocks, transform):
    x = transform(np.random.default_rng(0).normal(size=(16, blocks, 5)) + 0.2 * np.arange(16)[:, None, None] % 3)
    components = np.moveaxis(x, -1, 0)
    judged = mixing(x, KINDS)
    expected = array_stats.rhat(components, chain_axis=-2, draw_axis=-1, method="rank")
    np.testing.assert_allclose(diagnostics.rhat(x), expected, rtol=1e-12)
    np.testing.assert_allclose(judged.rhat, expected, rtol=1e-12)
    ids = np.arange(16) % 4
    nested = array_stats.rhat_nested(components, superchain_ids=ids, chain_axis=-2, draw_axis=-1, method="rank")
    np.testing.assert_allclose(judged.nested, nested, rtol=1e-12)


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0, 4.0])
def test_noise_is_that_of_the_autocorrelation(tau):
    """The predicted variance of the mean of half an AR(1) chain, averaged over 200 replicas, within 10 %."""
    half = 64
    x = ar1(np.random.default_rng(1), tau, (16, 2 * half, 200))
    noise = diagnostics._noise(np.moveaxis(x, -1, 0))
    rho = (tau - 1) / (tau + 1)
    lags = np.arange(1, half)
    exact = (1 + 2 * np.sum((1 - lags / half) * rho**lags)) / half
    assert np.mean(noise.half) == pytest.approx(exact, rel=0.1)


def test_mixed_chains_are_mixed_where_the_old_rule_saw_its_own_noise():
    """768 and 896 effective draws; by the rule noise spoils one look in 1000."""
    rng = np.random.default_rng(2)
    for tau, blocks in [(2.0, 96), (4.0, 224)] * 8:
        judged = mixing(ar1(rng, tau, (16, blocks, COMPONENTS)), KINDS)
        assert judged.mixed
        assert judged.worst == 1
        assert judged.rhat.max() > RHAT_LIMIT


def test_a_chain_elsewhere_is_seen_and_named():
    x = np.random.default_rng(3).normal(size=(16, 64, COMPONENTS))
    x[5, :, 7] += 2
    judged = mixing(x, KINDS)
    assert not judged.mixed
    assert judged.worst == judged.excess[7] == judged.rhat[7]
    assert np.all(np.delete(judged.excess, 7) == 1)


def test_a_chain_of_another_spread_is_seen_in_the_tails():
    x = np.random.default_rng(4).normal(size=(16, 64, COMPONENTS))
    x[5, :, 7] *= 0.1
    judged = mixing(x, KINDS)
    assert not judged.mixed
    assert np.argmax(judged.excess) == 7


def test_memory_of_the_start_is_seen_by_superchains_where_halves_are_blind():
    """Kinds 0.14 deviations apart: variance of superchains 13 times their noise, that of half chains 1.6 times."""
    x = np.random.default_rng(5).normal(size=(32, 48, 1))
    x += 0.14 * (np.arange(32) % 4 - 1.5)[:, None, None]
    judged = mixing(x, KINDS * 2)
    assert not judged.mixed
    assert judged.worst == judged.nested[0] > RHAT_LIMIT
    alone = mixing(x, ["prior"] * 32)
    assert alone.mixed
    assert np.isnan(alone.nested).all()


def test_superchains_need_four_chains_of_every_kind():
    x = np.random.default_rng(6).normal(size=(16, 64, 2))
    assert np.isnan(mixing(x, KINDS[:13] + ["prior"] * 3).nested).all()
    assert np.isfinite(mixing(x, [("prior", "zero", "informed")[i % 3] for i in range(16)]).nested).all()


@pytest.mark.parametrize("tau", [20, 200, 2000])
def test_slow_chains_that_still_agree_have_not_mixed(tau):
    """Chains that start in one place and hardly move agree with each other: effective draws are too few."""
    rng = np.random.default_rng(7)
    rho = (tau - 1) / (tau + 1)
    x = rng.normal(size=(16, 128, 3)) * np.sqrt(1 - rho**2)
    for t in range(1, 128):
        x[:, t] += rho * x[:, t - 1]
    assert not mixing(x, KINDS).mixed


def test_what_never_varies_has_mixed_and_what_is_not_finite_has_not():
    x = np.random.default_rng(8).normal(size=(16, 64, 3))
    x[..., 1] = 3.0
    judged = mixing(x, KINDS)
    assert judged.mixed
    assert judged.rhat[1] == judged.nested[1] == judged.excess[1] == 1
    x[2, 5, 1] = np.nan
    assert not mixing(x, KINDS).mixed
    assert np.isnan(mixing(x, KINDS).worst)
    assert mixing(np.zeros((16, 64, 2)), KINDS).mixed


def test_chains_that_stand_still_in_different_places_have_not_mixed():
    x = np.broadcast_to(np.arange(16.0)[:, None, None], (16, 64, 1))
    judged = mixing(x, KINDS)
    assert not judged.mixed
    assert judged.worst > 100


@pytest.mark.parametrize("chains", [1, 2, 3, 16])
@pytest.mark.parametrize("blocks", [1, 2, 3, 5, 15])
def test_few_chains_or_blocks_have_not_mixed(chains, blocks):
    x = np.random.default_rng(9).normal(size=(chains, blocks, 2))
    assert not mixing(x, KINDS[:chains]).mixed
    assert diagnostics.rhat(x).shape == (2,)


def test_two_chains_of_many_blocks_are_shown_their_rhat():
    x = np.random.default_rng(10).normal(size=(2, 64, 2))
    judged = mixing(x, KINDS[:2])
    assert not judged.mixed
    assert judged.worst == judged.rhat.max()


def test_two_values_mix():
    """All draws are equally far from the median: the tails say nothing, the bulk decides."""
    x = np.random.default_rng(11).choice([-1.0, 1.0], size=(16, 64, 4))
    assert mixing(x, KINDS).mixed
    x[:4, :, 2] = 1.0
    assert not mixing(x, KINDS).mixed


def test_draws_that_repel_each_other_are_not_counted_as_infinitely_many():
    noise = diagnostics._noise(np.moveaxis(ar1(np.random.default_rng(12), 0.01, (16, 64, 10)), -1, 0))
    np.testing.assert_allclose(16 * noise.variance / noise.chain, 16 * 64 * np.log10(16 * 64), rtol=1e-12)
    assert np.all(noise.half > 0)


def test_infinite_draws_have_not_mixed():
    x = np.random.default_rng(13).normal(size=(16, 64, 2))
    x[3, :, 1] = np.inf
    judged = mixing(x, KINDS)
    assert not judged.mixed
    assert np.isnan(judged.rhat[1])
    assert np.isfinite(judged.rhat[0])
