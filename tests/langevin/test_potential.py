import numpy as np
import pytest
import torch

from msat.geometry import decompose
from msat.langevin.curvature import top_curvature
from msat.langevin.potential import Readout, make_potential, readout_law
from msat.network import Network


@pytest.fixture
def potential(small_task, small_network):
    return make_potential(decompose(small_task, small_network), small_network)


@pytest.fixture
def state(potential):
    generator = torch.Generator().manual_seed(0)
    like = {"generator": generator, "dtype": torch.float64}
    return torch.randn(3, 7, potential.rank, **like), torch.randn(3, 7, **like)


def test_potential_is_that_of_the_network_in_its_own_coordinates(small_task, small_network, potential, state):
    """U and f from whitened row-space coordinates against eq. (1) with explicit V and w."""
    A, b = (tensor.numpy() for tensor in state)
    U, singular, Rt = np.linalg.svd(small_task.x_train, full_matrices=False)
    V = np.sqrt(small_network.g_v / small_task.dimension) * A @ Rt
    w = np.sqrt(small_network.tau) * b
    f = np.einsum("ci,cij,aj->ca", w, V, small_task.x_train)
    f_test = np.einsum("ci,cij,aj->ca", w, V, small_task.x_test)
    np.testing.assert_allclose(potential.outputs(state).numpy(), f, atol=1e-12)
    np.testing.assert_allclose(potential.test_means(state, torch.Generator()).numpy(), f_test, atol=1e-12)
    prior = (
        np.sum((small_task.y_train - f) ** 2, axis=1) / (2 * small_network.kappa)
        + small_task.dimension * np.sum(V**2, axis=(1, 2)) / (2 * small_network.g_v)
        + small_network.width * np.sum(w**2, axis=1) / (2 * small_network.g)
    )
    np.testing.assert_allclose(potential.energy(state).numpy(), prior, rtol=1e-12)
    outside = small_task.x_test - small_task.x_test @ Rt.T @ Rt
    residual = small_network.g_v / small_task.dimension * np.sum(outside**2, axis=1)
    variance = potential.test_residual_variance((state[0][1], state[1][1]), torch.Generator())
    np.testing.assert_allclose(variance.numpy(), np.sum(w[1] ** 2) * residual, atol=1e-12)
    assert U.shape == (6, len(singular))


def test_forces_are_the_gradient_of_the_potential(potential, state):
    A, b = (tensor.clone().requires_grad_() for tensor in state)
    potential.energy((A, b)).sum().backward()
    (grad_A, grad_b), f = potential.forces(state)
    np.testing.assert_allclose(grad_A.numpy(), A.grad.numpy(), atol=1e-11)
    np.testing.assert_allclose(grad_b.numpy(), b.grad.numpy(), atol=1e-11)
    np.testing.assert_allclose(f.numpy(), potential.outputs(state).numpy(), atol=1e-13)


def test_top_curvature_is_the_largest_hessian_eigenvalue(potential, state):
    largest = []
    for chain in range(3):
        A, b = state[0][chain], state[1][chain]

        def energy(x, shape=A.shape):
            n = shape[0] * shape[1]
            return potential.energy((x[:n].reshape(1, *shape), x[n:].reshape(1, -1)))[0]

        hessian = torch.autograd.functional.hessian(energy, torch.cat([A.reshape(-1), b]))
        largest.append(torch.linalg.eigvalsh(hessian)[-1].item())
    assert top_curvature(potential, state) == pytest.approx(max(largest), rel=0.02)


@pytest.mark.parametrize("width", [4, 9])  # both sides of P = 6: two ways to the same matrix
def test_readout_posterior_given_the_first_layer(small_task, width):
    network = Network(width=width, g_w=0.7, kappa_0=0.3)
    potential = make_potential(decompose(small_task, network), network)
    hidden = torch.randn(2, width, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mean, covariance, readout, square, _ = readout_law(potential, hidden)
    for chain in range(2):
        phi = hidden[chain].numpy()
        precision = np.eye(width) + network.tau / network.kappa * phi @ phi.T
        centre = np.linalg.solve(precision, np.sqrt(network.tau) / network.kappa * phi @ small_task.y_train)
        np.testing.assert_allclose(readout[chain], centre, atol=1e-11)
        assert square[chain].item() == pytest.approx(centre @ centre + np.trace(np.linalg.inv(precision)), rel=1e-11)
        K = network.tau * phi.T @ phi
        noisy = K + network.kappa * np.eye(6)
        np.testing.assert_allclose(mean[chain], K @ np.linalg.solve(noisy, small_task.y_train), atol=1e-11)
        np.testing.assert_allclose(covariance[chain], network.kappa * K @ np.linalg.solve(noisy, np.eye(6)), atol=1e-11)


@pytest.mark.parametrize("width", [4, 9])
@pytest.mark.parametrize("activation", ["linear", "erf"])
def test_variance_over_the_readout_at_test_points(small_task, width, activation):
    """Against the covariance of the readout, written out."""
    network = Network(width=width, activation=activation, g_w=0.7, kappa_0=0.3)
    potential = make_potential(decompose(small_task, network), network)
    generator = torch.Generator().manual_seed(1)
    weights = tuple(
        torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((width, potential.rank), (width,))
    )
    hidden = potential.hidden((weights[0],))
    readout = Readout(*(tensor[0] for tensor in readout_law(potential, hidden[None])))
    found = potential.test_readout_variance(weights, hidden, readout, torch.Generator())
    phi, phi_test = hidden.numpy(), potential.test_hidden(weights[0]).numpy()
    covariance = np.linalg.inv(np.eye(width) + network.tau / network.kappa * phi @ phi.T)
    np.testing.assert_allclose(
        found, network.tau * np.einsum("iq,ij,jq->q", phi_test, covariance, phi_test), atol=1e-12
    )


def test_forces_without_the_prior_leave_the_weights_out(potential, state):
    whole, f = potential.forces(state)
    likelihood, same = potential.forces(state, prior=False)
    assert torch.equal(f, same)
    for gradient, part, layer in zip(whole, likelihood, state, strict=True):
        np.testing.assert_allclose(gradient - layer, part, atol=1e-12)


def test_layers_of_equal_shape_get_different_noise_and_starts(potential):
    from msat.langevin.dynamics import initial_state
    from msat.langevin.settings import LangevinSettings

    _, state = initial_state(potential, LangevinSettings(chains=3), 1, torch.device("cpu"), None)
    assert not torch.equal(state.weights[0][0, :, 0], state.weights[1][0])
    assert not torch.equal(state.memory[0][0, :, 0], state.memory[1][0])
    assert not torch.equal(state.weights[0][0], state.weights[0][2])
