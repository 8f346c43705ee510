import numpy as np
import pytest

from msat.network import Network
from msat.theory.scale_mixture import ScaleMixture


def test_both_modes_are_found():
    """For N below the rank there can be two modes (docs/theory.md, section 3): both must be integrated."""
    y = np.array([3.0] * 29 + [30.0])
    mixture = ScaleMixture(lam=np.array([100.0] * 29 + [0.01]), y=y, network=Network(width=3, g_w=1.0, kappa_0=1.0))
    brute = np.linspace(-60, 25, 2_000_001)
    values = mixture.exponent(brute)
    assert np.sum((values[1:-1] > values[:-2]) & (values[1:-1] > values[2:])) == 2
    direct = values.max() + np.log(np.sum(np.exp(values - values.max())) * (brute[1] - brute[0]))
    quadrature = mixture.quadrature()
    assert quadrature.converged
    assert quadrature.log_evidence - mixture.log_constant == pytest.approx(direct, abs=1e-9)
    assert mixture.mode() == pytest.approx(brute[np.argmax(values)], abs=1e-4)


def test_slope_and_curvature_of_the_exponent():
    rng = np.random.default_rng(4)
    mixture = ScaleMixture(
        lam=rng.uniform(0, 3, 6), y=rng.normal(size=6), network=Network(width=4, g_w=0.7, kappa_0=0.2)
    )
    h = 1e-4
    for t in (-2.0, 0.3, 1.5):
        below, at, above = mixture.exponent(np.array([t - h, t, t + h]))
        slope, curvature = mixture.derivatives(t)
        assert slope == pytest.approx((above - below) / (2 * h), abs=1e-6)
        assert curvature == pytest.approx((above - 2 * at + below) / h**2, abs=1e-5)
