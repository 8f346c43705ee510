"""Integrators on a quadratic potential, where the law of every step is known."""

import math

import pytest
import torch

from msat.langevin.integrators import INTEGRATORS
from tests.conftest import Z_LIMIT

WALKERS = 400_000


def _stationary_variance(name, curvature, step_size):
    """Variance over independent walkers after the start has been forgotten to below 1e-9."""
    generator = torch.Generator().manual_seed(7)
    x = torch.zeros(WALKERS, dtype=torch.float64)
    noise = torch.randn(WALKERS, generator=generator, dtype=torch.float64)
    for _ in range(math.ceil(-21 / math.log(abs(1 - step_size * curvature)))):
        INTEGRATORS[name]((x,), (curvature * x,), (noise,), step_size, generator)
    return float((x**2).mean())


@pytest.mark.parametrize(("curvature", "step_size"), [(1.0, 0.3), (4.0, 0.3), (2.0, 0.7)])
@pytest.mark.parametrize(
    ("name", "law"),
    [("euler_maruyama", lambda h, eta: 1 / (h * (1 - eta * h / 2))), ("leimkuhler_matthews", lambda h, eta: 1 / h)],
)
def test_stationary_variance_on_a_quadratic(name, law, curvature, step_size):
    expected = law(curvature, step_size)
    error = expected * math.sqrt(2 / WALKERS)
    assert abs(_stationary_variance(name, curvature, step_size) - expected) < Z_LIMIT * error


def test_the_two_laws_are_told_apart():
    """The test above could see the bias: it is many standard errors at these sizes."""
    bias = 1 / (1 - 0.3 / 2) - 1
    assert bias > 20 * Z_LIMIT * math.sqrt(2 / WALKERS) / 5
