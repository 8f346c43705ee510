"""Several hidden layers: gradients against autograd, outputs against the network itself, averages over draws."""

import numpy as np
import pytest
import torch

import msat
from msat.activations import get_activation
from msat.geometry import decompose
from msat.langevin.potential import make_potential, readout_law
from msat.langevin.starts import STARTS, starting_points
from tests.conftest import Z_LIMIT

DEEP = [((4, 3), (1.7,)), ((3, 5, 2), (0.6, 1.4))]
ACTIVATIONS = ["linear", "erf", "relu"]


def _potential(task, widths, g_hidden, activation):
    network = msat.Network(
        width=widths, activation=activation, g_w=1.3, g_v=0.8, kappa_0=0.4, chi=2.0, g_hidden=g_hidden
    )
    return make_potential(decompose(task, network), network)


def _weights(potential, chains=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    widths = potential.network.widths
    shapes = [*zip(widths, (potential.rank, *widths), strict=False), (widths[-1],)]
    return tuple(torch.randn(chains, *shape, generator=generator, dtype=torch.float64) for shape in shapes)


def _of_network(task, potential, weights, chain, x_hidden):
    """f and hidden layers of one chain by the definition, from pre-activations of the first layer (N_1, points)."""
    network, phi = potential.network, get_activation(potential.network.activation).phi
    layers = [phi(x_hidden)]
    for A, g, below in zip(weights[1:-1], network.g_hidden, network.widths, strict=False):
        layers.append(phi(np.sqrt(g / below) * A[chain].numpy() @ layers[-1]))
    return np.sqrt(network.g / network.widths[-1]) * weights[-1][chain].numpy() @ layers[-1], layers


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("widths", "g_hidden"), DEEP)
def test_outputs_are_those_of_the_network(small_task, widths, g_hidden, activation):
    potential = _potential(small_task, widths, g_hidden, activation)
    weights = _weights(potential)
    found, hidden = potential.outputs(weights), potential.hidden_layers(weights)
    for chain in range(3):
        f, layers = _of_network(small_task, potential, weights, chain, (weights[0][chain] @ potential.Z.T).numpy())
        np.testing.assert_allclose(found[chain], f, rtol=1e-12)
        for mine, other in zip(hidden, layers, strict=True):
            np.testing.assert_allclose(mine[chain], other, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(potential.hidden(weights), hidden[-1])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("widths", "g_hidden"), DEEP)
@pytest.mark.parametrize("prior", [True, False])
def test_forces_are_the_gradient_of_the_energy(small_task, widths, g_hidden, activation, prior):
    potential = _potential(small_task, widths, g_hidden, activation)
    weights = tuple(layer.requires_grad_() for layer in _weights(potential))
    misfit = ((potential.outputs(weights) - potential.y) ** 2).sum() / (2 * potential.network.kappa)
    whole = misfit + prior * sum((layer**2).sum() for layer in weights) / 2
    expected = torch.autograd.grad(whole, weights)
    forces, f = potential.forces(tuple(layer.detach() for layer in weights), prior=prior)
    torch.testing.assert_close(forces, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(f, potential.outputs(weights).detach())
    if prior:
        torch.testing.assert_close(potential.energy(weights).sum(), whole)


def test_energy_by_finite_differences(small_task):
    potential = _potential(small_task, (3, 2), (1.5,), "erf")
    weights = _weights(potential, chains=1)
    forces, _ = potential.forces(weights)
    for layer, force in zip(weights, forces, strict=True):
        for index in np.ndindex(*layer.shape):
            ends = []
            for step in (1e-6, -1e-6):
                layer[index] += step
                ends.append(float(potential.energy(weights)))
                layer[index] -= step
            assert float(force[index]) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("activation", ["linear", "erf"])
def test_averages_at_test_points_are_those_over_the_rest_of_the_first_layer(small_task, activation):
    """Mean and variance of f at test points, readout and the first layer outside the row space drawn by brute force."""
    potential = _potential(small_task, (3, 4), (1.5,), activation)
    draws = 200_000
    weights, generator = _weights(potential, chains=1), torch.Generator().manual_seed(3)
    many = tuple(layer.expand(draws, *layer.shape[1:]) for layer in weights)
    law = readout_law(potential, potential.hidden(weights))
    one = tuple(layer[0] for layer in weights)
    of_one = type(law)(*(tensor[0] for tensor in law))
    noise = torch.randn(draws, *one[0].shape[:1], len(potential.Z_test), generator=generator, dtype=torch.float64)
    h = weights[0] @ potential.Z_test.T + potential.test_residual_sd * noise
    features = potential._upwards(many, h).features[-1]
    phi = potential.readout_scale * potential.hidden(one)
    covariance = torch.linalg.inv(torch.eye(4, dtype=torch.float64) + phi @ phi.T / potential.network.kappa)
    b = law.mean + torch.randn(draws, 4, generator=generator, dtype=torch.float64) @ torch.linalg.cholesky(covariance).T
    f = (potential.readout_scale * torch.einsum("dn,dnq->dq", b, features)).numpy()

    means = potential.test_means((*many[:-1], law.mean.expand(draws, -1)), generator).numpy()
    spread = np.hypot(f.std(axis=0), means.std(axis=0)) / np.sqrt(draws)
    assert np.all(np.abs(f.mean(axis=0) - means.mean(axis=0)) < Z_LIMIT * spread)

    parts = []
    for draw in range(2000):
        drawn = (*one[:-1], b[draw])
        parts.append(
            potential.test_readout_variance(drawn, potential.hidden(one), of_one, generator)
            + potential.test_residual_variance(drawn, generator)
        )
    estimate = torch.stack(parts).numpy()
    variance = estimate.mean(axis=0) + means.var(axis=0)
    squares = [(array - array.mean(axis=0)) ** 2 for array in (f, means)]
    noise = [np.std(array, axis=0) / np.sqrt(len(array)) for array in (estimate, *squares)]
    assert np.all(np.abs(variance - squares[0].mean(axis=0)) < Z_LIMIT * np.linalg.norm(noise, axis=0))


@pytest.mark.parametrize(("widths", "g_hidden"), [((5,), ()), *DEEP])
def test_informed_start_carries_the_fit(small_task, widths, g_hidden):
    potential = _potential(small_task, widths, g_hidden, "linear")
    prior, informed = (starting_points(potential, 3, torch.Generator().manual_seed(1), None) for _ in range(2))
    assert all(bool((layer[STARTS.index("zero")] == 0).all()) for layer in informed)
    torch.testing.assert_close(prior, informed)
    generator = torch.Generator().manual_seed(1)
    drawn = [torch.empty_like(layer).normal_(generator=generator) for layer in informed]
    added = tuple((new - old)[2:3] for new, old in zip(informed, drawn, strict=True))
    norms = [float(layer.norm()) for layer in added]
    np.testing.assert_allclose(norms, norms[0], rtol=1e-10)
    fit = torch.linalg.lstsq(potential.Z, potential.y[:, None]).solution[:, 0]
    torch.testing.assert_close(potential.outputs(added)[0], potential.Z @ fit)
