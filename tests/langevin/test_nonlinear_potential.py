"""Forces and test outputs for every activation."""

import numpy as np
import pytest
import torch

from msat.activations import NAMES as ACTIVATIONS
from msat.activations import get_activation
from msat.geometry import decompose
from msat.langevin.curvature import top_curvature
from msat.langevin.potential import make_potential
from msat.network import Network
from tests.conftest import Z_LIMIT


@pytest.fixture(params=sorted(ACTIVATIONS))
def potential(request, small_task):
    network = Network(width=7, activation=request.param, g_w=1.3, g_v=0.8, kappa_0=0.4, chi=2.0)
    return make_potential(decompose(small_task, network), network)


@pytest.fixture
def state(potential):
    like = {"generator": torch.Generator().manual_seed(0), "dtype": torch.float64}
    return torch.randn(3, 7, potential.rank, **like), torch.randn(3, 7, **like)


def test_forces_are_the_gradient_of_the_potential(potential, state):
    A, b = (tensor.clone().requires_grad_() for tensor in state)
    potential.energy((A, b)).sum().backward()
    (grad_A, grad_b), f = potential.forces(state)
    np.testing.assert_allclose(grad_A.numpy(), A.grad.numpy(), atol=1e-10)
    np.testing.assert_allclose(grad_b.numpy(), b.grad.numpy(), atol=1e-10)
    np.testing.assert_allclose(f.numpy(), potential.outputs(state).numpy(), atol=1e-12)


def test_outputs_are_the_networks(potential, state, small_task):
    phi = potential.activation.phi
    h = state[0].numpy() @ potential.Z.numpy().T
    expected = np.sqrt(potential.network.tau) * np.einsum("ci,cia->ca", state[1].numpy(), phi(h))
    np.testing.assert_allclose(potential.outputs(state).numpy(), expected, atol=1e-12)


def test_smoothed_mean_of_tensors_is_that_of_arrays(potential):
    smoothed = get_activation(potential.network.activation).smoothed_mean
    rng = np.random.default_rng(0)
    m, sd = rng.normal(size=(5, 4)), np.array([0.0, 0.3, 0.7, 1.0])
    expected = smoothed(m, sd)
    np.testing.assert_allclose(smoothed(torch.from_numpy(m), torch.from_numpy(sd)).numpy(), expected, atol=1e-12)
    single = smoothed(torch.from_numpy(m).float(), torch.from_numpy(sd).float()).numpy()
    np.testing.assert_allclose(single, expected, atol=2e-6)


def test_test_outputs_average_over_the_rest_of_the_first_layer(potential, state):
    """Mean and variance given the chain's state, against many draws of the first layer outside the row space."""
    A, b = state[0][1], state[1][1]
    rng = np.random.default_rng(1)
    draws = 40_000
    mean = A.numpy() @ potential.Z_test.numpy().T
    sd = potential.test_residual_sd.numpy()
    f = np.zeros((draws, len(sd)))
    for i in range(7):
        h = mean[i] + sd * rng.normal(size=(draws, len(sd)))
        f += np.sqrt(potential.network.tau) * b[i].item() * potential.activation.phi(h)
    error = f.std(axis=0) / np.sqrt(draws)
    predicted = potential.test_means(state, torch.Generator())[1].numpy()
    assert np.all(np.abs(f.mean(axis=0) - predicted) < Z_LIMIT * error + 1e-4)

    generator = torch.Generator().manual_seed(3)
    estimates = np.array([potential.test_residual_variance((A, b), generator).numpy() for _ in range(4000)])
    spread = np.hypot(estimates.std(axis=0) / np.sqrt(4000), ((f - f.mean(axis=0)) ** 2).std(axis=0) / np.sqrt(draws))
    assert np.all(np.abs(estimates.mean(axis=0) - f.var(axis=0)) < Z_LIMIT * spread + 1e-12)


def test_curvature_of_relu_is_not_fooled_by_its_kinks(small_task):
    """Finite differences that straddle a kink gave curvatures a hundred times too large in some states."""
    network = Network(width=20, activation="relu", kappa_0=0.5, chi=5.0)
    potential = make_potential(decompose(small_task, network), network)
    generator = torch.Generator().manual_seed(0)
    curvatures = []
    for _ in range(40):
        A = torch.randn(1, 20, potential.rank, generator=generator, dtype=torch.float64)
        b = torch.randn(1, 20, generator=generator, dtype=torch.float64)
        n = A.numel()

        def energy(x, shape=A.shape, n=n):
            return potential.energy((x[:n].reshape(shape), x[n:].reshape(1, -1)))[0]

        hessian = torch.autograd.functional.hessian(energy, torch.cat([A.reshape(-1), b.reshape(-1)]))
        curvatures.append((top_curvature(potential, (A, b)), torch.linalg.eigvalsh(hessian)[-1].item()))
    measured, exact = np.array(curvatures).T
    # power iteration approaches the top eigenvalue from below, slowly where the next one is close
    assert np.all(measured < exact * (1 + 1e-6))
    assert np.all(measured > 0.9 * exact)
