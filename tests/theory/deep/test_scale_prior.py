"""The prior of the output scale, against closed forms, convolution and sampling."""

import numpy as np
import pytest
from scipy import special, stats

from msat.theory.deep.scale_prior import ScalePrior
from tests.conftest import Z_LIMIT


def _log_chi2(t, width, g):
    """ln of the density of ln(g chi^2_N / N)."""
    half = width / 2
    return half * np.log(half / g) - special.gammaln(half) + half * t - half * np.exp(t) / g


@pytest.mark.parametrize("width", [1, 2, 3, 10, 100, 10_000])
def test_one_layer_is_a_chi_squared_law_to_relative_accuracy_in_its_tails(width):
    t = np.log(0.3) + np.concatenate(
        [np.linspace(-1200 / width - 40 / width**0.5, 0, 400), np.linspace(0, 6 / width**0.5, 100)]
    )
    expected = _log_chi2(t, width, 0.3)
    prior = ScalePrior((width,), 0.3)
    assert expected.min() < -300
    np.testing.assert_allclose(prior.log_density(t), expected, rtol=1e-13, atol=1e-12 + 4 * prior.rounding)


@pytest.mark.parametrize("widths", [(1, 1), (3, 7), (40, 25)])
def test_two_layers_by_convolution(widths):
    """In a float64 sum over a grid of the first gain: log-sum-exp keeps the tails."""
    grid = np.linspace(-520 / min(widths), 6.0, 40_001)
    t = np.linspace(-250 / min(widths), 3.0, 41)
    terms = _log_chi2(grid, widths[0], 1.0) + _log_chi2(t[:, None] - grid, widths[1], 0.7)
    expected = special.logsumexp(terms, axis=1) + np.log(grid[1] - grid[0])
    np.testing.assert_allclose(ScalePrior(widths, 0.7).log_density(t), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("widths", [(2, 3, 1), (5, 5, 5), (1, 400, 7)])
def test_it_is_normalised_and_has_the_moments_of_the_product(widths):
    prior, g = ScalePrior(widths, 2.0), 2.0
    t = np.linspace(-110 / min(widths), 14, 3001)
    p = np.exp(prior.log_density(t)) * (t[1] - t[0])
    assert p.sum() == pytest.approx(1, abs=1e-10)
    halves = np.array(widths) / 2
    assert p @ t == pytest.approx(np.log(g) + np.sum(special.psi(halves) - np.log(halves)), abs=1e-9)
    # E[r_l | t] averages to 1, and times s to the mean of s r_l
    averages = prior.averages(t, np.eye(3))
    np.testing.assert_allclose(averages @ p, 1.0, rtol=1e-9)
    np.testing.assert_allclose(averages @ (p * np.exp(t)), g * (1 + 1 / halves), rtol=1e-6)
    np.testing.assert_allclose(prior.averages(t, np.ones((1, 3)))[0], np.exp(t) / g, rtol=1e-9, atol=1e-12)


def test_conditional_averages_by_sampling():
    rng, widths = np.random.default_rng(3), (3, 8)
    r = rng.chisquare(widths, size=(400_000, 2)) / widths
    t = np.log(0.5) + np.log(r).sum(axis=1)
    prior = ScalePrior(widths, 0.5)
    for low, high in ((-3.0, -2.5), (-1.0, -0.8), (0.2, 0.5)):
        inside = (t > low) & (t < high)
        expected = prior.averages(t[inside][:20_000], np.eye(2))
        difference = r[inside][:20_000].T - expected
        error = difference.std(axis=1) / np.sqrt(difference.shape[1])
        assert np.all(np.abs(difference.mean(axis=1)) < Z_LIMIT * error)
    cells = np.linspace(-4, 1.5, 12)
    counts, _ = np.histogram(t, cells)
    fine = np.linspace(-4, 1.5, 1101)
    p = np.exp(prior.log_density(fine))
    shares = [np.trapezoid(p[100 * k : 100 * k + 101], dx=fine[1] - fine[0]) for k in range(11)]
    chi2 = np.sum((counts - len(t) * np.array(shares)) ** 2 / (len(t) * np.array(shares)))
    assert chi2 < stats.chi2(11).isf(1e-6)
