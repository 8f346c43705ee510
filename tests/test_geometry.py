import numpy as np
import pytest

from msat.activations import get_activation
from msat.geometry import Geometry, decompose, row_space
from msat.network import Network
from msat.tasks import teacher_student


def _geometry(x, y, x_test, activation, teacher=None):
    return Geometry(x, y, x_test, np.zeros(len(x_test)), 0.7, activation, teacher)


@pytest.fixture
def data():
    """Six samples of rank 5 and four test points, one of them in the row space."""
    rng = np.random.default_rng(0)
    x, x_test = rng.normal(size=(6, 9)), rng.normal(size=(4, 9))
    x[5] = x[0] + x[1]
    x_test[3] = x[2] - 2 * x[4]
    return x, rng.normal(size=6), x_test


def test_row_space_reproduces_all_pre_activation_covariances(data):
    x, _, x_test = data
    space = row_space(x, x_test, 0.7)
    assert space.rank == 5
    assert len(space.train) == 6
    np.testing.assert_allclose(space.train @ space.train.T, 0.7 / 9 * x @ x.T, atol=1e-12)
    np.testing.assert_allclose(space.test @ space.train.T, 0.7 / 9 * x_test @ x.T, atol=1e-12)
    total = np.sum(space.test**2, axis=1) + space.test_residual_sd**2
    np.testing.assert_allclose(total, 0.7 / 9 * np.sum(x_test**2, axis=1))
    assert space.test_residual_sd[3] == 0


def test_a_point_that_is_zero_stays_zero(data):
    x, _, x_test = data
    x[2] = 0.0
    np.testing.assert_array_equal(row_space(x, x_test, 0.7).train[2], 0.0)


@pytest.mark.parametrize("name", ["linear", "erf", "relu"])
def test_spectrum_diagonalises_the_prior_kernel(data, name):
    x, y, x_test = data
    geometry = _geometry(x, y, x_test, name)
    spectrum, activation = geometry.spectrum, get_activation(name)
    every = np.vstack([x, x_test])
    joint = activation.dual_kernel(0.7 / 9 * every @ every.T)
    np.testing.assert_allclose(geometry.prior_kernel, joint[:6, :6], atol=1e-14)
    np.testing.assert_allclose(geometry.cross_kernel, joint[6:, :6], atol=1e-14)
    np.testing.assert_allclose((spectrum.U * spectrum.lam) @ spectrum.U.T, geometry.prior_kernel, atol=1e-13)
    np.testing.assert_allclose(spectrum.cross @ spectrum.U.T, geometry.cross_kernel, atol=1e-13)
    np.testing.assert_allclose(spectrum.U @ spectrum.y, y, atol=1e-13)
    np.testing.assert_allclose(spectrum.test_variance, np.diag(joint)[6:])
    assert np.all(spectrum.lam >= 0)
    assert len(spectrum.lam) == 6
    assert geometry.spectrum is spectrum  # decomposed once
    assert (spectrum.to_test is None) == (name != "linear")


def test_linear_networks_have_an_exact_null_space_and_a_map_to_test_points(data):
    x, y, x_test = data
    spectrum = _geometry(x, y, x_test, "linear").spectrum
    assert np.sum(spectrum.lam == 0) == 1
    outputs = x @ np.random.default_rng(1).normal(size=9)
    inside = x_test @ np.linalg.lstsq(x, outputs, rcond=None)[0]
    np.testing.assert_allclose(spectrum.to_test @ (spectrum.U.T @ outputs), inside, atol=1e-12)
    rest = row_space(x, x_test, 0.7).test_residual_sd ** 2
    np.testing.assert_allclose(spectrum.test_residual, rest, atol=1e-13)
    assert rest[3] == 0


def test_direction_is_the_teachers_or_that_of_the_mean_labelled_input(data):
    x, y, x_test = data
    rows = np.linalg.svd(x)[2][:5]  # an orthonormal basis of the row space
    for teacher in (None, np.ones(9) / 3, rows[1]):
        geometry = _geometry(x, y, x_test, "erf", teacher)
        u = y @ x / np.linalg.norm(y @ x) if teacher is None else teacher
        # coordinates in another basis of the row space: only products of them compare
        pulled = geometry.row_space.train @ geometry.direction
        np.testing.assert_allclose(pulled, np.sqrt(0.7 / 9) * x @ u, atol=1e-12)
        np.testing.assert_allclose(geometry.direction @ geometry.direction, np.sum((rows @ u) ** 2), atol=1e-12)
    assert geometry.direction @ geometry.direction == pytest.approx(1)


def test_direction_is_undefined_where_the_mean_labelled_input_vanishes():
    x = np.array([[1.0, 0.5], [1.0, 0.5], [0.3, -0.2], [0.3, -0.2]])
    geometry = _geometry(x, np.array([1.0, -1.0, 1.0, -1.0]), np.empty((0, 2)), "linear")
    assert np.isnan(geometry.direction).all()


def test_first_layer_follows_from_a_linear_networks_hidden_kernel(data):
    geometry = _geometry(*data, "linear")
    factor = np.random.default_rng(2).normal(size=(5, 5))
    moment, inputs = factor @ factor.T, geometry.row_space.train
    along = geometry.first_layer(inputs @ moment @ inputs.T)
    for u in (geometry.direction, *np.eye(5)):
        assert along(u) == pytest.approx(u @ moment @ u, rel=1e-10)
    assert geometry.first_layer(geometry.prior_kernel)(np.eye(5)[0]) == pytest.approx(1)
    assert _geometry(*data, "erf").first_layer(geometry.prior_kernel) is None


def test_a_task_is_decomposed_with_its_teacher_and_the_networks_prior():
    task = teacher_student(n_train=8, n_test=3, dimension=5, coefficients=[1.0], seed=0)
    network = Network(width=10, activation="erf", g_v=0.9, chi=4.0)
    geometry = decompose(task, network)
    np.testing.assert_array_equal(geometry.teacher, task.direction)
    assert (geometry.g_v, geometry.activation) == (0.9, "erf")
    np.testing.assert_array_equal(decompose(task, network.at(1.0)).prior_kernel, geometry.prior_kernel)


def test_direction_of_several_outputs_is_that_along_which_the_weighted_inputs_vary_most(data):
    """Whatever the basis of the outputs; of one output repeated it is that of the output."""
    x, y, x_test = data
    labels = np.random.default_rng(5).normal(size=(6, 3))
    geometry = _geometry(x, labels, x_test, "linear")
    u = geometry.direction
    assert np.linalg.norm(u) == pytest.approx(1)
    inputs = geometry.row_space.train
    found = np.linalg.norm(labels.T @ inputs @ u)
    assert found == pytest.approx(np.linalg.svd(labels.T @ x)[1][0] * np.sqrt(0.7 / 9))
    R = np.linalg.qr(np.random.default_rng(6).normal(size=(3, 3)))[0]
    assert abs(_geometry(x, labels @ R, x_test, "linear").direction @ u) == pytest.approx(1)
    copies, one = (_geometry(x, part, x_test, "linear").direction for part in (np.column_stack([y, y]), y))
    assert abs(copies @ one) == pytest.approx(1)
    assert np.isnan(_geometry(x, 0 * labels, x_test, "linear").direction).all()
