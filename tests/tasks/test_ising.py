import numpy as np
import pytest

from msat.errors import InputError
from msat.tasks import ising
from tests.conftest import Z_LIMIT


def test_labels_are_balanced_and_inputs_biased():
    task = ising(n_train=500, n_test=301, dimension=200, delta_p=0.1, seed=3)
    assert task.y_train.sum() == 0
    assert abs(task.y_test.sum()) == 1
    assert set(np.unique(task.x_train)) == {-1.0, 1.0}
    agree = task.x_train * task.y_train[:, None] > 0
    error = np.sqrt(0.6 * 0.4 / agree.size)
    assert abs(agree.mean() - 0.6) < Z_LIMIT * error
    # components are independent given the label: variance of the count per sample is binomial
    counts = agree.sum(axis=1)
    assert abs(counts.var() / (200 * 0.24) - 1) < Z_LIMIT * np.sqrt(2 / 500)


def test_labels_are_shuffled():
    y = ising(n_train=100, n_test=0, dimension=2).y_train
    assert 30 < np.sum(y[1:] != y[:-1]) < 70


def test_seed_and_sizes():
    first, again = (ising(n_train=10, n_test=4, dimension=3, seed=1), ising(n_train=10, n_test=7, dimension=3, seed=1))
    other = ising(n_train=10, n_test=4, dimension=3, seed=2)
    np.testing.assert_array_equal(first.x_train, again.x_train)
    assert not np.array_equal(first.x_train, other.x_train)
    assert not np.array_equal(first.x_train[:4], first.x_test)
    assert first.digest() != other.digest()
    assert first.provenance["delta_p"] == 0.1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_train": 0}, "n_train = 0: input should be greater than or equal to 1"),
        ({"dimension": 0}, "dimension = 0"),
        ({"delta_p": 0.6}, "delta_p = 0.6"),
        ({"n_test": -1}, "n_test = -1"),
    ],
)
def test_bad_sizes_are_named(values, message):
    with pytest.raises(InputError, match=message):
        ising(**values)
