import numpy as np
import pytest
from numpy.polynomial import hermite

from msat.errors import InputError
from msat.geometry import component_projection
from msat.tasks import teacher_student
from msat.tasks.teacher_student import network_teacher, probabilists_series
from tests.conftest import Z_LIMIT


def test_labels_are_the_polynomial_of_the_projection():
    task = teacher_student(n_train=50, n_test=10, dimension=7, coefficients=[1.0, 0.5, 0.3], seed=1)
    z = task.x_train @ np.array(task.provenance["direction"])
    np.testing.assert_allclose(task.y_train, z + 0.5 * (z**2 - 1) + 0.3 * (z**3 - 3 * z), atol=1e-12)
    assert np.linalg.norm(task.provenance["direction"]) == pytest.approx(1)


def test_physicists_polynomials():
    """H_1 - 0.1 H_3 is 0.8 He_1 - 0.8 He_3 (docs/theory.md, section 6)."""
    np.testing.assert_allclose(probabilists_series([1.0, 0.0, -0.1], "physicists"), [0, 0.8, 0, -0.8], atol=1e-12)
    task = teacher_student(n_train=50, n_test=10, dimension=7, coefficients=[0.3, 0.2, -0.1], basis="physicists")
    z = task.x_test @ np.array(task.provenance["direction"])
    np.testing.assert_allclose(task.y_test, hermite.hermval(z, [0, 0.3, 0.2, -0.1]), atol=1e-12)


def test_unit_variance_and_noise():
    n = 200_000
    clean = teacher_student(n_train=n, n_test=0, dimension=2, coefficients=[1, 0, 0.3], unit_variance=True)
    error = np.std((clean.y_train - clean.y_train.mean()) ** 2) / np.sqrt(n)
    assert abs(clean.y_train.var() - 1) < Z_LIMIT * error
    noisy = teacher_student(n_train=n, n_test=0, dimension=2, coefficients=[1, 0, 0.3], unit_variance=True, noise=0.25)
    noise = noisy.y_train - clean.y_train
    assert abs(noise.var() - 0.25) < Z_LIMIT * 0.25 * np.sqrt(2 / n)


def test_components_of_the_labels_are_the_teachers():
    task = teacher_student(n_train=5, n_test=100, dimension=4, coefficients=[0.8, 0, -0.8], seed=2)
    projection = component_projection(task.direction, task.x_test)
    # least squares, so exact on finitely many points for a teacher within the span
    np.testing.assert_allclose(projection @ task.y_test, [0.8, 0, -0.8], atol=1e-10)
    assert component_projection(None, task.x_test) is None
    assert component_projection(task.direction, task.x_test[:2]) is None


def test_training_data_do_not_depend_on_the_number_of_test_points():
    first, second = (teacher_student(n_train=5, n_test=n, dimension=4, seed=3) for n in (4, 9))
    np.testing.assert_array_equal(first.x_train, second.x_train)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"coefficients": [0.0, 0.0]}, "coefficients: all zero"),
        ({"coefficients": []}, "coefficients = "),
        ({"basis": "laguerre"}, "basis = 'laguerre'"),
        ({"noise": -1.0}, "noise = -1.0"),
        ({"n_train": 0}, "n_train = 0"),
    ],
)
def test_bad_parameters_are_named(values, message):
    with pytest.raises(InputError, match=message):
        teacher_student(**values)


def test_a_linear_teacher_is_the_first_hermite_polynomial():
    linear = teacher_student(n_train=9, n_test=5, dimension=4, teacher="linear", noise=0.2, seed=5)
    hermite_1 = teacher_student(n_train=9, n_test=5, dimension=4, coefficients=[1.0], noise=0.2, seed=5)
    assert linear.digest() == hermite_1.digest()
    assert linear.provenance["hermite_e"] == [0.0, 1.0]
    assert linear.provenance["direction"] == hermite_1.provenance["direction"]
    clean = teacher_student(n_train=9, n_test=5, dimension=4, teacher="linear", seed=5)
    np.testing.assert_allclose(clean.y_train, clean.x_train @ clean.provenance["direction"], rtol=1e-12)


@pytest.mark.parametrize("activation", ["linear", "erf", "relu", "tanh", "gelu", "softplus", "quadratic"])
def test_moments_of_a_network_teacher_against_sampling(activation):
    """Fourteen comparisons at |z| < 5: a false alarm in 10^5 runs."""
    rng = np.random.default_rng(8)
    teacher = network_teacher(6, 5, activation, rng)
    outputs = teacher(rng.standard_normal((200_000, 5)))
    mean, variance = teacher.moments()
    squares = (outputs - outputs.mean()) ** 2
    assert abs(outputs.mean() - mean) < Z_LIMIT * outputs.std() / np.sqrt(len(outputs)) + 1e-12
    assert abs(squares.mean() - variance) < Z_LIMIT * squares.std() / np.sqrt(len(outputs))


def test_a_network_teacher_at_unit_variance():
    settings = {"dimension": 6, "teacher": "network", "teacher_width": 5, "teacher_activation": "relu", "seed": 3}
    n = 200_000
    plain = teacher_student(n_train=n, n_test=3, **settings)
    scaled = teacher_student(n_train=n, n_test=3, unit_variance=True, **settings)
    factor = plain.provenance["teacher_variance"] ** -0.5
    np.testing.assert_allclose(scaled.y_train, factor * plain.y_train, rtol=1e-12)
    assert scaled.provenance["teacher_variance"] == pytest.approx(1, rel=1e-12)
    squares = (scaled.y_train - scaled.y_train.mean()) ** 2
    assert abs(squares.mean() - 1) < Z_LIMIT * squares.std() / np.sqrt(n)
    error = scaled.y_train.std() / np.sqrt(n)
    assert abs(scaled.y_train.mean() - scaled.provenance["teacher_mean"]) < Z_LIMIT * error
    noisy = teacher_student(n_train=n, n_test=3, unit_variance=True, noise=0.3, **settings)
    assert abs((noisy.y_train - scaled.y_train).var() - 0.3) < Z_LIMIT * 0.3 * np.sqrt(2 / n)
    assert "direction" not in scaled.provenance
    assert (scaled.provenance["teacher_width"], scaled.provenance["teacher_activation"]) == (5, "relu")


def test_the_weights_of_a_network_teacher_have_the_stated_variances():
    teacher = network_teacher(2000, 50, "erf", np.random.default_rng(4))
    for weights, variance in ((teacher.first_layer, 1 / 50), (teacher.readout, 1 / 2000)):
        assert abs(np.mean(weights**2) / variance - 1) < Z_LIMIT * np.sqrt(2 / weights.size)


def test_a_network_teacher_depends_on_its_seed_only():
    first, again = (teacher_student(n_train=5, n_test=n, dimension=4, teacher="network", seed=1) for n in (2, 6))
    np.testing.assert_array_equal(first.y_train, again.y_train)
    other = teacher_student(n_train=5, n_test=2, dimension=4, teacher="network", seed=2)
    assert not np.array_equal(first.y_train, other.y_train)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"teacher": "linear", "coefficients": [1.0]}, r"^coefficients = \[1.0\]: belongs to teacher hermite, not"),
        ({"teacher": "network", "basis": "physicists"}, "^basis = 'physicists': belongs to teacher hermite"),
        ({"teacher_width": 3}, "^teacher_width = 3: belongs to teacher network, not to hermite"),
        ({"teacher": "linear", "teacher_activation": "erf"}, "^teacher_activation = 'erf': belongs to teacher network"),
        ({"teacher": "oracle"}, "teacher = 'oracle': input should be 'hermite', 'linear' or 'network'"),
        ({"teacher": "network", "teacher_activation": "sine"}, "teacher_activation = 'sine'"),
        ({"teacher": "network", "teacher_width": 0}, "teacher_width = 0"),
    ],
)
def test_settings_of_another_teacher_are_refused(values, message):
    with pytest.raises(InputError, match=message) as caught:
        teacher_student(**values)
    assert "\n" not in str(caught.value)


def test_several_outputs_have_a_direction_each():
    task = teacher_student(n_train=7, n_test=5, dimension=4, coefficients=[1, 0, 0.3], outputs=3, seed=5)
    assert task.y_train.shape == (7, 3)
    assert task.y_test.shape == (5, 3)
    assert task.direction is None
    directions = np.array(task.provenance["directions"])
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    z = task.x_test @ directions.T
    np.testing.assert_allclose(task.y_test, z + 0.3 * (z**3 - 3 * z), atol=1e-12)
    noisy = teacher_student(n_train=2000, n_test=0, dimension=4, teacher="linear", outputs=2, noise=0.5, seed=5)
    noise = noisy.y_train - noisy.x_train @ np.array(noisy.provenance["directions"]).T
    np.testing.assert_allclose(np.cov(noise.T), 0.5 * np.eye(2), atol=0.1)  # 4.5 standard errors


def test_one_output_by_name_is_that_by_default():
    one, default = (teacher_student(n_train=5, n_test=3, dimension=4, **more) for more in ({"outputs": 1}, {}))
    assert one.digest() == default.digest()
    with pytest.raises(InputError, match="outputs = 2: teacher network has one"):
        teacher_student(teacher="network", outputs=2)
