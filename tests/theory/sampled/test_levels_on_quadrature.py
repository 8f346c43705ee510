"""The levels on quadrature nodes instead of a population: a network of two training points, exactly."""

import numpy as np
import pytest

from msat.activations import get_activation
from msat.geometry import RowSpace
from msat.network import Network
from msat.observables.evaluate import batch_error
from msat.observables.functions import weight_alignment
from tests.theory.references import brute_log_evidence, on_quadrature, quadrature_neuron, quadrature_sample

Z = np.array([[1.3, 0.2], [-0.5, 1.0]])
Y = np.array([1.0, -0.6])
NODES = 32
# test points: the first training point, and one with a residual
SPACE = RowSpace(train=Z, test=np.vstack([Z[0], [0.4, 0.7]]), test_residual_sd=np.array([0.0, 0.5]))


def network_of(width, name="erf"):
    return Network(width=width, activation=name, g_w=1.5, kappa_0=0.3, chi=2.0)


def solve(network, *levels):
    return on_quadrature(quadrature_sample(network, SPACE, Y), SPACE, *levels)


def mc_error(prediction, name):
    return batch_error(np.array([getattr(batch, name) for batch in prediction.batches]))


def exact_log_evidence(network, n=161, cut=9.0):
    """ln p(y) of the finite network: Fourier integral over the two fields, quadrature over the neuron.

    With ft = i omega, E exp(i omega.z) = E_h exp(-tau (omega.phi)^2 / 2), to the power N.
    """
    positions, log_base = quadrature_neuron(NODES)
    weight = np.exp(log_base) / len(log_base)
    features = get_activation(network.activation).phi(positions @ Z.T)
    K = (features * weight[:, None]).T @ features
    scale = cut / np.sqrt(np.linalg.eigvalsh(network.g * K)[0] * 0.25 + network.kappa)
    axis = np.linspace(-scale, scale, n)
    omega = np.array(np.meshgrid(axis, axis, indexing="ij")).reshape(2, -1)
    characteristic = np.empty(omega.shape[1])
    for start in range(0, omega.shape[1], 4096):
        part = slice(start, start + 4096)
        characteristic[part] = weight @ np.exp(-network.tau / 2 * (features @ omega[:, part]) ** 2)
    log_amplitude = network.width * np.log(characteristic) - network.kappa / 2 * np.sum(omega**2, axis=0)
    amplitude = np.exp(log_amplitude) * (axis[1] - axis[0]) ** 2 / (2 * np.pi) ** 2
    return lambda y: np.log(np.sum(amplitude * np.cos(y @ omega)))


@pytest.mark.parametrize("name", ["erf", "relu"])
def test_laplace_converges_to_the_finite_network_faster_than_the_tree(name):
    """Errors fall like 1/N (tree) and 1/N^2 (laplace): measured against the exact finite network."""
    errors = {"tree": [], "laplace": [], "evidence": []}
    for width in (16, 64):
        network = network_of(width, name)
        log_evidence = exact_log_evidence(network)
        # y + kappa d ln p / dy, eq. (2)
        slope = [(log_evidence(Y + e) - log_evidence(Y - e)) / 2e-3 for e in 1e-3 * np.eye(2)]
        exact = Y + network.kappa * np.array(slope)
        tree, loop = solve(network, "tree_level", "laplace").values()
        errors["tree"].append(np.abs(tree.mean_train - exact).max())
        errors["laplace"].append(np.abs(loop.mean_train - exact).max())
        errors["evidence"].append(abs(loop.log_evidence - log_evidence(Y)))
    assert errors["tree"][0] / errors["tree"][1] == pytest.approx(4, rel=0.35)
    assert errors["laplace"][0] / errors["laplace"][1] > 8  # 16 in the limit
    assert errors["laplace"][1] < 0.1 * errors["tree"][1]
    assert errors["evidence"][1] < 0.05
    assert errors["evidence"][0] / errors["evidence"][1] == pytest.approx(4, rel=0.35)


def test_one_loop_agrees_with_laplace_to_its_order():
    differences = []
    for width in (16, 64):
        tree, loop, self_consistent = solve(network_of(width), "tree_level", "laplace", "one_loop").values()
        assert self_consistent.converged
        assert self_consistent.loop_strength == 1
        assert self_consistent.residual < 1e-8
        correction = np.abs(loop.mean_train - tree.mean_train).max()
        differences.append(np.abs(loop.mean_train - self_consistent.mean_train).max())
        assert differences[-1] < 0.5 * correction
        assert abs(loop.log_evidence - self_consistent.log_evidence) < 3 / width
        assert abs(loop.readout_norm - self_consistent.readout_norm) < 0.1 * loop.readout_norm
        np.testing.assert_allclose(loop.hidden_kernel, self_consistent.hidden_kernel, atol=0.5 / width)
    assert differences[0] / differences[1] > 8  # second order


def test_one_loop_is_stationary_and_its_evidence_differentiates_to_its_mean():
    """ln p = L at its stationary point, so kappa d ln p / dy = <f> - y, exactly."""
    network = network_of(16)

    def solve(y):
        return on_quadrature(quadrature_sample(network, SPACE, y), SPACE, "one_loop")["one_loop"]

    here = solve(Y)
    step = 1e-4 * np.eye(2)
    around = [(solve(Y + e), solve(Y - e)) for e in step]
    slope = np.array([(up.log_evidence - down.log_evidence) / 2e-4 for up, down in around])
    np.testing.assert_allclose(here.mean_train, Y + network.kappa * slope, atol=1e-6)
    response = np.array([(up.mean_train - down.mean_train) / 2e-4 for up, down in around])
    np.testing.assert_allclose(here.covariance_train, network.kappa * response, atol=1e-6)


def test_one_loop_without_a_root_is_refused():
    """A narrow network with a stiff likelihood: the loop is as large as the tree."""
    network = Network(width=1, activation="relu", g_w=1.5, kappa_0=0.02, chi=2.0)
    result = solve(network, "one_loop")["one_loop"]
    assert not result.converged
    assert result.loop_strength < 1
    assert np.all(np.isnan(result.mean_train))
    assert np.all(np.isnan(result.mean_test))
    assert "one-loop root" in result.note


def test_laplace_covariance_is_the_second_derivative_of_its_evidence():
    network = network_of(8)
    sample = quadrature_sample(network, SPACE, Y)
    loop = on_quadrature(sample, SPACE, "laplace")["laplace"]
    action, step = sample.saddle.action, 1e-3
    draws = action.draws

    def log_evidence(y):
        return brute_log_evidence(draws.features, draws.log_base, y, network, start=action.ft)[0]

    hessian = np.empty((2, 2))
    for a, e in enumerate(step * np.eye(2)):
        for b, f in enumerate(step * np.eye(2)):
            corners = [s * t * log_evidence(Y + s * e + t * f) for s in (1, -1) for t in (1, -1)]
            hessian[a, b] = sum(corners) / (4 * step**2)
    expected = network.kappa * np.eye(2) + network.kappa**2 * hessian
    np.testing.assert_allclose(loop.covariance_train, expected, atol=1e-5)


@pytest.mark.parametrize("level", ["tree_level", "laplace"])
def test_a_training_point_as_test_point_gets_its_prediction(level):
    result = solve(network_of(8), level)[level]
    np.testing.assert_allclose(result.mean_test[0], result.mean_train[0], atol=1e-9)
    np.testing.assert_allclose(mc_error(result, "mean_test")[0], mc_error(result, "mean_train")[0], atol=1e-8)
    np.testing.assert_allclose(result.variance_test[0], result.covariance_train[0, 0], atol=1e-6)


def test_a_residual_is_integrated_out():
    """The second test point against a third hidden coordinate that carries its residual."""
    network, activation = network_of(8), get_activation("erf")
    sample = quadrature_sample(network, SPACE, Y)
    result = on_quadrature(sample, SPACE, "tree_level")["tree_level"]
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    h = sample.snapshots.positions @ SPACE.test[1]
    feature = activation.phi(h[:, None] + 0.5 * nodes)
    neuron = sample.saddle.action.neuron
    p, m = neuron.weights, neuron.readout
    mean = network.width * float((p * m) @ feature @ weights)
    np.testing.assert_allclose(result.mean_test[1], mean, rtol=1e-9)
    square = network.width * float((p * (m**2 + network.tau)) @ feature**2 @ weights)
    cross = network.width * (
        ((p * (m**2 + network.tau)) * (feature @ weights)) @ neuron.features
        - float((p * m) @ feature @ weights) * neuron.mean
    )
    variance = square - mean**2 / network.width - cross @ neuron.G @ cross
    # the residual part of the variance uses every k-th draw only
    np.testing.assert_allclose(result.variance_test[1], variance, rtol=0.05)


def test_errors_are_the_spread_of_batches():
    network = network_of(8)
    sample = quadrature_sample(network, SPACE, Y)
    result = on_quadrature(sample, SPACE, "tree_level")["tree_level"]
    fields = np.array([action.ft for _, action in sample.batches])
    expected = network.kappa * fields.std(axis=0, ddof=1) / np.sqrt(2)
    np.testing.assert_allclose(mc_error(result, "mean_train"), expected)


def test_weight_alignment_of_a_linear_network_follows_from_its_hidden_kernel():
    """Both are averages over the same draws: h = Z a, so u.M u = p.H p with p = Z^+T u."""
    network = Network(width=8, activation="linear", g_w=1.0, kappa_0=0.3, chi=4.0)
    u = np.array([0.6, -0.5])
    probe = np.linalg.solve(SPACE.train.T, u)
    for result in solve(network, "tree_level", "laplace").values():
        assert result.first_layer(u) == pytest.approx(probe @ result.hidden_kernel @ probe, abs=1e-9)
        assert weight_alignment(result.first_layer(u), u) > 1.05  # the network has learned
