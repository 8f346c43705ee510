"""The potential, its forces, the law of the readout and what is measured, with several outputs."""

import numpy as np
import pytest
import torch

from msat.geometry import decompose
from msat.langevin.curvature import top_curvature
from msat.langevin.dynamics import initial_state
from msat.langevin.moments import SEVERAL, BlockMeans, Sums, record
from msat.langevin.potential import make_potential, readout_law
from msat.langevin.settings import LangevinSettings
from msat.langevin.starts import start_names, starting_points
from msat.network import Network
from msat.tasks.base import Task

OUTPUTS, CHAINS = 3, 4


def _task(outputs=None):
    """Six samples with three outputs, or with one of them."""
    rng = np.random.default_rng(3)
    x, x_test = rng.normal(size=(6, 9)), rng.normal(size=(4, 9))
    y, y_test = rng.normal(size=(6, OUTPUTS)), rng.normal(size=(4, OUTPUTS))
    return Task(x, y, x_test, y_test) if outputs is None else Task(x, y[:, outputs], x_test, y_test[:, outputs])


def _potential(task, activation="linear", width=7):
    network = Network(width=width, activation=activation, g_w=1.3, g_v=0.8, kappa_0=0.4, chi=2.0)
    return make_potential(decompose(task, network), network)


def _weights(potential, width=7):
    generator = torch.Generator().manual_seed(0)
    like = {"generator": generator, "dtype": torch.float64}
    return torch.randn(CHAINS, width, potential.rank, **like), torch.randn(CHAINS, width, OUTPUTS, **like)


@pytest.mark.parametrize("activation", ["linear", "erf", "relu"])
@pytest.mark.parametrize("prior", [True, False])
def test_forces_are_the_gradient_of_the_potential(activation, prior):
    potential = _potential(_task(), activation)
    weights = _weights(potential)
    A, b = (layer.clone().requires_grad_() for layer in weights)
    energy = potential.energy((A, b)).sum() - (0 if prior else (A.square().sum() + b.square().sum()) / 2)
    energy.backward()
    (grad_A, grad_b), f = potential.forces(weights, prior)
    np.testing.assert_allclose(grad_A.numpy(), A.grad.numpy(), atol=1e-11)
    np.testing.assert_allclose(grad_b.numpy(), b.grad.numpy(), atol=1e-11)
    np.testing.assert_allclose(f.numpy(), potential.outputs(weights).numpy(), atol=1e-13)


@pytest.mark.parametrize("activation", ["linear", "erf"])
def test_outputs_share_the_first_layer_and_nothing_else(activation):
    """Each output, its force on its readout and its test means are those of a network with this output alone."""
    whole = _potential(_task(), activation)
    A, b = _weights(whole)
    (grad_A, grad_b), f = whole.forces((A, b), prior=False)
    test = whole.test_means((A, b), torch.Generator())
    residual = whole.test_residual_variance((A[0], b[0]), torch.Generator().manual_seed(1))
    total = torch.zeros_like(grad_A)
    for c in range(OUTPUTS):
        alone = _potential(_task(c), activation)
        (part, grad), f_alone = alone.forces((A, b[..., c]), prior=False)
        total += part
        np.testing.assert_allclose(f[..., c].numpy(), f_alone.numpy(), atol=1e-13)
        np.testing.assert_allclose(grad_b[..., c].numpy(), grad.numpy(), atol=1e-12)
        np.testing.assert_allclose(
            test[..., c].numpy(), alone.test_means((A, b[..., c]), torch.Generator()).numpy(), atol=1e-13
        )
        expected = alone.test_residual_variance((A[0], b[0, :, c]), torch.Generator().manual_seed(1))
        np.testing.assert_allclose(residual[:, c].numpy(), expected.numpy(), atol=1e-13)
    np.testing.assert_allclose(grad_A.numpy(), total.numpy(), atol=1e-12)


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_rotating_the_outputs_rotates_the_forces(activation):
    """No output is special: with labels and readouts rotated the first layer feels the same."""
    task = _task()
    R = torch.from_numpy(np.linalg.qr(np.random.default_rng(1).normal(size=(OUTPUTS, OUTPUTS)))[0])
    rotated = Task(task.x_train, task.y_train @ R.numpy(), task.x_test, task.y_test @ R.numpy())
    A, b = _weights(_potential(task))
    (grad_A, grad_b), f = _potential(task, activation).forces((A, b))
    (turned_A, turned_b), turned = _potential(rotated, activation).forces((A, b @ R))
    np.testing.assert_allclose(turned_A.numpy(), grad_A.numpy(), atol=1e-12)
    np.testing.assert_allclose(turned_b.numpy(), (grad_b @ R).numpy(), atol=1e-12)
    np.testing.assert_allclose(turned.numpy(), (f @ R).numpy(), atol=1e-13)


def test_top_curvature_is_the_largest_hessian_eigenvalue():
    potential = _potential(_task())
    state = _weights(potential)
    largest = []
    for A, b in zip(*state, strict=True):

        def energy(x, shape=A.shape, readout=b.shape):
            n = shape.numel()
            return potential.energy((x[:n].reshape(1, *shape), x[n:].reshape(1, *readout)))[0]

        hessian = torch.autograd.functional.hessian(energy, torch.cat([A.reshape(-1), b.reshape(-1)]))
        largest.append(torch.linalg.eigvalsh(hessian)[-1].item())
    assert top_curvature(potential, state) == pytest.approx(max(largest), rel=0.02)


@pytest.mark.parametrize("width", [4, 9])  # both sides of P = 6
def test_law_of_the_readout_is_that_of_each_output(width):
    whole = _potential(_task(), "erf", width)
    hidden = whole.hidden(_weights(whole, width))
    law, square = readout_law(whole, hidden), 0.0
    for c in range(OUTPUTS):
        alone = readout_law(_potential(_task(c), "erf", width), hidden)
        np.testing.assert_allclose(law.mean_outputs[..., c].numpy(), alone.mean_outputs.numpy(), atol=1e-12)
        np.testing.assert_allclose(law.covariance.numpy(), alone.covariance.numpy(), atol=1e-12)
        np.testing.assert_allclose(law.mean[..., c].numpy(), alone.mean.numpy(), atol=1e-12)
        square = square + alone.square
    np.testing.assert_allclose(law.square.numpy(), square.numpy(), rtol=1e-12)


@pytest.mark.parametrize("activation", ["linear", "erf"])
def test_moments_are_those_of_a_gaussian_readout(activation):
    """Second moments of outputs, S and series, by hand from the mean and covariance of the readout of each chain."""
    potential = _potential(_task(), activation)
    A, b = _weights(potential)
    blocks, sums = BlockMeans(), Sums()
    outputs = potential.outputs((A, b))[None]
    record(potential, (A, b), outputs, torch.Generator().manual_seed(0), blocks, sums)
    y, phi = potential.y.numpy(), potential.readout_scale * potential.hidden((A, b)).numpy()
    K = phi.transpose(0, 2, 1) @ phi
    kappa, tau = potential.network.kappa, potential.network.tau
    shrink = np.linalg.solve(K + kappa * np.eye(6), K).transpose(0, 2, 1)
    mean, covariance = shrink @ y, kappa * shrink
    second = np.einsum("zac,zbd->zacbd", mean, mean) + np.einsum("zab,cd->zacbd", covariance, np.eye(OUTPUTS))
    np.testing.assert_allclose(sums.mean("ff_train"), second.reshape(CHAINS, 18, 18), atol=1e-12)
    precision = np.eye(7) + phi @ phi.transpose(0, 2, 1) / kappa
    readout = np.linalg.solve(precision, phi @ y / kappa)
    spread = np.trace(np.linalg.inv(precision), axis1=1, axis2=2)
    S = tau * (readout.transpose(0, 2, 1) @ readout + spread[:, None, None] * np.eye(OUTPUTS))
    np.testing.assert_allclose(sums.mean(SEVERAL), S, atol=1e-12)
    length, test = np.linalg.norm(y), potential.test_means((A, torch.from_numpy(readout)), torch.Generator()).numpy()
    expected = {
        "along": np.sum(mean * y, axis=(1, 2)) / length,
        "along_squared": np.einsum("ac,zacbd,bd->z", y, second, y) / length**2,
        "squared": np.einsum("zacac->z", second) / y.size,
        "readout_norm": np.trace(S, axis1=1, axis2=2),
        "readout_norm_draws": tau * np.sum(b.numpy() ** 2, axis=(1, 2)),
        "hidden_along": np.einsum("zia,ac,zib,bc->z", phi, y, phi, y) / (tau * 7 * length**2),
        "along_draws": np.sum(outputs[0].numpy() * y, axis=(1, 2)) / length,
        "along_test": np.sum(test * potential.y_test.numpy(), axis=(1, 2)),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(blocks.array(name)[:, 0], value, rtol=1e-10, err_msg=name)


def test_informed_start_carries_the_fit_of_every_output():
    network = Network(width=600, g_w=1.0, g_v=1.0, kappa_0=1.0)
    task = _task()
    potential = make_potential(decompose(task, network), network)
    points, plain = (
        starting_points(potential, 3, torch.Generator().manual_seed(0), population)
        for population in (None, torch.zeros(1, 6))
    )
    assert start_names(3, with_theory=False) == ["prior", "zero", "informed"]
    assert not potential.outputs(points)[1].any()
    # less the prior draw: what is left are the labels themselves, as six inputs of nine dimensions fit any
    assert start_names(4, with_theory=True)[3] == "theory"
    A, b = (layer[2] for layer in points)
    noise = torch.Generator().manual_seed(0)
    prior = [torch.empty_like(layer).normal_(generator=noise) for layer in points]
    fit = ((A - prior[0][2])[None], (b - prior[1][2])[None])
    np.testing.assert_allclose(potential.outputs(fit)[0].numpy(), task.y_train, atol=1e-10)
    assert plain[1].shape == (3, 600, OUTPUTS)


def test_start_from_a_theory_draws_readouts_from_their_law():
    """Mean outputs over many draws are those given the neurons, here all alike, within five standard errors."""
    width, chains = 5, 4000
    network = Network(width=width, activation="erf", g_w=1.3, g_v=0.8, kappa_0=0.4)
    potential = make_potential(decompose(_task(), network), network)
    neuron = potential.Z @ torch.linspace(-1, 1, potential.rank, dtype=torch.float64)
    points = starting_points(potential, chains, torch.Generator().manual_seed(0), neuron[None])
    kinds = np.array(start_names(chains, with_theory=True)) == "theory"
    A, b = (layer[torch.from_numpy(kinds)] for layer in points)
    law = readout_law(potential, potential.hidden((A[:1], b[:1])))
    f = potential.outputs((A, b)).numpy()
    error = f.std(axis=0) / np.sqrt(len(f))
    assert np.all(np.abs(f.mean(axis=0) - law.mean_outputs[0].numpy()) < 5 * error)
    np.testing.assert_allclose(f.var(axis=0)[:, 0], np.diag(law.covariance[0].numpy()), rtol=0.25)


def test_the_largest_step_falls_with_the_root_of_the_outputs():
    """As the noise of their averages does, which would hide the step's bias."""
    network, settings = Network(width=7, kappa_0=1e6), LangevinSettings(chains=2)
    for task, expected in ((_task(), 0.06 / np.sqrt(3)), (_task(0), 0.06)):
        potential = make_potential(decompose(task, network), network)
        _, state = initial_state(potential, settings, 0, torch.device("cpu"), None)
        assert state.step_size == pytest.approx(expected)
