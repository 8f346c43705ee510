"""What is wrong becomes one line that says what is allowed; seeds and scales may be NumPy's."""

import numpy as np
import pytest

import msat
from msat.errors import InputError
from msat.langevin.settings import TrainingJob
from msat.validation import validated


@pytest.fixture(scope="module")
def task():
    return msat.tasks.ising(n_train=4, n_test=0, dimension=5)


def test_numbers_of_numpy_are_numbers(task):
    network = msat.Network(width=5)
    plain = msat.solve(task, network, chi=[1, 2], seed=3, levels=["exact"])
    same = msat.solve(task, network, chi=np.array([1.0, 2.0]), seed=np.int64(3), levels=("exact",))
    assert same.drop_attrs().identical(plain.drop_attrs())
    assert same.attrs["seed"] == 3
    one = msat.solve(task, network, chi=2, levels=["exact"])
    assert list(one["chi"]) == [2.0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": -1}, "seed = -1: input should be greater"),
        ({"seed": True}, "seed = True"),
        ({"chi": []}, "chi = "),
        ({"chi": [1, -2]}, "chi.1 = -2: must be a finite number"),
        ({"chi": "a"}, "chi.0 = 'a': must be a number"),
        ({"chi": [1, 1]}, "a scale is named twice"),
        ({"levels": "exact"}, "levels = 'exact'"),
        ({"levels": ["nlo"]}, "levels.0 = 'nlo': must be one of nngp"),
    ],
)
def test_solve_refuses_what_the_command_line_refuses(task, given, message):
    with pytest.raises(InputError, match=message):
        msat.solve(task, msat.Network(width=5), **given)


def test_tasks_and_training_refuse_a_bad_seed():
    with pytest.raises(InputError, match="seed = -1"):
        msat.tasks.ising(n_train=4, seed=-1)
    with pytest.raises(InputError, match="seed = -1"):
        validated(TrainingJob, {"seed": -1})
