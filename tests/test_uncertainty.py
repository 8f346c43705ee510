"""Standard errors against arviz-stats: chains of every correlation and length, and those at the edges."""

import numpy as np
import pytest
from arviz_stats.base import array_stats

from msat import uncertainty
from msat.uncertainty import standard_error


def _arviz(blocks):
    return array_stats.mcse(np.moveaxis(blocks, -1, 0), chain_axis=-2, draw_axis=-1, method="mean")


def _ar1(rng, correlation, shape):
    x = rng.normal(size=shape)
    for t in range(1, shape[1]):
        x[:, t] = correlation * x[:, t - 1] + np.sqrt(1 - correlation**2) * x[:, t]
    return x


@pytest.mark.parametrize("length", [4, 5, 6, 7, 8, 9, 31, 128, 255])
@pytest.mark.parametrize("chains", [1, 2, 16])
def test_errors_are_those_of_arviz(chains, length):
    rng = np.random.default_rng(0)
    for correlation in (-0.99, -0.5, 0.0, 0.5, 0.9, 0.999):
        blocks = _ar1(rng, correlation, (chains, length, 40))
        np.testing.assert_allclose(standard_error(blocks), _arviz(blocks), rtol=1e-9)


def test_chains_in_different_places_and_ties():
    rng = np.random.default_rng(1)
    blocks = rng.normal(size=(8, 64, 20)) + 3 * rng.normal(size=(8, 1, 20))
    np.testing.assert_allclose(standard_error(blocks), _arviz(blocks), rtol=1e-9)
    np.testing.assert_allclose(standard_error(np.round(blocks)), _arviz(np.round(blocks)), rtol=1e-9)


def test_what_has_no_error_and_what_never_varies():
    blocks = np.random.default_rng(2).normal(size=(4, 16, 3))
    blocks[1, 3, 0], blocks[2, 5, 1], blocks[..., 2] = np.nan, np.inf, 7.0
    np.testing.assert_array_equal(standard_error(blocks), [np.nan, np.nan, 0.0])
    assert np.isnan(standard_error(blocks[:, :3])).all()
    assert standard_error(blocks[..., :0]).shape == (0,)


def test_shapes_and_parts(monkeypatch):
    """Outputs of any shape, and the same whether all or a few components are transformed at a time."""
    blocks = np.random.default_rng(3).normal(size=(4, 32, 5, 3))
    whole = standard_error(blocks)
    assert whole.shape == (5, 3)
    assert standard_error(blocks[..., 0, 0]).shape == ()
    monkeypatch.setattr(uncertainty, "_ENTRIES", 4 * 32 * 4)
    np.testing.assert_array_equal(standard_error(blocks), whole)
