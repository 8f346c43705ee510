"""All samplers that are raced have the posterior of msat as their target, each in its own coordinates."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import msat
from benchmarks.cases import Case, observe
from benchmarks.samplers import in_jax, naive, with_posteriors
from msat.geometry import decompose
from msat.langevin.potential import make_potential


@pytest.fixture(scope="module", params=["linear", "erf", "relu"])
def problem(request):
    """A case, its potential in float64, and whitened weights of `naive.NETWORKS` chains."""
    task = msat.tasks.ising(n_train=6, n_test=0, dimension=10, seed=0)
    network = msat.Network(width=5, activation=request.param, chi=3)
    potential = make_potential(decompose(task, network), network)
    generator = torch.Generator().manual_seed(0)
    A = torch.randn(naive.NETWORKS, 5, potential.rank, generator=generator, dtype=torch.float64)
    b = torch.randn(naive.NETWORKS, 5, generator=generator, dtype=torch.float64)
    return SimpleNamespace(case=Case("", "", task, network, None), potential=potential, A=A, b=b)


def test_observables(problem):
    found = observe(problem.case, problem.A, problem.b)
    f = problem.potential.outputs((problem.A, problem.b))
    assert torch.allclose(found["along"], f @ problem.potential.y)
    H = problem.potential.hidden((problem.A, problem.b))
    kernel = H.mT @ H / problem.case.network.width
    y = problem.potential.y
    assert torch.allclose(found["hidden_along"], torch.einsum("p,cpq,q->c", y, kernel, y) / (y @ y))


def test_naive_loop(problem):
    loop = naive.Naive(problem.case, (problem.A, problem.b))
    loop.burn_in()
    D, g_v = problem.case.task.dimension, problem.case.network.g_v
    for (V, w), energy in zip(loop.networks, problem.potential.energy((problem.A, problem.b)), strict=True):
        V, w = V.detach(), w.detach()
        inside = V @ loop.basis
        outside = (V - inside @ loop.basis.T).square().sum() * D / g_v / 2  # of the prior alone
        assert outside > 1
        assert float(loop.potential(V, w) - outside) == pytest.approx(float(energy), rel=1e-4)


def test_posteriors(problem):
    weights = {"A": problem.A.float(), "b": problem.b.float()}
    entrant = with_posteriors.WithPosteriors(problem.case, "SGLD", 0.5, 1.0)
    total = float(problem.potential.energy((problem.A, problem.b)).sum())
    assert float(entrant.log_posterior(weights, None)[0]) == pytest.approx(-total, rel=1e-5)


def test_jax(problem):
    pytest.importorskip("jax")
    energy, observed = in_jax.target(problem.case)
    weights = {"A": problem.A[0].float().numpy(), "b": problem.b[0].float().numpy()}
    expected = problem.potential.energy((problem.A, problem.b))[0]
    assert float(energy(weights)) == pytest.approx(float(expected), rel=1e-5)
    found = [float(value[0]) for value in observe(problem.case, problem.A, problem.b).values()]
    assert np.asarray(observed(weights)) == pytest.approx(found, rel=1e-4)
