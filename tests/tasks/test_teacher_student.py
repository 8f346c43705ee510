import numpy as np
import pytest
from numpy.polynomial import hermite

from msat.errors import InputError
from msat.observables import component_projection
from msat.tasks import teacher_student
from msat.tasks.teacher_student import probabilists_series
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
    noisy = teacher_student(
        n_train=n, n_test=0, dimension=2, coefficients=[1, 0, 0.3], unit_variance=True, noise=0.25
    )
    noise = noisy.y_train - clean.y_train
    assert abs(noise.var() - 0.25) < Z_LIMIT * 0.25 * np.sqrt(2 / n)


def test_components_of_the_labels_are_the_teachers():
    task = teacher_student(n_train=5, n_test=100, dimension=4, coefficients=[0.8, 0, -0.8], seed=2)
    projection = component_projection(task.provenance, task.x_test)
    # least squares, so exact on finitely many points for a teacher within the span
    np.testing.assert_allclose(projection @ task.y_test, [0.8, 0, -0.8], atol=1e-10)
    assert component_projection({}, task.x_test) is None
    assert component_projection(task.provenance, task.x_test[:2]) is None


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
