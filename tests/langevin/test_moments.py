import numpy as np
import pytest
import torch

from msat.langevin import diagnostics
from msat.langevin.moments import CAPACITY, BlockMeans, Sums
from tests.conftest import Z_LIMIT


@pytest.mark.parametrize("count", [3, CAPACITY - 1, CAPACITY, CAPACITY + 2, 5 * CAPACITY])
def test_blocks_keep_the_mean_and_stay_bounded(count):
    values = torch.randn(count, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    blocks = BlockMeans()
    for value in values:
        blocks.append({"x": value})
    assert len(blocks) < CAPACITY
    whole = len(blocks) * blocks.merged
    assert whole + len(blocks.pending) == count
    np.testing.assert_allclose(blocks.array("x").mean(axis=1), values[:whole].mean(dim=0).numpy(), atol=1e-12)


def test_sums():
    sums = Sums()
    sums.add("x", torch.tensor([2.0, 4.0], dtype=torch.float64), 2)
    sums.add("x", torch.tensor([1.0, 2.0], dtype=torch.float64), 1)
    np.testing.assert_allclose(sums.mean("x"), [1.0, 2.0])


def test_standard_error_accounts_for_autocorrelation():
    """AR(1) chains with correlation 0.5 between blocks: the error of the mean is known in closed form."""
    rng = np.random.default_rng(0)
    rho, chains, n, replicas = 0.5, 16, 200, 40
    x = np.empty((replicas, chains, n))
    x[:, :, 0] = rng.normal(size=(replicas, chains)) / np.sqrt(1 - rho**2)
    for t in range(1, n):
        x[:, :, t] = rho * x[:, :, t - 1] + rng.normal(size=(replicas, chains))
    variance = 1 / (1 - rho**2)
    k = np.arange(1, n)
    exact = np.sqrt(variance / (n * chains) * (1 + 2 * np.sum((1 - k / n) * rho**k)))
    estimates = np.array([diagnostics.standard_error(sample) for sample in x])
    naive = x.std(ddof=1) / np.sqrt(n * chains)
    assert np.mean(estimates) == pytest.approx(exact, rel=0.05)
    assert naive < 0.7 * exact  # what a pooled standard deviation would claim
    assert abs(x.mean()) < Z_LIMIT * exact / np.sqrt(replicas)


def test_rhat_sees_a_chain_that_is_elsewhere():
    rng = np.random.default_rng(1)
    blocks = rng.normal(size=(8, 150, 2))
    blocks[3, :, 1] += 2.0
    rhat = diagnostics.rhat(blocks)
    assert rhat[0] < 1.02
    assert rhat[1] > 1.1


def test_error_correlation():
    rng = np.random.default_rng(2)
    common = rng.normal(size=(8, 4000, 1))
    blocks = common * [1.0, 2.0, 0.0] + rng.normal(size=(8, 4000, 3)) * [1.0, 1.0, 1.0]
    correlation = diagnostics.error_correlation(blocks)
    expected = np.array([[1, 2 / np.sqrt(2 * 5), 0], [2 / np.sqrt(2 * 5), 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(correlation, expected, atol=Z_LIMIT / np.sqrt(32000))
