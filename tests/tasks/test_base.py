import numpy as np
import pytest

from msat.errors import InputError
from msat.tasks.base import Task, balanced_classes

GOOD = {
    "x_train": np.array([[1.0, 2.0], [3.0, -1.0]]),
    "y_train": np.array([1.0, -1.0]),
    "x_test": np.array([[0.5, 0.5]]),
    "y_test": np.array([1.0]),
}


def test_arrays_are_float64_and_read_only():
    task = Task(**(GOOD | {"x_train": np.array([[1, 2], [3, 4]], dtype=np.int32)}))
    assert task.x_train.dtype == np.float64
    assert (task.n_train, task.n_test, task.dimension) == (2, 1, 2)
    with pytest.raises(ValueError, match="read-only"):
        task.y_train[0] = 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"x_train": np.zeros((0, 2)), "y_train": np.zeros(0)}, "x_train has 0 rows"),
        ({"x_train": np.zeros((2, 0)), "x_test": np.zeros((1, 0))}, "x_train has 0 columns"),
        ({"y_train": np.ones(3)}, "y_train has 3 entries but x_train has 2 rows"),
        ({"y_test": np.ones(3)}, "y_test has 3 entries"),
        ({"y_train": np.ones((2, 1))}, r"y_train has shape \(2, 1\): must be \(rows,\)"),
        ({"y_train": np.ones((2, 3))}, "y_test has 1 outputs but y_train has 3: must be equal"),
        ({"y_test": np.ones((1, 2))}, "y_test has 2 outputs but y_train has 1"),
        ({"y_train": np.ones((2, 0)), "y_test": np.ones((1, 0))}, r"y_train has shape \(2, 0\): must be"),
        ({"x_test": np.ones((1, 3))}, "x_test has 3 columns but x_train has 2"),
        ({"x_train": np.array([[1.0, np.nan], [0, 1]])}, r"x_train\[0, 1\] is nan: must be finite"),
        ({"y_test": np.array([np.inf])}, r"y_test\[0\] is inf"),
        ({"x_train": np.zeros((2, 2))}, "x_train is all zero"),
        ({"x_train": np.ones((2, 2))}, "x_train is constant"),
        ({"y_train": np.zeros(2)}, "y_train is all zero"),
        ({"y_train": np.array(["a", "b"])}, "y_train has dtype <U1: must be real numbers"),
        ({"y_train": np.array([1j, 2])}, "must be real numbers"),
    ],
)
def test_bad_data_are_named(values, message):
    with pytest.raises(InputError, match=message):
        Task(**(GOOD | values))


def test_labels_of_several_outputs():
    task = Task(**(GOOD | {"y_train": np.eye(2), "y_test": np.ones((1, 2)), "provenance": {"direction": [1.0, 0.0]}}))
    assert (task.n_train, task.n_test, task.n_outputs) == (2, 1, 2)
    assert task.direction is None  # outputs have no direction in common
    assert Task(**GOOD).n_outputs == 1
    assert Task(**GOOD).digest() == "1867c5f0e77060ee"  # as ever: it seeds trainings


def test_classes_are_balanced():
    classes = balanced_classes(11, 3, np.random.default_rng(0))
    assert sorted(np.bincount(classes)) == [3, 4, 4]
    assert np.any(np.diff(classes) != np.diff(np.arange(11) % 3))
